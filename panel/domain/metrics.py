"""Metrics of a mapped task: durations, waits, throughput, the time that is left, failure rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from panel.domain.outcomes import SETTLED, Outcome
from panel.domain.timings import Timings, percentile

WINDOW_SECONDS: Final = 600.0
"""How far back the throughput of a map that still works looks."""
SLICES: Final = 10
"""Parts of that window whose finishes are compared, to see how unsteady the work is."""
FEWEST_FINISHES: Final = 3
"""Fewer finishes in the window (after a discount for those that came in bursts) are no basis for a guess."""
SPREAD: Final = 1.645
"""Standard deviations to either side that hold 90%."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Durations and waits (queued until started) in seconds. ``None`` where there is nothing to say it from.

    ``throughput_per_minute`` is that of the last minutes while the map works, else that of its whole life, as
    ``throughput_run_per_minute`` always is. ``eta_seconds`` is 0 when nothing is left, ``None`` while too little has
    finished lately to tell; the truth lies between ``eta_low_seconds`` and ``eta_high_seconds`` nine times in ten if
    the work goes on as it did and the map is many times larger than what runs at once. ``results_eta_seconds``: until
    the results that are unread are read. Rates are hard (soft) failures ÷ (total − skipped), 0 … 1.
    """

    duration_avg: float | None = None
    duration_p50: float | None = None
    duration_p95: float | None = None
    duration_max: float | None = None
    queue_wait_avg: float | None = None
    queue_wait_p50: float | None = None
    queue_wait_p95: float | None = None
    queue_wait_max: float | None = None
    concurrency_peak: float | None = None
    throughput_per_minute: float | None = None
    throughput_run_per_minute: float | None = None
    eta_seconds: float | None = None
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None
    results_eta_seconds: float | None = None
    failure_rate: float | None = None
    soft_failure_rate: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Eta:
    """Seconds until nothing is left: the plain guess, and the bounds of a 90% interval."""

    seconds: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Pace:
    """``rate``: finishes a second lately; ``finishes``: how many it rests on; ``burst``: variance ÷ mean of their
    number over time, 1 when they come independently, as many as run at once when those end together."""

    rate: float
    finishes: int
    burst: float


def measure(
    counts: Mapping[str, int], timings: Timings, *, now: float, results_eta_seconds: float | None = None
) -> Metrics:
    """The metrics of a map with these ``counts`` by outcome; ``now`` in POSIX seconds."""
    total = sum(n for outcome, n in counts.items() if outcome != Outcome.REMOVED)
    left = left_in(counts)
    over_run = _throughput_of_run(timings, at_work=left > 0, now=now)
    pace = pace_of(timings, now=now) if left else None
    running = counts.get(Outcome.RUNNING, 0)
    longest = percentile(timings.durations, 1 - 0.05 / max(1, running))  # that none of so many exceeds, 95% sure
    eta = eta_of(left, running, pace, longest or 0.0) if left else (Eta(0.0, 0.0, 0.0) if total else None)
    base = total - counts.get(Outcome.SKIPPED, 0)
    return Metrics(
        **_summary("duration", timings.durations),
        **_summary("queue_wait", timings.waits),
        concurrency_peak=float(timings.peak()) if timings.starts else None,
        throughput_per_minute=_rounded(pace.rate * 60 if pace else over_run, 2),
        throughput_run_per_minute=_rounded(over_run, 2),
        eta_seconds=_rounded(eta.seconds if eta else None, 0),
        eta_low_seconds=_rounded(eta.low if eta else None, 0),
        eta_high_seconds=_rounded(eta.high if eta else None, 0),
        results_eta_seconds=_rounded(results_eta_seconds, 0),
        failure_rate=_rounded(counts.get(Outcome.HARD_FAILURE, 0) / base, 4) if base else None,
        soft_failure_rate=_rounded(counts.get(Outcome.SOFT_FAILURE, 0) / base, 4) if base else None,
    )


def left_in(counts: Mapping[str, int]) -> int:
    """How many instances still have to run; a result that is not read yet is no work left."""
    return sum(n for outcome, n in counts.items() if outcome not in SETTLED and outcome != Outcome.UNKNOWN_RESULT)


def pace_of(timings: Timings, *, now: float) -> Pace | None:
    """How fast a map at work gets on: finishes of the last ten minutes, up to now, so that a stuck one slows down.

    The look back ends where the map stood idle: after a retry the hours before it say nothing. ``None`` when nothing
    ever finished.
    """
    if not timings.finishes or not timings.starts:
        return None
    begin, end = now - WINDOW_SECONDS, max(now, timings.finishes[-1])
    if not timings.running_at(begin):
        begin = next((start for start in timings.starts if start > begin), begin)
    if end <= begin:
        return None
    width = (end - begin) / SLICES
    slices = [timings.finished_between(begin + n * width, begin + (n + 1) * width) for n in range(SLICES)]
    found = timings.finished_between(begin, math.inf)
    return Pace(rate=found / (end - begin), finishes=found, burst=_dispersion(slices))


def eta_of(left: int, running: int, pace: Pace | None, longest: float) -> Eta | None:
    """Until ``left`` instances have finished, ``running`` of which have started; ``longest`` is what the slowest of as
    many may take.

    Two things are uncertain: the rate, which rests on few finishes, and how the next ones will come. A count of n
    finishes in bursts varies by about √(n × burst), which is √(burst ÷ n) of it. And the last one to start runs its
    whole time after all others have started, however fast they went before.
    """
    if pace is None or pace.finishes < FEWEST_FINISHES * pace.burst:
        return None
    waiting = max(0, left - running)
    factor = math.exp(SPREAD * math.sqrt(pace.burst * (1 / pace.finishes + 1 / left)))
    seconds = left / pace.rate
    high = max(seconds * factor, waiting / pace.rate * factor + longest)
    return Eta(seconds=seconds, low=seconds / factor, high=high)


def _throughput_of_run(timings: Timings, *, at_work: bool, now: float) -> float | None:
    """Finishes a minute from the first start to the last end, or until now."""
    if not timings.finishes or not timings.starts:
        return None
    end = max(now, timings.finishes[-1]) if at_work else timings.finishes[-1]
    seconds = end - timings.starts[0]
    return len(timings.finishes) / seconds * 60 if seconds > 0 else None


def _dispersion(slices: Sequence[int]) -> float:
    """Variance ÷ mean, at least 1: steadier than chance is not believed."""
    mean = sum(slices) / len(slices)
    variance = sum((n - mean) ** 2 for n in slices) / (len(slices) - 1)
    return max(1.0, variance / mean) if mean else 1.0


def _summary(name: str, ordered: Sequence[float]) -> dict[str, float | None]:
    return {
        f"{name}_avg": _rounded(sum(ordered) / len(ordered), 3) if ordered else None,
        f"{name}_p50": _rounded(percentile(ordered, 0.50), 3),
        f"{name}_p95": _rounded(percentile(ordered, 0.95), 3),
        f"{name}_max": _rounded(ordered[-1], 3) if ordered else None,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
