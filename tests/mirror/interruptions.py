"""A worker that is stopped in the middle of its reads."""

from __future__ import annotations

from dataclasses import dataclass

from tests.fakes.airflow.faults import Fault


@dataclass
class StopsAfter(Fault):
    """The worker is told to stop when it sends its request number ``reads + 1`` whose path holds ``path``."""

    reads: int = 0
    seen: int = 0

    def hits(self, request) -> bool:
        self.seen += self.path in request.path
        if self.seen > self.reads:
            raise KeyboardInterrupt
        return False
