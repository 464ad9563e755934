"""How much one pass may ask of Airflow, and when odd answers mean that Airflow itself is unwell."""

from __future__ import annotations

import time
from typing import Final

from panel.airflow import AirflowError

STRIKES: Final = 3


class Budget:
    """So many calls and so many seconds; whoever has spent them leaves the rest to the next pass."""

    def __init__(self, *, calls: int, seconds: float) -> None:
        self._calls = calls
        self._ends_at = time.monotonic() + seconds

    def spend(self) -> bool:
        """Whether one more call may be made."""
        if self._calls <= 0 or time.monotonic() >= self._ends_at:
            return False
        self._calls -= 1
        return True


class Strikes:
    """One thing that cannot be read is its own fault; several in a row are the server's."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def hit(self, error: AirflowError) -> None:
        """Raises the error at the third in a row."""
        self._in_a_row += 1
        if self._in_a_row >= STRIKES:
            raise error

    def miss(self) -> None:
        self._in_a_row = 0
