"""REST: Dags, runs and mapped tasks."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from django.test import Client

from tests.mirror.stage import mirrored_dag, mirrored_run, mirrored_task

pytestmark = pytest.mark.django_db

ODD_RUN = "manual__2026-11-22T06:46:17.345398+00:00~a"


@pytest.fixture
def get(as_user, viewer, server):
    browser = as_user(viewer)
    return lambda path: browser.get(f"/api/v1/{path}")


def names(answer, key: str) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row[key] for row in answer.json()["results"]]


def test_dags_with_and_without_mapped_tasks(get, server):
    mirrored_dag(server, "etl.daily")
    mirrored_dag(server, "plain", mapped_task_ids=[], is_paused=True)
    mirrored_dag(server, "gone", deleted_at="2026-01-01T00:00:00Z")
    assert names(get("servers/prod/dags/"), "dag_id") == ["etl.daily", "plain"]
    assert names(get("servers/prod/dags/?mapped=true"), "dag_id") == ["etl.daily"]
    assert names(get("servers/prod/dags/?mapped=false"), "dag_id") == ["plain"]
    row = get("servers/prod/dags/?mapped=true").json()["results"][0]
    assert row["mapped_task_ids"] == ["process_file"]
    assert (row["is_paused"], row["is_stale"], row["has_import_errors"]) == (False, False, False)
    assert get("servers/prod/dags/?mapped=yes").status_code == 400
    assert get("servers/prod/dags/?maped=true").status_code == 400


def test_dags_page_by_page(get, server):
    for number in range(5):
        mirrored_dag(server, f"dag{number}")
    page = get("servers/prod/dags/?page_size=3").json()
    assert (page["count"], len(page["results"]), page["previous"]) == (5, 3, None)
    rest = get(page["next"].split("/api/v1/")[1]).json()
    assert [row["dag_id"] for row in rest["results"]] == ["dag3", "dag4"]


def test_runs_newest_first_with_counts_over_all_mapped_tasks(get, server):
    mirrored_task(server, ["success", "hard_failure"], run_id=ODD_RUN, task_id="a")
    mirrored_task(server, ["success"], run_id=ODD_RUN, task_id="b")
    rows = get("servers/prod/dags/etl.daily/runs/").json()["results"]
    assert [row["run_id"] for row in rows] == [ODD_RUN]
    assert (rows[0]["counts"]["success"], rows[0]["counts"]["hard_failure"], rows[0]["counts"]["skipped"]) == (2, 1, 0)
    assert rows[0]["airflow_url"].endswith(f"/dags/etl.daily/runs/{quote(ODD_RUN, safe='')}")
    assert [task["task_id"] for task in rows[0]["mapped_tasks"]] == ["a", "b"]


def test_one_run_by_an_id_with_odd_signs(get, server):
    mirrored_task(server, ["success"], run_id=ODD_RUN)
    answer = get(f"servers/prod/dags/etl.daily/runs/{quote(ODD_RUN, safe='')}/")
    assert answer.status_code == 200
    assert (answer.json()["run_id"], answer.json()["server"]) == (ODD_RUN, "prod")


def test_a_run_that_is_not_mirrored_is_fetched(get, etl):
    etl.add_run("etl", "old", conf={"n": 1})
    answer = get("servers/prod/dags/etl/runs/old/")
    assert (answer.status_code, answer.json()["conf"]) == (200, {"n": 1})


@pytest.mark.parametrize(
    "path",
    [
        "servers/nope/dags/",
        "servers/nope/dags/etl/runs/",
        "servers/prod/dags/nope/runs/",
        "servers/prod/dags/etl/runs/nope/",
        "servers/nope/dags/etl/runs/r1/",
        "servers/prod/dags/a%00b/runs/",
        "servers/prod/dags/etl/runs/%00/",
    ],
)
def test_what_there_is_not_is_a_404(get, etl, path):
    answer = get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_run_that_cannot_be_fetched_says_that_airflow_is_down(get, etl):
    etl.down = True
    answer = get("servers/prod/dags/etl/runs/r1/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "airflow_unreachable")


def test_mapped_tasks_by_name(get, server):
    one = mirrored_task(server, ["success"], run_id="r1", task_id="a")
    mirrored_task(server, ["success"], run_id="r2", task_id="a")
    mirrored_task(server, ["success"], dag_id="other", run_id="r1", task_id="a")
    assert get("mapped-tasks/").json()["count"] == 3
    assert get("mapped-tasks/?server=prod&run_id=r1").json()["count"] == 2
    answer = get("mapped-tasks/?server=prod&dag_id=etl.daily&run_id=r1&task_id=a")
    assert names(answer, "id") == [str(one.pk)]
    assert get("mapped-tasks/?server=nope").json()["count"] == 0
    assert get("mapped-tasks/?run_id=%00").json()["count"] == 0
    assert get("mapped-tasks/?task=a").status_code == 400
    assert get("mapped-tasks/?ordering=-total").status_code == 200


def test_mapped_tasks_page_by_page(get, server):
    ids = [str(mirrored_task(server, ["success"], run_id=f"r{number}").pk) for number in range(5)]
    page = get("mapped-tasks/?page_size=2").json()
    seen = [row["id"] for row in page["results"]]
    while page["next"]:
        page = get(page["next"].split("/api/v1/")[1]).json()
        seen += [row["id"] for row in page["results"]]
    assert seen == ids[::-1]


def test_a_mapped_task_has_counts_metrics_and_its_age(get, server):
    task = mirrored_task(server, ["success", "success", "hard_failure", "skipped", "removed", "unknown_result"])
    body = get(f"mapped-tasks/{task.pk}/").json()
    assert (body["total"], body["counts"]["success"], body["counts"]["removed"], body["counts"]["waiting"]) == (
        5,
        2,
        1,
        0,
    )
    assert set(body["metrics"]) == {
        "duration_avg", "duration_p50", "duration_p95", "duration_max", "throughput_per_minute", "eta_seconds",
        "failure_rate", "soft_failure_rate", "queue_wait_avg", "queue_wait_p50", "queue_wait_p95", "queue_wait_max",
        "concurrency_peak", "throughput_run_per_minute", "eta_low_seconds", "eta_high_seconds", "results_eta_seconds",
    }  # fmt: skip
    assert (body["metrics"]["failure_rate"], body["metrics"]["soft_failure_rate"]) == (0.25, 0.0)
    assert (body["metrics"]["duration_max"], body["metrics"]["eta_seconds"]) == (65.0, 0.0)
    assert body["complete"] is True
    assert body["synced_at"].endswith("Z")
    assert body["url"].endswith("/servers/prod/dags/etl.daily/runs/manual__1/tasks/process_file/")


def test_a_mapped_task_that_was_never_read_has_empty_metrics(get, server):
    task = mirrored_task(server, run_state="queued", unexpanded_state="none")
    body = get(f"mapped-tasks/{task.pk}/").json()
    assert (body["total"], body["unexpanded_state"], set(body["metrics"].values())) == (0, "none", {None})


@pytest.mark.parametrize(
    "path",
    [
        "servers/prod/dags/",
        "servers/prod/dags/etl.daily/runs/",
        "servers/prod/dags/etl.daily/runs/r1/",
        "mapped-tasks/",
    ],
)
def test_only_people_who_may_view(as_user, nobody, server, path):
    mirrored_run(mirrored_dag(server), "r1")
    assert Client().get(f"/api/v1/{path}").status_code == 401
    assert as_user(nobody).get(f"/api/v1/{path}").status_code == 403


def test_lists_take_few_queries_however_long(get, server, django_assert_max_num_queries):
    for number in range(12):
        mirrored_task(server, ["success"], run_id=f"r{number}")
    with django_assert_max_num_queries(10):
        assert len(get("servers/prod/dags/etl.daily/runs/").json()["results"]) == 12
    with django_assert_max_num_queries(8):
        assert len(get("mapped-tasks/").json()["results"]) == 12
