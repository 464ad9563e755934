"""REST: metrics, patterns and histories."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.utils import timezone

from panel.mirror.models import DagRun, MappedTask
from tests.mirror.stage import mirrored_task


@pytest.fixture
def get(as_user, viewer) -> Callable[..., HttpResponse]:
    client = as_user(viewer)
    return lambda path: client.get(f"/api/v1/{path}")


@pytest.fixture
def tasks(server) -> list[MappedTask]:
    """Two runs an hour apart, the newer last."""
    made = []
    for number, outcomes in enumerate((["success", "hard_failure"], ["hard_failure", "hard_failure", "waiting"])):
        task = mirrored_task(server, outcomes, run_id=f"r{number}")
        DagRun.objects.filter(pk=task.run_id).update(run_after=timezone.now() + timedelta(hours=number))
        made.append(task)
    return made


def test_metrics_come_with_what_the_plots_show_and_the_trend(get, tasks):
    body = get(f"mapped-tasks/{tasks[1].pk}/metrics/").json()
    assert body["metrics"]["duration_max"] == 61.0
    assert sum(body["durations"]["counts"]) == sum(body["timeline"]["finished"]) == 2
    assert len(body["durations"]["edges"]) == len(body["durations"]["counts"]) + 1
    assert body["timeline"]["start"].endswith("Z")
    assert body["timeline"]["peak"] == 2
    assert [(one["run_id"], one["metrics"]["failure_rate"], one["counts"]["success"]) for one in body["trend"]] == [
        ("r0", 0.5, 1), ("r1", 0.6667, 0),
    ]  # fmt: skip
    assert body["trend"][0]["id"] == str(tasks[0].pk)


def test_metrics_of_a_map_that_did_nothing_are_empty(get, server):
    task = mirrored_task(server, run_state="queued", unexpanded_state="none")
    body = get(f"mapped-tasks/{task.pk}/metrics/").json()
    assert set(body["metrics"].values()) == {None}
    assert body["durations"] == {"edges": [], "counts": []}
    assert (body["timeline"]["start"], body["timeline"]["running"]) == (None, [])


def test_patterns_tell_new_failures_from_old_ones(get, tasks):
    body = get(f"mapped-tasks/{tasks[1].pk}/patterns/").json()
    assert body == {
        "results": [{"pattern": "new", "count": 1, "indices": "0"}, {"pattern": "still", "count": 1, "indices": "1"}],
        "runs": 1,
        "left_out": 0,
    }


def test_a_history_is_newest_first_and_says_where_the_item_was_missing(get, tasks):
    body = get(f"mapped-tasks/{tasks[1].pk}/instances/0/history/").json()
    assert body["count"] == 2
    assert [(one["run_id"], one["instance"]["outcome"], one["this_run"]) for one in body["results"]] == [
        ("r1", "hard_failure", True), ("r0", "success", False),
    ]  # fmt: skip
    assert body["results"][0]["instance"]["error_message"] == "item 0 is broken"
    assert body["results"][1]["url"].endswith("/runs/r0/tasks/process_file/0/")
    missing = get(f"mapped-tasks/{tasks[1].pk}/instances/2/history/").json()["results"][1]
    assert (missing["run_id"], missing["instance"], missing["url"]) == ("r0", None, None)


@pytest.mark.parametrize("name", ["metrics/", "patterns/", "instances/0/history/", "instances/99/history/"])
def test_what_is_not_there_is_404_and_a_filter_they_do_not_have_400(get, tasks, name):
    assert get(f"mapped-tasks/00000000-0000-4000-8000-000000000000/{name}").status_code == 404
    assert get(f"mapped-tasks/{tasks[1].pk}/{name}?nonsense=1").status_code == 400


def test_an_instance_that_is_not_there_has_no_history(get, tasks):
    assert get(f"mapped-tasks/{tasks[1].pk}/instances/99/history/").status_code == 404
