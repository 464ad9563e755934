"""What plots are drawn from: few numbers, however many instances they tell about."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Final

from panel.domain.timings import Timings

MOST_BINS: Final = 20
MOST_BUCKETS: Final = 60
WIDE: Final = 20.0
"""From this ratio of the largest to the smallest duration on, bins of one width would put nearly all into one."""
_HOUR: Final = 3_600
_DAY: Final = 24 * _HOUR
ROUND: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800,
    _HOUR, 2 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 5 * _DAY, 10 * _DAY, 20 * _DAY, 50 * _DAY, 100 * _DAY,
)  # fmt: skip
"""Seconds that people find round: the widths of bins and buckets, and the edges of bins that grow."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values lie in each bin: from one edge (seconds) up to, without, the next; one edge more than counts."""

    edges: Sequence[float] = ()
    counts: Sequence[int] = ()

    def as_dict(self) -> dict[str, Any]:
        return {"edges": list(self.edges), "counts": list(self.counts)}


@dataclass(frozen=True, slots=True)
class Timeline:
    """A map over time, in buckets of ``step`` seconds; ``start`` is the beginning of the first, in POSIX seconds.

    ``running`` is how many ran at once on average of the bucket (of the part of it that lies between the first start
    and the end of the timeline), ``finished`` how many came to their end in it, ``peak`` the most that ran at once.
    """

    start: float = 0.0
    step: int = 1
    running: Sequence[float] = ()
    finished: Sequence[int] = ()
    peak: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "start": self.start,
            "step": self.step,
            "running": list(self.running),
            "finished": list(self.finished),
            "peak": self.peak,
        }


def histogram(ordered: Sequence[float]) -> Histogram:
    """Sorted values, none below 0, in at most twenty bins with round edges.

    Bins of one width; where the values range widely, bins that grow, from one round duration to the next.
    """
    if not ordered:
        return Histogram()
    low, high = ordered[0], ordered[-1]
    edges = _growing(low, high) if high > WIDE * max(low, ROUND[0]) else _even(low, high)
    places = [bisect_left(ordered, edge) for edge in edges]
    return Histogram(edges, [after - before for before, after in pairwise(places)])


def timeline(timings: Timings, *, until: float | None = None) -> Timeline:
    """The timeline of these timings, up to their last end; ``until`` (POSIX seconds) that of a map still at work."""
    if not timings.starts:
        return Timeline()
    begin = timings.starts[0]
    moments = [begin, *timings.ends[-1:], *timings.finishes[-1:], *([] if until is None else [until])]
    end = max(moments)
    step = _step(end - begin)
    first = begin // step * step
    buckets = int((end - first) // step) + 1
    edges = [first + n * step for n in range(buckets + 1)]
    return Timeline(
        start=first,
        step=step,
        running=_means(timings, edges, begin, end),
        finished=[timings.finished_between(a, b) for a, b in pairwise(edges)],
        peak=timings.peak(),
    )


def _means(timings: Timings, edges: Sequence[float], begin: float, end: float) -> list[float]:
    """Mean concurrency: the area under it between two edges is the growth of Σ(t − start) − Σ(t − end) over the
    starts and ends before t."""
    starts, ends = [s - begin for s in timings.starts], [e - begin for e in timings.ends]
    summed = [0.0, *accumulate(starts)], [0.0, *accumulate(ends)]
    inside = [min(max(edge, begin), end) - begin for edge in edges]
    areas = [_passed(starts, summed[0], t) - _passed(ends, summed[1], t) for t in inside]
    return [
        round((areas[n + 1] - areas[n]) / (inside[n + 1] - inside[n]), 2) if inside[n + 1] > inside[n] else 0.0
        for n in range(len(edges) - 1)
    ]


def _passed(moments: Sequence[float], summed: Sequence[float], t: float) -> float:
    before = bisect_left(moments, t)
    return before * t - summed[before]


def _step(seconds: float) -> int:
    """So that there are at most sixty buckets, the first and the last of which may be partial."""
    return max(1, math.ceil(_round_up(seconds / (MOST_BUCKETS - 1))))


def _even(low: float, high: float) -> list[float]:
    """Edges of one round width that hold both, the upper one inside the last bin."""
    width = _round_up((high - low) / (MOST_BINS - 2) if high > low else high / 10)
    first, last = math.floor(low / width + 1e-9), math.floor(high / width + 1e-9)
    edges = [round(n * width, 9) for n in range(first, last + 2)]
    return [min(edges[0], low), *edges[1:]]


def _growing(low: float, high: float) -> list[float]:
    """Round durations, from the last that the smallest value reaches (or 0) to the first above all."""
    reached, above = bisect_right(ROUND, low) - 1, bisect_right(ROUND, high)
    edges = list(ROUND[max(reached, above + 1 - MOST_BINS, 0) : above + 1])
    if above == len(ROUND):
        edges.append(_round_up(high + 1))
    return edges if low >= edges[0] else [0.0, *edges]


def _round_up(seconds: float) -> float:
    """The next round duration; beyond the longest one, multiples of it."""
    longest = ROUND[-1]
    return next((one for one in ROUND if one >= seconds * (1 - 1e-9)), math.ceil(seconds / longest) * longest)
