"""Small plots as SVG: where each bar, mark and tick is, in percent and pixels, as attributes (no inline style).

Across everything is in percent, so that a plot takes the width there is; upwards in pixels.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from panel.domain.outcomes import Outcome
from panel.ui.looks import OUTCOMES
from panel.ui.words import duration_words, grouped_words, percent_words, round_words

HEIGHT: Final = 72.0
HEADROOM: Final = 28.0
"""Pixels above the bars, for the names of marks."""
FOOTROOM: Final = 18.0
"""Pixels below them, for ticks."""
LEAST: Final = 1.5
"""Pixels: one of 100,000 must still be seen."""
MOST_TICKS: Final = 5
STACKED: Final = (Outcome.HARD_FAILURE, Outcome.SOFT_FAILURE, Outcome.UPSTREAM_FAILED)
"""Of a column of failures, from the floor up."""


@dataclass(frozen=True, slots=True)
class Rect:
    """``title`` is what the pointer is told."""

    x: str
    width: str
    y: str
    height: str
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An upright line with its name beside it, on the side that ``anchor`` leaves."""

    x: str
    text: str
    text_y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Tick:
    x: str
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Plot:
    """``label`` is what a screen reader says; ``rows`` are the numbers, for the table beside the picture."""

    bars: Sequence[Rect]
    label: str
    rows: Sequence[tuple[str, ...]]
    marks: Sequence[Mark] = ()
    ticks: Sequence[Tick] = ()

    @property
    def floor(self) -> float:
        """Pixels from the top down to where the bars stand."""
        return HEIGHT + (HEADROOM if self.marks else 0.0)

    @property
    def height(self) -> float:
        return self.floor + (FOOTROOM if self.ticks else 1.0)

    @property
    def ticks_y(self) -> float:
        return self.height - 2.0


@dataclass(frozen=True, slots=True)
class Level:
    """A part of a column, in percent of its height; ``tone`` is that of a state, if it shows one."""

    y: str
    height: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One run: the share of failures beside the worst run shown, and how long indices took beside the slowest."""

    failures: Sequence[Level]
    p50: Level
    p95: Level
    label: str


@dataclass(frozen=True, slots=True)
class Trend:
    """``worst`` (0 … 1) and ``slowest`` (seconds) are what columns of full height stand for."""

    columns: Sequence[Column]
    worst: float
    slowest: float


def histogram_plot(edges: Sequence[float], counts: Sequence[int], marks: Mapping[str, float | None]) -> Plot | None:
    """How many took how long. ``marks``: values to be marked, by name (``{"p50": 4.1}``). ``None`` without any."""
    if not counts:
        return None
    names = [f"{round_words(low)} – {round_words(high)}" for low, high in pairwise(edges)]
    rows = [(name, grouped_words(count)) for name, count in zip(names, counts, strict=True)]
    known = [(name, value) for name, value in marks.items() if value is not None]
    said = ", ".join(f"{name} {duration_words(value)}" for name, value in known)
    return Plot(
        bars=_bars(counts, [f"{name}: {count}" for name, count in rows], HEADROOM if known else 0.0),
        label=_("Durations: %(marks)s; most took %(most)s.")
        % {"marks": said, "most": names[counts.index(max(counts))]},
        rows=rows,
        marks=[_mark(edges, name, value, row, last=row == len(known) - 1) for row, (name, value) in enumerate(known)],
        ticks=_ticks(edges),
    )


def timeline_plots(data: Mapping[str, Any]) -> tuple[Plot, Plot] | None:
    """(how many ran at once, how many finished) over time, from a domain Timeline. ``None`` without anything."""
    step, running, finished = int(data["step"]), list(data["running"]), list(data["finished"])
    if not running:
        return None
    times = [round_words(place * step) for place in range(len(running))]
    each = round_words(step)
    ran = [(time, number_format(value, 1)) for time, value in zip(times, running, strict=True)]
    done = [(time, grouped_words(value)) for time, value in zip(times, finished, strict=True)]
    hint = _("%(time)s after the start: %(number)s")
    return (
        Plot(
            bars=_bars(running, [hint % {"time": time, "number": number} for time, number in ran]),
            label=_("Running at once: %(peak)s at the most.") % {"peak": grouped_words(data["peak"])},
            rows=[(*row, count) for row, (_time, count) in zip(ran, done, strict=True)],
        ),
        Plot(
            bars=_bars(finished, [hint % {"time": time, "number": number} for time, number in done]),
            label=_("Finished in each %(step)s: %(most)s at the most.")
            % {"step": each, "most": grouped_words(max(finished))},
            rows=done,
        ),
    )


def trend_of(runs: Sequence[tuple[Mapping[str, int], Mapping[str, float | None]]]) -> Trend:
    """A column for each run's counts by outcome and metrics, in their order."""
    shares = [_failure_shares(counts) for counts, _metrics in runs]
    worst = max((sum(of_run) for of_run in shares), default=0.0)
    slowest = max((metrics.get("duration_p95") or 0.0 for _counts, metrics in runs), default=0.0)
    columns = [
        Column(
            failures=_stacked(of_run, worst),
            p50=_level(metrics.get("duration_p50") or 0.0, slowest),
            p95=_level(metrics.get("duration_p95") or 0.0, slowest),
            label=_("hard %(hard)s, soft %(soft)s, p50 %(p50)s, p95 %(p95)s")
            % {
                "hard": percent_words(metrics.get("failure_rate")),
                "soft": percent_words(metrics.get("soft_failure_rate")),
                "p50": duration_words(metrics.get("duration_p50")),
                "p95": duration_words(metrics.get("duration_p95")),
            },
        )
        for of_run, (_counts, metrics) in zip(shares, runs, strict=True)
    ]
    return Trend(columns, worst, slowest)


def _failure_shares(counts: Mapping[str, int]) -> list[float]:
    """Of what was not skipped or removed, as the rates of the metrics are."""
    left_out = counts.get(Outcome.SKIPPED, 0) + counts.get(Outcome.REMOVED, 0)
    base = sum(counts.values()) - left_out
    return [counts.get(outcome, 0) / base if base else 0.0 for outcome in STACKED]


def _stacked(shares: Sequence[float], worst: float) -> list[Level]:
    levels, below = [], 0.0
    for outcome, share in zip(STACKED, shares, strict=True):
        if share:
            levels.append(_level(share, worst, below, OUTCOMES[outcome].tone))
            below += share
    return levels


def _bars(values: Sequence[float], titles: Sequence[str], headroom: float = 0.0) -> list[Rect]:
    width, most = 100 / len(values), max(values) or 1
    heights = [max(LEAST, value / most * HEIGHT) if value > 0 else 0.0 for value in values]
    return [
        Rect(_percent(place * width), _percent(width), f"{headroom + HEIGHT - height:.1f}", f"{height:.1f}", title)
        for place, (height, title) in enumerate(zip(heights, titles, strict=True))
    ]


def _mark(edges: Sequence[float], name: str, value: float, row: int, *, last: bool) -> Mark:
    """Inside its bin in proportion. Names lean outwards where there is room, and have a row each."""
    place = min(max(bisect_right(edges, value) - 1, 0), len(edges) - 2)
    low, high = edges[place], edges[place + 1]
    inside = min(max((value - low) / (high - low), 0.0), 1.0)
    x = (place + inside) / (len(edges) - 1) * 100
    anchor = ("start" if x < 70 else "end") if last else ("end" if x > 30 else "start")
    return Mark(_percent(x), f"{name} {duration_words(value)}", 10.0 + 13.0 * row, anchor)


def _ticks(edges: Sequence[float]) -> list[Tick]:
    last = len(edges) - 1
    places = sorted({round(n * last / (MOST_TICKS - 1)) for n in range(MOST_TICKS)})
    anchors = {0: "start", last: "end"}
    return [
        Tick(_percent(place / last * 100), round_words(edges[place]), anchors.get(place, "middle")) for place in places
    ]


def _level(value: float, most: float, below: float = 0.0, tone: str = "") -> Level:
    scale = 100 / most if most else 0.0
    return Level(_percent(100 - (below + value) * scale), _percent(value * scale), tone)


def _percent(value: float) -> str:
    return f"{value:.2f}%"
