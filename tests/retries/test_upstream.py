"""Indices that are upstream_failed, and mapped task groups."""

from __future__ import annotations

import pytest

from panel.airflow import Unsupported
from panel.domain.outcomes import Outcome
from panel.problems import Unprocessable
from panel.retries import selectors
from panel.retries.policies import Policy
from tests.fakes.airflow import Task

pytestmark = pytest.mark.django_db


@pytest.fixture
def group(etl, fake_airflow):
    """A mapped group deploy (build → verify) with four regions, of which 1 and 3 failed to build; then check."""
    fake_airflow.add_dag(
        "etl",
        tasks=[
            Task("deploy.build", group="deploy", group_is_mapped=True, downstream=["deploy.verify"]),
            Task("deploy.verify", group="deploy", group_is_mapped=True, downstream=["check"]),
            Task("check", trigger_rule="all_done"),
        ],
    )
    fake_airflow.add_run("etl", "r1")
    fake_airflow.expand("etl", "r1", "deploy", 4)
    for index in range(4):
        bad = index in (1, 3)
        fake_airflow.finish("etl", "r1", "deploy.build", index, error=("OSError", "no route") if bad else None)
        fake_airflow.finish("etl", "r1", "deploy.verify", index, state="upstream_failed" if bad else "success")
    fake_airflow.finish("etl", "r1", "check", state="failed")
    fake_airflow.finish_run("etl", "r1", "failed")
    fake_airflow.forget_requests()
    return etl


def test_an_upstream_failed_index_goes_with_the_same_index_of_its_group(group, jobs):
    verify = group.mirrored("deploy.verify")
    preview = jobs.preview(verify, indices="1")
    assert any("deploy.build" in warning for warning in preview.plan.warnings)
    assert preview.plan.downstream == ["check"]
    job = jobs.to_the_end(jobs.request(verify, indices="1"))
    assert job.total == 2
    assert jobs.counts(job) == {"recovered": 2}
    assert group.cleared() == [[["deploy.build", 1], ["deploy.verify", 1]], ["check"]]
    assert group.states("deploy.build") == {0: "success", 1: "success", 2: "success", 3: "failed"}
    assert group.tries("check") == {-1: 2}


def test_a_failed_index_takes_what_follows_it_in_its_group_along(group, jobs):
    build = group.mirrored("deploy.build")
    preview = jobs.preview(build)
    assert preview.plan.count == 2
    assert preview.plan.downstream == ["deploy.verify", "check"]
    job = jobs.to_the_end(jobs.request(build, policy=Policy(chunk_size=2)))
    assert jobs.counts(job) == {"recovered": 2}
    assert group.cleared() == [
        [["deploy.build", 1], ["deploy.verify", 1]],
        [["deploy.build", 3], ["deploy.verify", 3]],
        ["check"],
    ]
    assert set(group.states("deploy.verify").values()) == {"success"}
    assert group.tries("deploy.verify") == {0: 1, 1: 1, 2: 1, 3: 1}


def test_an_index_whose_follower_runs_waits_for_its_end_while_the_others_go_on(group, jobs):
    job = jobs.request(group.mirrored("deploy.build"), indices="1,3")
    group.fake.start("etl", "r1", "deploy.verify", 1)
    jobs.work()
    assert group.cleared()[0] == [["deploy.build", 3], ["deploy.verify", 3]]
    assert "Waits for deploy.verify" in selectors.job(job.pk).state_reason
    group.run_airflow()
    assert group.states("deploy.build")[3] == "success", "what was cleared does not wait with it"
    group.fake.finish("etl", "r1", "deploy.verify", 1, state="success")
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"recovered": 2}
    assert group.tries("deploy.build") == {0: 1, 1: 2, 2: 1, 3: 2}


def test_an_upstream_in_another_job_leaves_the_index_to_that_job(group, jobs):
    jobs.request(group.mirrored("deploy.build"), indices="1")
    preview = jobs.preview(group.mirrored("deploy.verify"), indices="1,3")
    assert [candidate.map_index for task in preview.plan.tasks for candidate in task.chosen] == [3, 3]
    assert any("already in job" in left.why for left in preview.plan.left_out)


def test_an_upstream_that_still_runs_leaves_the_index_out(group, jobs):
    group.fake.start("etl", "r1", "deploy.build", 1)
    preview = jobs.preview(group.mirrored("deploy.verify"), indices="1")
    assert preview.plan.count == 0
    assert preview.plan.left_out[0].why == "its upstream task deploy.build has not finished"


def test_failing_again_above_counts_below(group, jobs):
    verify = group.mirrored("deploy.verify")

    def decide(row):
        if row.task_id == "deploy.build":
            raise OSError("no route")

    job = jobs.to_the_end(jobs.request(verify, indices="1"), decide)
    assert jobs.counts(job) == {"failed_again": 2}


def test_below_a_failed_task_that_is_not_mapped_both_go(etl, jobs, fake_airflow):
    fake_airflow.add_dag("etl", tasks=[Task("prepare", downstream=["work"]), Task("work", is_mapped=True, expands=3)])
    fake_airflow.add_run("etl", "r1")
    fake_airflow.finish("etl", "r1", "prepare", error=("OSError", "disk full"))
    for index in range(3):
        fake_airflow.finish("etl", "r1", "work", index, state="upstream_failed")
    fake_airflow.finish_run("etl", "r1", "failed")
    fake_airflow.forget_requests()
    task = etl.mirrored()
    job = jobs.to_the_end(jobs.request(task))
    assert job.total == 4
    assert jobs.counts(job) == {"recovered": 4}
    assert etl.cleared() == [[["prepare", -1], ["work", 0], ["work", 1], ["work", 2]]]


def test_it_refuses_where_airflow_would_clear_more_than_was_chosen(etl, jobs, fake_airflow):
    fake_airflow.add_dag(
        "etl",
        tasks=[Task("split", is_mapped=True, expands=2, downstream=["work"]), Task("work", is_mapped=True, expands=3)],
    )
    fake_airflow.add_run("etl", "r1")
    fake_airflow.finish("etl", "r1", "split", 0)
    fake_airflow.finish("etl", "r1", "split", 1, error=("OSError", "disk full"))
    for index in range(3):
        fake_airflow.finish("etl", "r1", "work", index, state="upstream_failed")
    fake_airflow.finish_run("etl", "r1", "failed")
    task = etl.mirrored()
    with pytest.raises(Unprocessable, match=r"would also clear 2 indices of work.*0,2"):
        jobs.preview(task, indices="1")
    assert jobs.preview(task, outcomes=[Outcome.UPSTREAM_FAILED]).plan.count == 4


def test_an_airflow_that_clears_whole_tasks_is_not_asked_to_in_a_group(group, jobs):
    group.fake.version, group.fake.numbers = "3.1.0", (3, 1, 0)
    with pytest.raises(Unsupported, match=r"3\.1\.1 or newer"):
        jobs.preview(group.mirrored("deploy.build"))


def test_a_group_on_an_airflow_that_widens_downstream_still_clears_exactly(group, jobs):
    group.fake.version, group.fake.numbers = "3.1.7", (3, 1, 7)
    job = jobs.to_the_end(jobs.request(group.mirrored("deploy.build"), indices="1"))
    assert jobs.counts(job) == {"recovered": 1}
    assert group.tries("deploy.verify") == {0: 1, 1: 1, 2: 1, 3: 0}
