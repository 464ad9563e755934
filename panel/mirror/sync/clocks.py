"""Asking for what changed since the last read without losing a change to a clock.

Airflow stamps a row (``updated_at``) by the clock of whoever writes it, before it commits it. A change that one read
did not see was committed after that read began, so its stamp is older than that beginning at most by the time its
commit took plus the difference of Airflow's own clocks: together under ``MARGIN``. The next read asks from that
beginning less ``MARGIN``. The beginning is told by the clock that is behind, ours or Airflow's (by the ``Date`` of its
answers), so how far they are apart does not matter: too early only reads more. What took even longer is found when the
run has ended: then everything is read.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from panel.airflow import Airflow

MARGIN: Final = timedelta(seconds=90)
"""A minute for clocks that differ, half a minute for a commit (a clear of 1,000 took a second; AIRFLOW.md §3)."""


def safe_time(airflow: Airflow, moment: datetime) -> datetime:
    """This moment of ours as a watermark. Ask after a first answer came."""
    return moment + min(airflow.clock_ahead, timedelta())
