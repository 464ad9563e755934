"""What was previewed is what is done: a token that still holds costs Airflow one count, and else there is a 409."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from panel.domain.outcomes import Outcome
from panel.mirror.models import Instance, MappedTask
from panel.problems import Conflicting, TooMany, Unprocessable
from panel.retries import selectors
from panel.retries.choice import Candidate, Plan, RunChoice, TaskChoice
from panel.retries.models import RetryJob
from panel.retries.planning import confirming
from panel.retries.tokens import LONGEST_TOKEN, check_shown, plan_token, read_token
from tests.fakes.airflow import Task
from tests.retries.conftest import pass_time

pytestmark = pytest.mark.django_db


class Quiet:
    """A run that ended ten minutes before anybody looks at it."""

    def __init__(self, etl):
        self.etl = etl

    def stage(self, *args, **more) -> MappedTask:
        clock = self.etl.fake.clock
        clock.advance(-600)
        self.etl.stage(*args, **more)
        clock.advance(600)
        return self.mirrored()

    def mirrored(self) -> MappedTask:
        task = self.etl.mirrored()
        self.etl.fake.forget_requests()
        return task


@pytest.fixture
def quiet(etl) -> Quiet:
    return Quiet(etl)


def asked(etl) -> list[str]:
    """What Airflow was asked since the preview, logins left out."""
    return [one.path.rpartition("/")[2] for one in etl.fake.requests if "/auth/" not in one.path]


def test_a_job_of_a_quiet_run_costs_airflow_one_count(etl, quiet, jobs):
    task = quiet.stage(6, failed=[1, 4], soft=[2])
    preview = jobs.preview(task)
    etl.fake.forget_requests()
    job = jobs.request(task, plan_token=preview.plan_token)
    (count,) = etl.fake.requests
    assert count.path.endswith("/dagRuns/r1/taskInstances")
    query = dict(count.query)
    assert (query["limit"], query["task_id"]) == ("0", "work")
    since = preview.plan.seen_at - datetime.fromisoformat(query["updated_at_gte"])
    assert since == timedelta(minutes=1)
    assert [item.map_index for item in selectors.items(job)] == [1, 2, 4]
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 3}
    assert etl.tries() == {0: 1, 1: 2, 2: 2, 3: 1, 4: 2, 5: 1}


def test_the_quick_job_is_the_same_as_the_slow_one(etl, quiet, jobs):
    """Errors before, labels, downstream, what was left out: nothing of it comes from the token's maker."""
    task = quiet.stage(8, failed=[1, 4], soft=[2])
    slow = jobs.request(task, indices="0-4,11")
    slow_items = list(selectors.items(slow).values_list("map_index", "ti_id", "try_number", "error_message_before"))
    slow_run = slow.runs.get()
    RetryJob.objects.all().delete()
    preview = jobs.preview(task, indices="0-4,11")
    etl.fake.forget_requests()
    quick = jobs.request(task, indices="0-4,11", plan_token=preview.plan_token)
    assert len(asked(etl)) == 1
    items = list(selectors.items(quick).values_list("map_index", "ti_id", "try_number", "error_message_before"))
    assert items == slow_items
    assert quick.left_out == slow.left_out
    assert {group["why"] for group in quick.left_out} == {"succeeded", "not in the map"}
    assert quick.runs.get().downstream == slow_run.downstream == ["report"]


def test_running_neighbours_are_no_change(etl, quiet, jobs):
    """Each heartbeat is one to Airflow, so it is looked at which rows moved; nothing is synced, nothing run dry."""
    quiet.stage(6, failed=[1, 4])
    etl.fake.start("etl", "r1", "work", 0)
    task = quiet.mirrored()
    token = jobs.preview(task).plan_token
    etl.fake.instance("etl", "r1", "work", 0).updated_at = etl.fake.clock.now()
    etl.fake.forget_requests()
    job = jobs.request(task, plan_token=token)
    assert job.total == 2
    assert asked(etl) == ["taskInstances"] * 2
    assert not etl.fake.calls("POST", "/clearTaskInstances")


def test_a_neighbour_that_fails_meanwhile_is_a_change(etl, quiet, jobs):
    quiet.stage(6, failed=[1, 4])
    etl.fake.start("etl", "r1", "work", 0)
    task = quiet.mirrored()
    token = jobs.preview(task).plan_token
    etl.fake.finish("etl", "r1", "work", 0, error=("KeyError", "x"))
    pass_time(10)
    with pytest.raises(Conflicting) as refusal:
        jobs.request(task, plan_token=token)
    assert refusal.value.fields == {"added": ["work: 0"], "removed": []}
    assert not RetryJob.objects.exists()


def test_a_neighbour_that_succeeds_meanwhile_changes_nothing(etl, quiet, jobs):
    quiet.stage(6, failed=[1, 4])
    etl.fake.start("etl", "r1", "work", 0)
    task = quiet.mirrored()
    token = jobs.preview(task).plan_token
    etl.fake.finish("etl", "r1", "work", 0, result={"id": 0})
    pass_time(10)
    assert jobs.request(task, plan_token=token).total == 2


def test_what_somebody_else_retried_is_noticed_though_the_mirror_does_not_know(etl, quiet, jobs):
    task = quiet.stage(6, failed=[1, 4])
    token = jobs.preview(task).plan_token
    etl.fake.finish("etl", "r1", "work", 4, result={"id": 4})
    pass_time(10)
    with pytest.raises(Conflicting) as refusal:
        jobs.request(task, plan_token=token)
    assert refusal.value.fields == {"added": [], "removed": ["work: 4"]}


def test_what_the_mirror_learned_since_is_a_change_though_airflow_is_still(etl, quiet, jobs):
    """A result that is read later makes a soft failure; no row of Airflow moves for it."""
    task = quiet.stage(6, failed=[1, 4])
    token = jobs.preview(task).plan_token
    Instance.objects.filter(mapped_task=task, map_index=3).update(outcome=Outcome.SOFT_FAILURE)
    with pytest.raises(Conflicting) as refusal:
        jobs.request(task, plan_token=token)
    assert refusal.value.fields == {"added": ["work: 3"], "removed": []}


def test_an_index_that_another_job_took_since_is_a_change(etl, quiet, jobs):
    task = quiet.stage(6, failed=[1, 4])
    token = jobs.preview(task).plan_token
    jobs.request(task, indices="4")
    with pytest.raises(Conflicting) as refusal:
        jobs.request(task, plan_token=token)
    assert refusal.value.fields == {"added": [], "removed": ["work: 4"]}


def test_a_change_of_the_dags_structure_is_looked_at_again(etl, quiet, jobs):
    task = quiet.stage(6, failed=[1, 4])
    token = jobs.preview(task).plan_token
    dag = task.run.dag
    type(dag).objects.filter(pk=dag.pk).update(structure_version="2:another")
    etl.fake.forget_requests()
    jobs.request(task, plan_token=token)
    assert etl.fake.calls("POST", "/clearTaskInstances")


def test_a_server_that_ignores_the_filter_is_read_again(etl, quiet, jobs, monkeypatch):
    task = quiet.stage(6, failed=[1, 4])
    token = jobs.preview(task).plan_token
    monkeypatch.setattr(confirming, "FEW_CHANGES", 3)
    for row in etl.fake.world.of_task("etl", "r1", "work").values():
        row.updated_at = etl.fake.clock.now()  # the answer that counts all rows
    etl.fake.forget_requests()
    assert jobs.request(task, plan_token=token).total == 2
    assert etl.fake.calls("POST", "/clearTaskInstances")


def test_a_run_that_is_deleted_meanwhile_is_no_job(etl, quiet, jobs):
    task = quiet.stage(6, failed=[1, 4])
    token = jobs.preview(task).plan_token
    etl.fake.remove_run("etl", "r1")
    pass_time(10)
    with pytest.raises(Exception, match="not found"):
        jobs.request(task, plan_token=token)
    assert not RetryJob.objects.exists()


def test_a_failed_upstream_is_taken_from_the_token_and_watched_too(etl, quiet, jobs):
    """``load`` has no map: no mirror knows its instance."""
    fake = etl.fake
    fake.clock.advance(-600)
    fake.add_dag(
        "late",
        tasks=[Task("load", downstream=["work"]), Task("work", is_mapped=True, expands=3)],
    )
    fake.add_run("late", "r1")
    fake.finish("late", "r1", "load", error=("KeyError", "x"))
    for index in range(3):
        fake.set_state("late", "r1", "work", index, "upstream_failed")
    fake.finish_run("late", "r1", "failed")
    fake.clock.advance(600)
    task = etl.mirrored(dag_id="late")
    preview = jobs.preview(task)
    assert preview.plan.count == 4
    fake.forget_requests()
    job = jobs.request(task, plan_token=preview.plan_token)
    assert len(asked(etl)) == 1
    assert "task_id" not in dict(fake.requests[0].query)
    assert {(item.target.task_id, item.map_index) for item in selectors.items(job)} == {
        ("load", -1), ("work", 0), ("work", 1), ("work", 2),
    }  # fmt: skip


def scattered_plan(indices) -> Plan:
    chosen = [Candidate(index, f"id-{index}", 1, Outcome.HARD_FAILURE) for index in indices]
    return Plan([RunChoice("etl", "r1", [TaskChoice("work", uuid4(), 0, chosen)])])


def test_a_token_of_ten_thousand_scattered_indices_is_small_and_names_the_one_that_changed():
    scattered = sorted(random.Random(4).sample(range(20_000), 10_000))
    token = plan_token(scattered_plan(scattered), about="me")
    assert len(token) < 10_000 < LONGEST_TOKEN
    shown = read_token(token, about="me")
    assert list(shown.runs[0].tasks[0].indices) == scattered
    with pytest.raises(Conflicting) as refusal:
        check_shown(shown, scattered_plan(scattered[:77] + scattered[78:]))
    assert refusal.value.fields == {"added": [], "removed": [f"work: {scattered[77]}"]}


def test_a_job_of_more_indices_than_the_group_may_have_is_refused_and_said_before(etl, jobs, admin, settings):
    settings.RETRY_MOST_INDICES = {"operator": 2, "admin": 4}
    task = etl.stage(6, failed=[0, 1, 2])
    preview = jobs.preview(task)
    assert "3 indices are more than the 2 that you may retry at once" in preview.plan.warnings[0]
    with pytest.raises(Unprocessable, match="Choose fewer") as refusal:
        jobs.request(task, plan_token=preview.plan_token)
    assert refusal.value.code == "too_many_indices"
    assert not RetryJob.objects.exists()
    assert jobs.request(task, indices="0-1").total == 2
    assert jobs.request(task, indices="2", user=admin).total == 1


def test_the_group_that_may_do_most_counts(etl, jobs, person, settings):
    settings.RETRY_MOST_INDICES = {"operator": 1, "admin": 4}
    task = etl.stage(6, failed=[0, 1, 2])
    assert jobs.request(task, user=person("olaf", "operator", "admin")).total == 3


def test_a_dag_has_so_many_jobs_an_hour_and_then_waits(etl, jobs, settings):
    settings.RETRY_JOBS_PER_HOUR = 2
    task = etl.stage(6, failed=range(4))
    jobs.request(task, indices="0")
    jobs.request(task, indices="1")
    preview = jobs.preview(task, indices="2")
    assert "had its 2 retry jobs of the last hour" in preview.plan.warnings[0]
    with pytest.raises(TooMany, match="Try again in 60 minutes") as refusal:
        jobs.request(task, indices="2")
    assert 3_590 < refusal.value.retry_after_seconds <= 3_600
    first = RetryJob.objects.order_by("created_at")[:1].get()
    RetryJob.objects.filter(pk=first.pk).update(created_at=first.created_at.replace(year=2020))
    assert jobs.request(task, indices="2").total == 1


def test_another_dags_jobs_do_not_count(etl, jobs, settings):
    settings.RETRY_JOBS_PER_HOUR = 1
    task = etl.stage(6, failed=range(4))
    jobs.request(task, indices="0")
    fake = etl.fake
    fake.add_dag("other", tasks=[Task("work", is_mapped=True, expands=1)])
    fake.add_run("other", "r1")
    fake.finish("other", "r1", "work", 0, error=("KeyError", "x"))
    fake.finish_run("other", "r1", "failed")
    assert jobs.request(etl.mirrored(dag_id="other")).total == 1


def test_no_budget_is_no_limit(etl, jobs, settings):
    settings.RETRY_JOBS_PER_HOUR = 0
    task = etl.stage(6, failed=range(4))
    assert [jobs.request(task, indices=str(index)).total for index in range(4)] == [1, 1, 1, 1]
