"""Times of day in somebody's zone. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def parse_time(text: str) -> time | None:
    """``22:00``; ``None`` for anything else."""
    found = _TIME.fullmatch(text)
    return time(int(found[1]), int(found[2])) if found else None


def parse_zone(name: str) -> ZoneInfo | None:
    """A zone by its IANA name, ``Europe/Berlin``; ``None`` when there is none of this name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, malformed, a folder
        return None


def next_time(at: time, zone: ZoneInfo, now: datetime) -> datetime:
    """The next moment after ``now`` at which clocks in this zone show this time of day, in UTC.

    Where clocks leave it out that day, because summer time begins, they show an hour later at that moment.
    """
    today = now.astimezone(zone).date()
    moments = (_moment(at, zone, today + timedelta(days=days), fold) for days in (0, 1) for fold in (0, 1))
    return min(moment for moment in moments if moment is not None and moment > now)


def _moment(at: time, zone: ZoneInfo, day: date, fold: int) -> datetime | None:
    """``fold`` 1 is the second time in an hour that comes twice, ``None`` on any other day."""
    moment = datetime.combine(day, at.replace(fold=fold), zone).astimezone(UTC)
    comes_twice = moment.astimezone(zone).fold == 1
    return moment if comes_twice or not fold else None


@dataclass(frozen=True, slots=True)
class DailyHours:
    """From ``start`` to ``end`` each day; over midnight when ``end`` is earlier."""

    start: time
    end: time
    zone: ZoneInfo

    def opens_at(self, now: datetime) -> datetime | None:
        """``None`` when it is open now, else the moment it opens."""
        clock = now.astimezone(self.zone).time()
        has_opened, has_closed = clock >= self.start, clock >= self.end
        over_midnight = self.end < self.start
        is_open = (has_opened or not has_closed) if over_midnight else (has_opened and not has_closed)
        return None if is_open else next_time(self.start, self.zone, now)
