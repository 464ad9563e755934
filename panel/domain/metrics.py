"""Metrics of a mapped task: durations, throughput, the time that is left, failure rates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from panel.domain.outcomes import SETTLED, Outcome

WINDOW: Final = timedelta(minutes=10)
"""How far back the throughput of a map that still works looks."""
FEWEST_FINISHES: Final = 3
"""Fewer finishes in the window are no basis for saying how long the rest will take."""

RAN: Final = frozenset({Outcome.SUCCESS, Outcome.SOFT_FAILURE, Outcome.HARD_FAILURE, Outcome.UNKNOWN_RESULT})
"""Outcomes of instances that ran to an end; the durations of the others say nothing about the work."""


@dataclass(frozen=True, slots=True)
class Span:
    """When an instance that ran to an end did so; ``duration`` in seconds."""

    start_date: datetime | None
    end_date: datetime | None
    duration: float | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Durations in seconds. ``None`` where there is nothing to say it from.

    ``eta_seconds`` is 0 when nothing is left, ``None`` while too little has finished lately to tell. Rates are hard
    (soft) failures ÷ (total − skipped), 0 … 1.
    """

    duration_avg: float | None = None
    duration_p50: float | None = None
    duration_p95: float | None = None
    duration_max: float | None = None
    throughput_per_minute: float | None = None
    eta_seconds: float | None = None
    failure_rate: float | None = None
    soft_failure_rate: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        return asdict(self)


def measure(counts: Mapping[str, int], ran: Iterable[Span], *, now: datetime) -> Metrics:
    """The metrics of a map with these ``counts`` by outcome, whose instances in ``ran`` have run to an end."""
    spans = list(ran)
    durations = sorted(span.duration for span in spans if span.duration is not None and span.duration >= 0)
    total = sum(n for outcome, n in counts.items() if outcome != Outcome.REMOVED)
    left = sum(n for outcome, n in counts.items() if outcome not in SETTLED and outcome != Outcome.UNKNOWN_RESULT)
    throughput, finishes = _throughput(spans, at_work=left > 0, now=now)
    base = total - counts.get(Outcome.SKIPPED, 0)
    return Metrics(
        duration_avg=_rounded(sum(durations) / len(durations), 3) if durations else None,
        duration_p50=_rounded(percentile(durations, 0.50), 3),
        duration_p95=_rounded(percentile(durations, 0.95), 3),
        duration_max=_rounded(durations[-1], 3) if durations else None,
        throughput_per_minute=_rounded(throughput, 2),
        eta_seconds=_eta(left, total, throughput, finishes),
        failure_rate=_rounded(counts.get(Outcome.HARD_FAILURE, 0) / base, 4) if base else None,
        soft_failure_rate=_rounded(counts.get(Outcome.SOFT_FAILURE, 0) / base, 4) if base else None,
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _throughput(spans: Sequence[Span], *, at_work: bool, now: datetime) -> tuple[float | None, int]:
    """Finishes a minute, and how many finishes that rests on.

    Of a map at work: over the last minutes, up to now, so that a stuck one slows down. Of one that is done: over the
    time from its first start to its last end.
    """
    ends = [span.end_date for span in spans if span.end_date is not None]
    starts = [span.start_date for span in spans if span.start_date is not None]
    if not ends or not starts:
        return None, 0
    begin, end = min(starts), max(ends)
    if at_work:
        begin, end = max(begin, now - WINDOW), max(now, end)
        ends = [moment for moment in ends if moment >= begin]
    seconds = (end - begin).total_seconds()
    return (len(ends) / seconds * 60 if seconds > 0 else None), len(ends)


def _eta(left: int, total: int, throughput: float | None, finishes: int) -> float | None:
    if not left:
        return 0.0 if total else None
    if not throughput or finishes < FEWEST_FINISHES:
        return None
    return float(round(left / throughput * 60))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
