"""Metrics of a mapped task, with an honest None where nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from panel.domain.metrics import Metrics, Span, measure, percentile

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def span(began: float, took: float | None) -> Span:
    """Began so many seconds ago and took so many."""
    start = NOW - timedelta(seconds=began)
    return Span(start, None if took is None else start + timedelta(seconds=took), took)


def test_nothing_is_known_of_nothing():
    assert measure({}, [], now=NOW) == Metrics()


def test_durations_are_of_what_ran_to_an_end():
    metrics = measure(
        {"success": 4}, [span(100, 1), span(90, 2), span(80, 3), span(70, 10), Span(None, None, None)], now=NOW
    )
    assert (metrics.duration_avg, metrics.duration_p50, metrics.duration_p95, metrics.duration_max) == (4.0, 2, 10, 10)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.95, 7.0), ([1.0, 2.0], 0.5, 1.0), ([float(n) for n in range(1, 101)], 0.95, 95.0)],
)
def test_percentiles_are_values_that_occurred(values, share, expected):
    assert percentile(values, share) == expected


def test_rates_leave_out_what_was_skipped_or_removed():
    counts = {"success": 5, "hard_failure": 2, "soft_failure": 1, "skipped": 4, "removed": 9, "upstream_failed": 2}
    metrics = measure(counts, [], now=NOW)
    assert (metrics.failure_rate, metrics.soft_failure_rate) == (0.2, 0.1)


def test_there_is_no_rate_of_a_map_that_was_skipped_whole():
    metrics = measure({"skipped": 3}, [], now=NOW)
    assert (metrics.failure_rate, metrics.soft_failure_rate) == (None, None)


def test_a_finished_map_has_the_throughput_of_its_whole_life_and_nothing_left():
    metrics = measure({"success": 4}, [span(7200, 10), span(7190, 10), span(7180, 10), span(7090, 10)], now=NOW)
    assert metrics.throughput_per_minute == 2.0  # four in 120 seconds
    assert metrics.eta_seconds == 0


def test_a_map_at_work_is_judged_by_its_last_minutes():
    old = [span(4000 + n, 1) for n in range(50)]
    recent = [span(300, 1), span(200, 1), span(100, 1), span(50, 1), span(20, 1)]
    metrics = measure({"success": 55, "waiting": 10}, old + recent, now=NOW)
    assert metrics.throughput_per_minute == 0.5  # five in ten minutes
    assert metrics.eta_seconds == 1200


def test_a_young_map_is_judged_by_its_life_so_far():
    metrics = measure({"success": 3, "running": 1, "waiting": 2}, [span(60, 1), span(60, 2), span(60, 3)], now=NOW)
    assert (metrics.throughput_per_minute, metrics.eta_seconds) == (3.0, 60)


@pytest.mark.parametrize(
    ("counts", "ran"),
    [
        ({"waiting": 10}, []),
        ({"success": 2, "waiting": 10}, [span(60, 1), span(30, 1)]),  # two are no basis
        ({"success": 50, "waiting": 10}, [span(4000 + n, 1) for n in range(50)]),  # stuck for an hour
    ],
)
def test_how_long_it_takes_is_not_guessed(counts, ran):
    assert measure(counts, ran, now=NOW).eta_seconds is None


def test_one_instance_that_took_no_time_has_no_throughput():
    assert measure({"success": 1}, [span(60, 0)], now=NOW).throughput_per_minute is None


def test_results_that_are_not_read_yet_do_not_count_as_work_left():
    assert measure({"unknown_result": 3}, [span(60, 1)] * 3, now=NOW).eta_seconds == 0


def test_a_clock_that_runs_ahead_in_airflow_breaks_nothing():
    ahead = Span(NOW + timedelta(seconds=30), NOW + timedelta(seconds=40), -1.0)
    metrics = measure({"success": 1, "waiting": 1}, [ahead], now=NOW)
    assert metrics.duration_max is None
    assert metrics.throughput_per_minute == 6.0
