"""When the instances of a mapped task were queued, ran and ended, in the order that metrics and plots need."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from panel.domain.outcomes import Outcome

RAN: Final = frozenset({Outcome.SUCCESS, Outcome.SOFT_FAILURE, Outcome.HARD_FAILURE, Outcome.UNKNOWN_RESULT})
"""Outcomes of instances that ran to an end; the durations of the others say nothing about the work."""
STARTED: Final = RAN | {Outcome.RUNNING, Outcome.RETRYING}
"""Outcomes of instances whose current try took up a slot. Earlier tries are not known: they count nowhere."""


class Span(NamedTuple):
    """The current try of one instance: POSIX seconds (``None``: not yet, or not known), ``duration`` in seconds."""

    outcome: str
    queued: float | None
    started: float | None
    ended: float | None
    duration: float | None


@dataclass(frozen=True, slots=True)
class Timings:
    """Each sorted. ``durations`` and ``waits`` (queued until started) in seconds, the others in POSIX seconds.

    ``starts`` and ``ends`` are of tries that took up a slot: as many run now as there are more starts than ends.
    ``finishes`` are the ends of instances that ran to an end. What clocks that disagree turned round (an end before
    its start) is left out.
    """

    durations: Sequence[float] = ()
    waits: Sequence[float] = ()
    starts: Sequence[float] = ()
    ends: Sequence[float] = ()
    finishes: Sequence[float] = ()

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Self:
        durations, waits, starts, ends, finishes = [], [], [], [], []
        for outcome, queued, started, ended, duration in spans:
            if outcome in RAN:
                if duration is not None and duration >= 0:
                    durations.append(duration)
                if ended is not None:
                    finishes.append(ended)
            if started is None:
                continue
            if queued is not None and queued <= started:
                waits.append(started - queued)
            if ended is None and outcome == Outcome.RUNNING:
                starts.append(started)
            elif ended is not None and started <= ended:
                starts.append(started)
                ends.append(ended)
        for found in (durations, waits, starts, ends, finishes):
            found.sort()
        return cls(durations, waits, starts, ends, finishes)

    def running_at(self, moment: float) -> int:
        """How many took up a slot then; one that ends as another starts makes room for it."""
        return bisect_right(self.starts, moment) - bisect_right(self.ends, moment)

    def finished_between(self, begin: float, end: float) -> int:
        """How many came to their end from ``begin`` on and before ``end``."""
        return bisect_left(self.finishes, end) - bisect_left(self.finishes, begin)

    def peak(self) -> int:
        """The most that ran at once."""
        most = running = gone = 0
        for start in self.starts:
            while gone < len(self.ends) and self.ends[gone] <= start:
                gone += 1
                running -= 1
            running += 1
            most = max(most, running)
        return most


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
