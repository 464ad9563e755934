"""How carefully a job is sent. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _

from panel.problems import Unprocessable
from panel.retries.hours import DailyHours, parse_time, parse_zone
from panel.retries.models import LARGEST_CHUNK, USUAL_CHUNK, RetryJob

MOST_CHUNKS_PER_MINUTE: Final = 600
LARGEST_WAVE: Final = 100_000
MOST_ROUNDS: Final = 5
SHORTEST_ROUND_PAUSE: Final = 60
LONGEST_PAUSE: Final = 86_400
"""Seconds, of a wave's pause and of a round's."""
ROUND_PAUSE: Final = 600
LONGEST_DELAY: Final = timedelta(days=30)
"""A job that waits keeps its indices from every other job."""
ALWAYS_SPELLED: Final = frozenset({"chunk_size", "chunks_per_minute", "canary", "canary_max_failure_rate"})
"""The others are spelled out only where they are set: what was asked before there were any keeps its hash."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the chunks are sent; rates are shares from 0 to 1.

    ``canary`` indices, or one of each error group, go first; the rest only if at most ``canary_max_failure_rate`` of
    them failed again. Each wave waits for the results of the one before, and then for the pause. More than
    ``stop_failure_rate`` failed again pauses the job. Nothing is sent before ``not_before``, nor outside the daily
    window (``HH:MM`` in ``time_zone``). What failed again is retried in up to ``rounds`` jobs, with growing pauses.
    """

    chunk_size: int = USUAL_CHUNK
    chunks_per_minute: float | None = None
    canary: int | None = None
    canary_by_group: bool = False
    canary_max_failure_rate: float | None = None
    wave_size: int | None = None
    wave_pause_seconds: int | None = None
    stop_failure_rate: float | None = None
    not_before: datetime | None = None
    window_start: str = ""
    window_end: str = ""
    time_zone: str = "UTC"
    rounds: int = 1
    round_pause_seconds: int | None = None

    @classmethod
    def of(cls, job: RetryJob) -> Policy:
        return cls(**{field.name: getattr(job, field.name) for field in fields(cls)})

    def as_fields(self) -> dict[str, Any]:
        """As the job keeps them."""
        return asdict(self)

    def as_json(self) -> dict[str, Any]:
        usual = Policy()
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
            if name in ALWAYS_SPELLED or value != getattr(usual, name)
        }

    @property
    def hours(self) -> DailyHours | None:
        """The daily window."""
        start, end, zone = parse_time(self.window_start), parse_time(self.window_end), parse_zone(self.time_zone)
        return DailyHours(start, end, zone) if start and end and zone else None

    def check(self) -> None:
        """Raises Unprocessable naming every wrong field."""
        problems = [*self._pace_problems(), *self._failure_problems(), *self._time_problems(), *self._round_problems()]
        found: dict[str, list[str]] = {}
        for name, problem in problems:
            found.setdefault(name, []).append(problem)
        if found:
            raise Unprocessable(_("Some fields are not right."), found)

    def _pace_problems(self) -> list[tuple[str, str]]:
        found = []
        if not 1 <= self.chunk_size <= LARGEST_CHUNK:
            found.append(("chunk_size", _("A number from 1 to %(most)s.") % {"most": LARGEST_CHUNK}))
        if self.chunks_per_minute is not None and not 0 < self.chunks_per_minute <= MOST_CHUNKS_PER_MINUTE:
            problem = _("A number above 0, at most %(most)s.") % {"most": MOST_CHUNKS_PER_MINUTE}
            found.append(("chunks_per_minute", problem))
        if self.wave_size is not None and not 1 <= self.wave_size <= LARGEST_WAVE:
            found.append(("wave_size", _("A number from 1 to %(most)s.") % {"most": LARGEST_WAVE}))
        if self.wave_pause_seconds is not None and not 0 <= self.wave_pause_seconds <= LONGEST_PAUSE:
            found.append(("wave_pause_seconds", _("At least 0 and at most 24 hours.")))
        elif self.wave_pause_seconds and self.wave_size is None:
            found.append(("wave_pause_seconds", _("Say how many indices a wave has, too.")))
        return found

    def _failure_problems(self) -> list[tuple[str, str]]:
        found = []
        if self.canary is not None and self.canary < 1:
            found.append(("canary", _("At least 1 index, or leave it empty.")))
        if self.canary is not None and self.canary_by_group:
            found.append(("canary_by_group", _("Either so many first, or one of each error group.")))
        rate = self.canary_max_failure_rate
        if rate is not None and not 0 <= rate <= 1:
            found.append(("canary_max_failure_rate", _("A share from 0 to 1.")))
        elif rate is not None and self.canary is None and not self.canary_by_group:
            found.append(("canary_max_failure_rate", _("Say how many indices go first, too.")))
        if self.stop_failure_rate is not None and not 0 <= self.stop_failure_rate < 1:
            found.append(("stop_failure_rate", _("A share from 0 to below 1.")))
        return found

    def _time_problems(self) -> list[tuple[str, str]]:
        found = []
        if self.not_before is not None and self.not_before > timezone.now() + LONGEST_DELAY:
            problem = _("At most %(most)s days ahead: until then no other job can take these indices.")
            found.append(("not_before", problem % {"most": LONGEST_DELAY.days}))
        for name, other in (("window_start", "window_end"), ("window_end", "window_start")):
            if getattr(self, name) and parse_time(getattr(self, name)) is None:
                found.append((name, _("A time of day, such as 22:00.")))
            elif getattr(self, other) and not getattr(self, name):
                found.append((name, _("A window needs both its times.")))
        if self.window_start and self.window_start == self.window_end:
            found.append(("window_end", _("Another time than the one it opens at.")))
        if parse_zone(self.time_zone) is None:
            found.append(("time_zone", _("There is no time zone of this name, such as Europe/Berlin.")))
        return found

    def _round_problems(self) -> list[tuple[str, str]]:
        found = []
        if not 1 <= self.rounds <= MOST_ROUNDS:
            found.append(("rounds", _("A number from 1 to %(most)s.") % {"most": MOST_ROUNDS}))
        pause = self.round_pause_seconds
        if pause is not None and not SHORTEST_ROUND_PAUSE <= pause <= LONGEST_PAUSE:
            found.append(("round_pause_seconds", _("At least 1 minute and at most 24 hours.")))
        elif pause is not None and self.rounds == 1:
            found.append(("round_pause_seconds", _("Say how many rounds, too.")))
        return found
