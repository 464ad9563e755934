"""The counts of a batch as StatsD metrics."""

import socket
from collections.abc import Mapping

NAMES = ("success", "soft_failure", "hard_failure")


def metric_lines(summary: Mapping[str, float]) -> list[str]:
    """`processing.success:93|c` and so on, in the StatsD line format."""
    return [f"processing.{name}:{summary[name]}|c" for name in NAMES]


def send_counts(summary: Mapping[str, float], *, host: str, port: int) -> None:
    """One UDP datagram. As with any StatsD client nobody answers, so a missing listener is no error."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto("\n".join(metric_lines(summary)).encode(), (host, port))
