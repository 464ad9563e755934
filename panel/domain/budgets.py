"""So many an hour: how long until there is room for one more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

PERIOD: Final = timedelta(hours=1)


def seconds_until_room(moments: Sequence[datetime], most: int, now: datetime) -> int:
    """Whole seconds until fewer than ``most`` of these are younger than PERIOD; 0 when that is so already.

    ``moments`` rise. Room comes when so many are older than the period that one less than ``most`` is left.
    """
    recent = [moment for moment in moments if moment > now - PERIOD]
    if len(recent) < most:
        return 0
    return max(1, math.ceil((recent[len(recent) - most] + PERIOD - now).total_seconds()))
