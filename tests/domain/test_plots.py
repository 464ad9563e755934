"""What the plots are drawn from: everything is in them, once."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from panel.domain.plots import MOST_BINS, MOST_BUCKETS, Histogram, Timeline, histogram, timeline
from panel.domain.timings import Span, Timings


def timings(spans: list[tuple[float, float | None]]) -> Timings:
    return Timings.of(
        Span("running" if end is None else "success", None, start, end, None if end is None else end - start)
        for start, end in spans
    )


# ── Histogram ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_histogram_of_nothing_is_empty():
    assert histogram([]) == Histogram()


@pytest.mark.parametrize(
    "values",
    [
        [0.0],
        [5.0],
        [5.0] * 40,
        [0.0, 0.0004],
        [0.0, 0.5, 100_000.0],
        [1.0, 2.0, 3.0],
        [59.99, 60.0, 60.01],
        [0.1 * n for n in range(1, 12)],
        [10.0**n for n in range(-6, 9)],
        [0.002, 0.002, 5e7],
        [3_600.0 * n for n in range(1, 30)],
    ],
    ids=str,
)
def test_every_value_lies_in_one_bin(values):
    found = histogram(sorted(values))
    assert len(found.edges) == len(found.counts) + 1
    assert len(found.counts) <= MOST_BINS + 1
    assert list(found.edges) == sorted(set(found.edges))
    for (low, high), count in zip(pairwise(found.edges), found.counts, strict=True):
        assert count == sum(low <= value < high for value in values)
    assert sum(found.counts) == len(values)


@pytest.mark.parametrize("seed", range(20))
def test_every_value_of_any_spread_lies_in_one_bin(seed):
    dice = random.Random(seed)
    middle, spread = dice.uniform(-3, 6), dice.uniform(0, 3)
    values = sorted(dice.lognormvariate(middle, spread) for _ in range(dice.randint(1, 500)))
    found = histogram(values)
    assert sum(found.counts) == len(values)
    assert len(found.counts) <= MOST_BINS + 1
    assert found.edges[0] <= values[0]
    assert values[-1] < found.edges[-1]


def test_bins_have_round_edges_of_one_width():
    assert list(histogram([float(n) for n in range(40, 58)]).edges) == [float(n) for n in range(40, 59)]


def test_what_ranges_widely_has_edges_that_grow():
    assert list(histogram([0.3, 1.0, 30.0, 90.0]).edges) == [0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120]


# ── Timeline ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_timeline_of_nothing_is_empty():
    assert timeline(Timings(), until=100.0) == Timeline()


def test_it_tells_how_many_ran_on_average_and_how_many_finished():
    found = timeline(timings([(0.0, 10.0), (0.0, 5.0), (5.0, 10.0), (10.0, 10.5)]))
    assert (found.start, found.step, found.peak) == (0.0, 1, 2)
    assert found.running == [2.0] * 10 + [1.0]
    assert found.finished == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 3]


def test_what_still_runs_does_so_until_now():
    found = timeline(timings([(100.0, None), (104.0, 106.0)]), until=110.0)
    assert found.running == [1.0] * 4 + [2.0] * 2 + [1.0] * 4 + [0.0]
    assert sum(found.finished) == 1


@pytest.mark.parametrize("length", [0.0, 0.2, 3.0, 58.0, 61.0, 3_599.0, 90_000.0, 4e6, 4e8])
def test_it_never_has_more_than_sixty_buckets(length):
    found = timeline(timings([(7.7, 7.7 + length)]))
    assert 1 <= len(found.running) == len(found.finished) <= MOST_BUCKETS
    assert sum(found.finished) == 1


@pytest.mark.parametrize("seed", range(20))
def test_all_the_time_that_was_worked_is_in_it(seed):
    """Mean concurrency × time = the sum of the durations; every finish is in one bucket."""
    dice = random.Random(seed)
    begin, length = 1.795e9 + dice.random() * 1e5, dice.choice([5, 300, 10_000, 200_000])
    starts = [begin + dice.random() * length for _ in range(dice.randint(1, 400))]
    spans = [(start, start + dice.expovariate(5 / length)) for start in starts]
    found = timeline(timings([*spans]))
    first, last = min(starts), max(end for _start, end in spans)
    worked = 0.0
    for place, running in enumerate(found.running):
        low, high = found.start + place * found.step, found.start + (place + 1) * found.step
        worked += running * max(0.0, min(high, last) - max(low, first))
    assert worked == pytest.approx(sum(end - start for start, end in spans), rel=0.01, abs=found.step)
    assert sum(found.finished) == len(spans)
    assert max(found.running) <= found.peak
