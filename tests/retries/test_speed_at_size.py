"""What a preview and a job cost does not grow with the number of indices: queries of ours, requests to Airflow."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from panel.retries import runner, selectors
from panel.retries.models import RetryItem
from panel.retries.planning.below import DRY_RUN_INDICES
from tests.fakes.airflow import Task
from tests.retries.conftest import pass_time

pytestmark = pytest.mark.django_db
FEW, MANY = 40, 1_200


@pytest.fixture(autouse=True)
def _fresh_for_long(settings) -> None:
    settings.MIRROR_FRESH_SECONDS = 3_600  # a slow machine must not make the preview read the run again


def staged(etl, run_id: str, count: int):
    """A run of failed indices that nobody touched for a while."""
    etl.stage(count, failed=range(count), run_id=run_id)
    for row in etl.fake.world.of_run("etl", run_id):
        row.updated_at -= timedelta(minutes=10)
    pass_time(600)
    return etl.mirrored(run_id=run_id)


def cost(etl, work) -> tuple[int, list[str]]:
    """Queries, and what Airflow was asked."""
    etl.fake.forget_requests()
    with CaptureQueriesContext(connection) as queries:
        work()
    return len(queries), [one.path.rpartition("/")[2] for one in etl.fake.requests if "/auth/" not in one.path]


def test_a_preview_costs_the_same_for_many(etl, jobs):
    few, many = staged(etl, "few", FEW), staged(etl, "many", MANY)
    jobs.preview(few)  # what the server can do is known from here on
    queries, requests = cost(etl, lambda: jobs.preview(few))
    assert requests == ["clearTaskInstances", "details"]
    # One query more: whose notes are replaced, where the dry run was not made for all.
    assert cost(etl, lambda: jobs.preview(many)) == (queries + 1, requests)
    (dry_run,) = etl.fake.calls("POST", "/clearTaskInstances")
    assert len(dry_run.body["task_ids"]) == DRY_RUN_INDICES


def test_a_job_costs_the_same_for_many_but_for_the_inserts(etl, jobs):
    taken = {}
    for name, count in (("few", FEW), ("many", MANY)):
        task = staged(etl, name, count)
        token = jobs.preview(task).plan_token
        taken[name] = cost(etl, lambda task=task, token=token: jobs.request(task, plan_token=token))
    assert taken["many"] == taken["few"]
    assert taken["few"][1] == ["taskInstances"]
    assert RetryItem.objects.count() == FEW + MANY


def test_the_way_to_the_first_chunk_costs_the_same_for_many(etl, jobs, monkeypatch):
    monkeypatch.setattr("panel.retries.runner.jobs.SLICE_SECONDS", -1.0)  # one step, then another task has its turn
    taken = {}
    for name, count in (("few", 100), ("many", MANY)):
        job = jobs.request(staged(etl, name, count))
        taken[name] = cost(etl, lambda job=job: runner.run_job(job.pk))
        assert selectors.counts(job)["sent"] == 50
    assert taken["many"] == taken["few"]
    assert taken["few"][1] == ["clearTaskInstances"] * 2


def test_the_dry_run_of_a_preview_sees_each_task(etl, jobs, monkeypatch):
    """However many indices come before it: what runs again below is found out by it."""
    monkeypatch.setattr("panel.retries.planning.below.DRY_RUN_INDICES", 6)
    fake = etl.fake
    mapped = [Task("one", is_mapped=True), Task("other", is_mapped=True, downstream=["last"])]
    fake.add_dag("two", tasks=[*mapped, "last"])
    fake.add_run("two", "r")
    for task_id in ("one", "other"):
        fake.expand("two", "r", task_id, 20)
        for index in range(20):
            fake.finish("two", "r", task_id, index, error=("KeyError", "x"))
    fake.finish("two", "r", "last", result=1)
    fake.finish_run("two", "r", "failed")
    tasks = [etl.mirrored(name, "r", "two") for name in ("one", "other")]
    plan = jobs.preview(*tasks).plan
    assert plan.count == 40
    assert plan.runs[0].downstream == ["last"]
