"""What is known of the tries of a map, brute force beside it."""

from __future__ import annotations

import random

import pytest

from panel.domain.timings import Span, Timings, percentile


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.95, 7.0), ([1.0, 2.0], 0.5, 1.0), ([float(n) for n in range(1, 101)], 0.95, 95.0)],
)
def test_percentiles_are_values_that_occurred(values, share, expected):
    assert percentile(values, share) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 10, 99, 1000])
def test_a_percentile_is_the_least_value_that_its_share_does_not_exceed(size):
    dice = random.Random(size)
    values = sorted(dice.choice([0.0, dice.lognormvariate(0, 2)]) for _ in range(size))
    for share in (0.01, 0.5, 0.9, 0.95, 1.0):
        found = percentile(values, share)
        assert found in values
        assert sum(value <= found for value in values) >= share * size - 1e-9
        assert sum(value < found for value in values) < share * size + 1e-9


def test_what_is_not_known_or_cannot_be_is_left_out():
    timings = Timings.of(
        [
            Span("success", None, None, None, None),  # marked by hand
            Span("success", 10.0, 20.0, 15.0, -5.0),  # ended before it started
            Span("success", 30.0, 20.0, 25.0, 5.0),  # started before it was queued
            Span("success", None, 40.0, None, None),  # no end, though it has one
            Span("running", 50.0, 60.0, None, None),
            Span("retrying", None, 61.0, 70.0, 9.0),
        ]
    )
    assert timings.durations == [5.0]
    assert timings.waits == [10.0, 10.0]
    assert timings.starts == [20.0, 60.0, 61.0]
    assert timings.ends == [25.0, 70.0]
    assert timings.finishes == [15.0, 25.0]


def test_one_that_ends_makes_room_for_the_next():
    spans = [Span("success", None, float(n), float(n + 1), 1.0) for n in range(5)]
    assert Timings.of(spans).peak() == 1
    assert Timings.of(spans).running_at(2.0) == 1


def test_a_map_of_nothing_has_no_peak():
    assert Timings().peak() == 0


def test_how_many_run_agrees_with_counting_them():
    dice = random.Random(7)
    spans = [(start := dice.uniform(0, 100), start + dice.expovariate(0.1)) for _ in range(300)]
    timings = Timings.of(Span("success", None, start, end, end - start) for start, end in spans)
    moments = [moment for span in spans for moment in span]
    counted = {moment: sum(start <= moment < end for start, end in spans) for moment in moments}
    assert {moment: timings.running_at(moment) for moment in moments} == counted
    assert timings.peak() == max(counted.values())
