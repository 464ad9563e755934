"""What a process started, and whether it is gone."""

import subprocess
import time
from collections.abc import Iterable


def processes_below(pid: int) -> set[int]:
    table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = dict(tuple(map(int, line.split())) for line in table.splitlines())
    below = {pid}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return below - {pid}


def running(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def assert_all_gone(pids: Iterable[int]) -> None:
    deadline = time.monotonic() + 30
    while left := {pid for pid in pids if running(pid)}:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.2)
