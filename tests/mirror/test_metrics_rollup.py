"""Metrics and plots of a mapped task follow its rows, and are worked out only when those changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from panel.mirror.claims import claim
from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync.store import finish, store
from tests.mirror.stage import mirrored_task


def again(task: MappedTask, changed: list[Instance] | None = None, gone: set[int] | None = None) -> MappedTask:
    """What a pass that read these rows leaves."""
    held = claim(task)
    assert held is not None
    store(held, changed or [], gone or set())
    finish(held)
    held.succeed(due_at=None, complete=True)
    return MappedTask.objects.get(pk=task.pk)


def test_numbers_and_plots_tell_of_the_same_rows(server):
    outcomes = ["success"] * 5 + ["soft_failure", "hard_failure", "upstream_failed", "skipped", "removed"]
    task = mirrored_task(server, outcomes)
    assert task.metrics["duration_max"] == 66.0  # of the hard failure at index 6; those after it did not run
    assert task.metrics["queue_wait_avg"] == 63.0  # queued six minutes ago, started five ago, a second apart
    assert task.metrics["concurrency_peak"] == 7
    assert sum(task.plots["durations"]["counts"]) == sum(task.plots["timeline"]["finished"]) == 7
    assert task.plots["timeline"]["peak"] == 7


def test_a_map_that_has_not_begun_has_empty_plots(server):
    task = mirrored_task(server, ["waiting"] * 3)
    assert task.plots["durations"] == {"edges": [], "counts": []}
    assert task.plots["timeline"]["running"] == []
    assert task.metrics["duration_avg"] is None


@pytest.mark.parametrize("outcome", ["skipped", "upstream_failed", "removed"])
def test_what_never_ran_has_no_durations(server, outcome):
    task = mirrored_task(server, [outcome] * 4)
    assert (task.metrics["duration_p50"], task.metrics["eta_seconds"]) == (None, None if outcome == "removed" else 0)
    assert task.plots["timeline"]["finished"] == []


def test_durations_that_airflow_does_not_tell_are_left_out(server):
    task = mirrored_task(server, ["success"] * 3, durations={0: None, 1: None, 2: 4.0})
    assert (task.metrics["duration_avg"], task.metrics["duration_max"]) == (4.0, 4.0)


def test_a_row_that_changes_or_goes_changes_them(server):
    task = mirrored_task(server, ["success"] * 4, durations=dict.fromkeys(range(4), 1.0))
    slow = task.instances.get(map_index=2)
    slow.duration = 9.0
    task = again(task, [slow])
    assert task.metrics["duration_max"] == 9.0
    task = again(task, gone={2})
    assert (task.metrics["duration_max"], sum(task.plots["durations"]["counts"])) == (1.0, 3)


def test_nothing_is_worked_out_again_while_no_row_changes(server):
    task = mirrored_task(server, ["success"] * 3)
    Instance.objects.update(duration=7.0)  # behind the mirror's back, so that reading the rows would show
    after = again(task)
    assert (after.metrics, after.plots, after.version) == (task.metrics, task.plots, task.version)


def test_a_map_that_is_stuck_slows_down_though_no_row_changes(server):
    task = mirrored_task(server, ["success"] * 6 + ["waiting"] * 6)
    before = task.metrics["throughput_per_minute"]
    Instance.objects.update(start_date=None)
    assert again(task).metrics["throughput_per_minute"] == before
    task.plots["measured_at"] = (timezone.now() - timedelta(minutes=2)).timestamp()
    task.save(update_fields=["plots"])
    assert again(task).metrics["throughput_per_minute"] != before


def test_how_long_the_reading_of_results_takes_is_told_by_how_fast_it_goes(server):
    task = mirrored_task(server, ["success"] * 30)
    unread = list(task.instances.filter(map_index__gte=10))
    for row in unread:
        row.result_state, row.outcome = "unread", "unknown_result"
    task = again(task, unread)
    assert (task.unread_results, task.metrics["results_eta_seconds"]) == (20, None)
    task.plots["reading"][0] -= 10  # that was ten seconds ago
    task.save(update_fields=["plots"])
    for row in unread[:5]:
        row.result_state, row.outcome = "read", "success"
    task = again(task, unread[:5])
    assert task.unread_results == 15
    assert task.metrics["results_eta_seconds"] == pytest.approx(30, abs=5)
