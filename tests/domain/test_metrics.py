"""Metrics of a mapped task, with an honest None where nothing is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from heapq import heapify, heapreplace

import pytest

from panel.domain.metrics import Metrics, measure
from panel.domain.outcomes import Outcome
from panel.domain.timings import Span, Timings

NOW = 1_795_000_000.0


def span(began: float, took: float | None, outcome: str = "success", waited: float = 0.0) -> Span:
    """Began so many seconds ago, took so many, after it had waited in the queue."""
    start = NOW - began
    return Span(outcome, start - waited, start, None if took is None else start + took, took)


def measured(counts: Mapping[str, int], spans: list[Span], now: float = NOW) -> Metrics:
    return measure(counts, Timings.of(spans), now=now)


def test_nothing_is_known_of_nothing():
    assert measured({}, []) == Metrics()


def test_durations_are_of_what_ran_to_an_end():
    spans = [span(100, 1), span(90, 2), span(80, 3, "hard_failure"), span(70, 10, "unknown_result")]
    spans += [span(60, 99, "retrying"), span(50, None, "running"), Span("success", None, None, None, None)]
    metrics = measured({"success": 4}, spans)
    assert (metrics.duration_avg, metrics.duration_p50, metrics.duration_p95, metrics.duration_max) == (4.0, 2, 10, 10)


def test_one_instance_is_its_own_average():
    metrics = measured({"hard_failure": 1}, [span(9, 4, "hard_failure")])
    assert {metrics.duration_avg, metrics.duration_p50, metrics.duration_p95, metrics.duration_max} == {4.0}
    assert (metrics.failure_rate, metrics.concurrency_peak) == (1.0, 1)


def test_waits_in_the_queue_are_of_whatever_has_started():
    spans = [span(100, 1, waited=2), span(90, None, "running", waited=4), Span("success", None, NOW, NOW, 0.0)]
    metrics = measured({"success": 2, "running": 1}, spans)
    assert (metrics.queue_wait_avg, metrics.queue_wait_p50, metrics.queue_wait_max) == (3.0, 2.0, 4.0)


def test_rates_leave_out_what_was_skipped_or_removed():
    counts = {"success": 5, "hard_failure": 2, "soft_failure": 1, "skipped": 4, "removed": 9, "upstream_failed": 2}
    metrics = measured(counts, [])
    assert (metrics.failure_rate, metrics.soft_failure_rate) == (0.2, 0.1)


def test_there_is_no_rate_of_a_map_that_was_skipped_whole():
    metrics = measured({"skipped": 3}, [])
    assert (metrics.failure_rate, metrics.soft_failure_rate, metrics.eta_seconds) == (None, None, 0)


def test_a_finished_map_has_the_throughput_of_its_whole_life_and_nothing_left():
    metrics = measured({"success": 4}, [span(7200, 10), span(7190, 10), span(7180, 10), span(7090, 10)])
    assert metrics.throughput_per_minute == metrics.throughput_run_per_minute == 2.0  # four in 120 seconds
    assert (metrics.eta_seconds, metrics.eta_low_seconds, metrics.eta_high_seconds) == (0, 0, 0)


def test_a_map_at_work_is_judged_by_its_last_minutes_and_says_its_whole_life_too():
    old = [span(4000 + n, 1) for n in range(50)]
    steady = [span(60 * n + 59, 60) for n in range(10)] + [span(599, None, "running")]
    metrics = measured({"success": 60, "running": 1, "waiting": 9}, old + steady)
    assert metrics.throughput_per_minute == pytest.approx(1.0, abs=0.02)
    assert metrics.throughput_run_per_minute == pytest.approx(60 / (4049 / 60), abs=0.01)
    assert metrics.eta_seconds == pytest.approx(600, abs=10)


def test_hours_in_which_a_map_stood_still_do_not_slow_down_its_retry():
    """The first run ended long ago; the retry began two minutes ago and finishes one every ten seconds."""
    spans = [span(9000 + n, 1) for n in range(50)] + [span(10 * n + 10, 10) for n in range(12)]
    metrics = measured({"success": 62, "waiting": 12}, spans)
    assert (metrics.throughput_per_minute, metrics.eta_seconds) == (6.0, 120)


@pytest.mark.parametrize(
    ("counts", "spans"),
    [
        ({"waiting": 10}, []),
        ({"running": 3, "waiting": 7}, [span(60, None, "running")] * 3),
        ({"success": 2, "waiting": 10}, [span(60, 1), span(30, 1)]),
        ({"success": 8, "running": 8, "waiting": 80}, [span(70, 60)] * 8 + [span(10, None, "running")] * 8),  # a burst
        ({"success": 50, "waiting": 10}, [span(4000 + n, 1) for n in range(50)]),  # stuck for an hour
    ],
    ids=["nothing began", "nothing finished", "two finished", "one burst finished", "stuck"],
)
def test_how_long_it_takes_is_not_guessed(counts, spans):
    metrics = measured(counts, spans)
    assert (metrics.eta_seconds, metrics.eta_low_seconds, metrics.eta_high_seconds) == (None, None, None)


def test_the_last_one_running_may_take_as_long_as_the_slow_ones_did():
    spans = [span(300 - n, 1 if n % 10 else 40) for n in range(250)]
    metrics = measured({"success": 250, "waiting": 1}, spans)
    assert metrics.eta_seconds is not None
    assert metrics.eta_high_seconds is not None
    assert metrics.eta_seconds < 2
    assert metrics.eta_high_seconds >= 40


def test_one_instance_that_took_no_time_has_no_throughput():
    assert measured({"success": 1}, [span(60, 0)]).throughput_per_minute is None


def test_results_that_are_not_read_yet_do_not_count_as_work_left():
    assert measured({"unknown_result": 3}, [span(60, 1, "unknown_result")] * 3).eta_seconds == 0


def test_a_clock_that_runs_ahead_in_airflow_breaks_nothing():
    ahead = Span("success", NOW + 99, NOW + 30, NOW + 40, -1.0)
    metrics = measured({"success": 1, "waiting": 1}, [ahead])
    assert (metrics.duration_max, metrics.queue_wait_max) == (None, None)
    assert metrics.throughput_per_minute == 6.0


# ── The bounds of the time that is left ──────────────────────────────────────────────────────────────────────────
def work_through(total: int, slots: int, duration: Callable[[], float]) -> list[tuple[float, float]]:
    """(start, end) of each instance of a map that begins at 0, as a pool of slots works through it."""
    free = [0.0] * slots
    heapify(free)
    done = []
    for _ in range(total):
        begin = free[0]
        end = begin + duration()
        heapreplace(free, end)
        done.append((begin, end))
    return done


def seen_at(moment: float, work: list[tuple[float, float]]) -> tuple[dict[str, int], list[Span]]:
    """What the mirror knows of that work at that moment."""
    counts = {outcome.value: 0 for outcome in (Outcome.SUCCESS, Outcome.RUNNING, Outcome.WAITING)}
    spans = []
    for begin, end in work:
        outcome = "success" if end <= moment else "running" if begin <= moment else "waiting"
        counts[outcome] += 1
        if outcome == "success":
            spans.append(Span(outcome, begin, begin, end, end - begin))
        elif outcome == "running":
            spans.append(Span(outcome, begin, begin, None, None))
    return counts, spans


def bounds_hold(work: list[tuple[float, float]]) -> list[bool]:
    """At moments all along the work: whether the truth lay between the bounds, wherever there were any."""
    whole = max(end for _begin, end in work)
    held = []
    for percent in range(20, 100, 4):
        moment = whole * percent / 100
        counts, spans = seen_at(moment, work)
        metrics = measured(counts, spans, now=moment)
        if metrics.eta_seconds is None or metrics.eta_low_seconds is None or metrics.eta_high_seconds is None:
            continue
        assert metrics.eta_low_seconds <= metrics.eta_seconds <= metrics.eta_high_seconds
        held.append(metrics.eta_low_seconds - 1 <= whole - moment <= metrics.eta_high_seconds + 1)
    return held


@pytest.mark.parametrize("slots", [1, 3, 16])
@pytest.mark.parametrize("took", [2.0, 60.0])
@pytest.mark.parametrize("total", [40, 400])
def test_the_truth_lies_between_the_bounds_of_steady_work(total, slots, took):
    held = bounds_hold(work_through(total, slots, lambda: took))
    assert held or total <= 3 * slots
    assert all(held)


@pytest.mark.parametrize(
    "draw",
    [
        lambda dice: dice.uniform(1, 10),
        lambda dice: dice.expovariate(1 / 20),
        lambda dice: dice.lognormvariate(1, 0.8),
    ],
    ids=["uniform", "exponential", "lognormal"],
)
def test_the_truth_lies_between_the_bounds_of_random_work_nine_times_in_ten(draw):
    dice = random.Random(20261122)
    held = [
        one
        for slots in (1, 4, 16)
        for total in (20 * slots, 80 * slots)
        for _again in range(4)
        for one in bounds_hold(work_through(total, slots, lambda: draw(dice)))
    ]
    assert len(held) > 100
    assert sum(held) / len(held) >= 0.9
