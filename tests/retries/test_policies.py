"""How carefully a job is sent: the first ones, waves, stopping by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from panel.retries import selectors
from panel.retries.policies import Policy
from panel.retries.services import cancel_job, pause_job, resume_job
from tests.fakes.airflow import Fatal, Task
from tests.retries.conftest import Killed, pass_time

pytestmark = pytest.mark.django_db


def again(*indices: int):
    """These fail again, all else succeeds."""

    def decide(row):
        if row.task_id == "work" and row.map_index in indices:
            raise Fatal("KeyError", "again")
        return {"id": row.map_index}

    return decide


def take_turns(etl, jobs, decide=None, *, seconds: float = 35, times: int = 4) -> None:
    for _ in range(times):
        jobs.work()
        etl.run_airflow(decide)
        pass_time(seconds)
    jobs.work()


def sent(etl) -> list[list[int]]:
    """The indices of each request."""
    return [[target[1] for target in targets if isinstance(target, list)] for targets in etl.cleared()]


# The first ones


def staged_with_errors(etl, errors: dict[int, str], count: int = 6):
    """A run in which these indices failed, each with an exception of this name."""
    etl.stage(count)
    for index, name in errors.items():
        etl.fake.finish("etl", "r1", "work", index, error=(name, "bad"))
    etl.fake.forget_requests()
    return etl.mirrored()


def test_one_of_each_error_group_goes_first(etl, jobs):
    task = staged_with_errors(etl, {0: "KeyError", 1: "KeyError", 2: "OSError", 4: "OSError", 5: "ValueError"})
    job = jobs.request(task, policy=Policy(canary_by_group=True))
    jobs.work()
    assert sent(etl) == [[0, 2, 5]]
    assert selectors.job(job.pk).waiting_for == "canary"
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"recovered": 5}
    assert sent(etl)[1] == [1, 4]


def test_too_many_of_the_error_groups_failing_again_waits_for_a_person(etl, jobs, operator):
    task = staged_with_errors(etl, {0: "KeyError", 1: "KeyError", 2: "OSError"})
    job = jobs.request(task, policy=Policy(canary_by_group=True, canary_max_failure_rate=0.4))
    take_turns(etl, jobs, again(0))
    job = selectors.job(job.pk)
    assert (job.state, jobs.counts(job)) == ("paused", {"recovered": 1, "failed_again": 1, "pending": 1})
    assert job.state_reason.startswith("1 of the first 2 failed again, more than 40%.")
    resume_job(user=operator, job=job)
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 2, "failed_again": 1}


def test_a_step_counts_the_first_ones_once(etl, jobs):
    job = jobs.request(etl.stage(4, failed=range(4)), policy=Policy(canary=2))
    jobs.work()
    pass_time(5)
    with CaptureQueriesContext(connection) as asked:
        jobs.work()
    assert selectors.job(job.pk).waiting_for == "canary"
    where = [one["sql"].partition(" WHERE ")[2] for one in asked if one["sql"].startswith("SELECT COUNT")]
    assert len([clause for clause in where if '"canary"' in clause]) == 1


def test_the_first_ones_may_lie_in_a_later_run(etl, jobs):
    first, second = etl.stage(3, failed=[0, 1]), etl.stage(3, soft=[2], run_id="r2")
    job = jobs.request(first, second, policy=Policy(canary_by_group=True, canary_max_failure_rate=1))
    jobs.work()
    assert etl.cleared("r1") == [[["work", 0]]]
    assert etl.cleared("r2") == [[["work", 2]]]
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 3}


def test_an_upstream_failed_index_among_the_first_takes_its_failed_upstream_along(fake_airflow, etl, jobs):
    fake_airflow.add_dag(
        "etl",
        tasks=[
            Task("build", group="deploy", group_is_mapped=True, downstream=["verify"]),
            Task("verify", group="deploy", group_is_mapped=True),
        ],
    )
    fake_airflow.add_run("etl", "r1")
    fake_airflow.expand("etl", "r1", "deploy", 3)
    for index in range(3):
        fake_airflow.finish("etl", "r1", "build", index, error=("OSError", "no route"))
        fake_airflow.finish("etl", "r1", "verify", index, state="upstream_failed")
    fake_airflow.finish_run("etl", "r1", "failed")
    fake_airflow.forget_requests()
    job = jobs.request(etl.mirrored("verify"), policy=Policy(canary_by_group=True))
    jobs.work()
    assert etl.cleared() == [[["build", 0], ["verify", 0]]]
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 6}


# Waves


def test_a_wave_waits_for_the_results_of_the_one_before_and_then_for_the_pause(etl, jobs):
    task = etl.stage(5, failed=range(5))
    job = jobs.request(task, policy=Policy(wave_size=2, wave_pause_seconds=600))
    take_turns(etl, jobs, lambda row: None, times=1)
    assert sent(etl) == [[0, 1]]
    job = selectors.job(job.pk)
    assert (job.state, job.waiting_for) == ("running", "wave_pause")
    assert timedelta(seconds=500) < job.waiting_until - timezone.now() < timedelta(seconds=601)
    pass_time(500)
    jobs.work()
    assert sent(etl) == [[0, 1]], "the pause is not over"
    pass_time(101)
    jobs.work()
    assert sent(etl) == [[0, 1], [2, 3]]
    assert selectors.job(job.pk).waiting_for == "wave"
    for _ in range(5):  # the results of a wave may take longer than its pause
        pass_time(601)
        jobs.work()
    assert sent(etl) == [[0, 1], [2, 3]]
    etl.run_airflow()
    pass_time(35)
    jobs.work()
    pass_time(601)
    jobs.work()
    assert sent(etl)[:3] == [[0, 1], [2, 3], [4]]
    job = jobs.to_the_end(job)
    assert (job.state, jobs.counts(job), job.waiting_for) == ("done", {"recovered": 5}, "")


def test_a_wave_goes_in_chunks_that_start_at_once(etl, jobs):
    task = etl.stage(5, failed=range(5))
    job = jobs.request(task, policy=Policy(wave_size=4, chunk_size=3))
    jobs.work()
    assert sent(etl) == [[0, 1, 2], [3]]
    assert [body["reset_dag_runs"] for body in etl.clears()] == [True, True]
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 5}


def test_what_is_downstream_runs_once_after_the_last_wave_has_ended(etl, jobs):
    task = etl.stage(4, failed=range(4))
    order = []
    job = jobs.request(task, policy=Policy(wave_size=2))
    take_turns(etl, jobs, lambda row: order.append((row.task_id, row.map_index)), times=1)
    jobs.work()
    assert sent(etl) == [[0, 1], [2, 3]]
    assert etl.states("report") == {-1: "success"}, "as long as indices run, nothing downstream is touched"
    assert selectors.job(job.pk).waiting_for == "downstream"
    job = jobs.to_the_end(job, lambda row: order.append((row.task_id, row.map_index)))
    assert order == [*(("work", index) for index in range(4)), ("report", -1)]
    assert etl.tries("report") == {-1: 2}
    assert job.state == "done"


def test_a_wave_of_which_nothing_could_be_sent_needs_no_pause(etl, jobs):
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, policy=Policy(wave_size=2, wave_pause_seconds=600))
    for index in (0, 1):
        etl.fake.start("etl", "r1", "work", index)
    jobs.work()
    assert sent(etl) == [[2, 3]]
    assert jobs.counts(jobs.to_the_end(job)) == {"skipped": 2, "recovered": 2}


def test_waves_go_over_several_runs(etl, jobs):
    first, second = etl.stage(2, failed=[0, 1]), etl.stage(2, failed=[0, 1], run_id="r2")
    job = jobs.request(first, second, policy=Policy(wave_size=3))
    jobs.work()
    assert etl.cleared("r1")[0] == [["work", 0], ["work", 1]]
    assert etl.cleared("r2") == [[["work", 0]]]
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 4}
    assert etl.tries("report") == etl.tries("report", "r2") == {-1: 2}


def test_the_waves_come_after_the_first_ones(etl, jobs):
    task = etl.stage(5, failed=range(5))
    job = jobs.request(task, policy=Policy(canary=1, wave_size=2, wave_pause_seconds=600))
    take_turns(etl, jobs, times=1)
    assert sent(etl) == [[0], [1, 2]], "the first ones are no wave: no pause after them"
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 5}


@pytest.mark.parametrize("hooks", ["before_clear", "after_clear"])
def test_a_worker_killed_in_a_wave_sends_no_index_twice_and_skips_no_pause(etl, jobs, wire, hooks):
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, policy=Policy(wave_size=2, wave_pause_seconds=600))

    def die() -> None:
        raise Killed

    getattr(wire, hooks).append(die)
    with pytest.raises(Killed):
        jobs.work()
    pass_time(100)
    jobs.work()
    pass_time(100)
    jobs.work()
    assert {index for indices in sent(etl) for index in indices} == {0, 1}
    etl.run_airflow()
    pass_time(35)
    jobs.work()
    assert selectors.job(job.pk).waiting_for == "wave_pause"
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 4}
    assert etl.tries() == dict.fromkeys(range(4), 2)


# Stopping by itself


def test_too_many_failing_again_pauses_the_job_with_the_reason(etl, jobs, operator):
    task = etl.stage(40, failed=range(40))
    job = jobs.request(task, policy=Policy(chunk_size=12, chunks_per_minute=1, stop_failure_rate=0.25))
    take_turns(etl, jobs, again(*range(4)), seconds=61, times=3)
    job = selectors.job(job.pk)
    assert (job.state, jobs.counts(job)) == ("paused", {"recovered": 8, "failed_again": 4, "pending": 28})
    assert job.state_reason.startswith("4 of the 12 indices that ended failed again, more than 25%.")
    resume_job(user=operator, job=job)
    job = jobs.to_the_end(job)
    assert (job.state, jobs.counts(job)) == ("done", {"recovered": 36, "failed_again": 4})


def test_after_a_person_resumed_it_only_new_results_stop_it_again(etl, jobs, operator):
    task = etl.stage(60, failed=range(60))
    job = jobs.request(task, policy=Policy(chunk_size=12, chunks_per_minute=1, stop_failure_rate=0.5))
    take_turns(etl, jobs, again(*range(60)), seconds=61, times=2)
    assert jobs.counts(job) == {"failed_again": 12, "pending": 48}
    resume_job(user=operator, job=selectors.job(job.pk))
    take_turns(etl, jobs, again(*range(60)), seconds=61, times=3)
    job = selectors.job(job.pk)
    assert (job.state, jobs.counts(job)) == ("paused", {"failed_again": 24, "pending": 36})
    assert job.state_reason.startswith("12 of the 12 indices")


def test_a_few_results_do_not_stop_a_job(etl, jobs):
    task = etl.stage(12, failed=range(12))
    job = jobs.request(task, policy=Policy(chunk_size=4, chunks_per_minute=1, stop_failure_rate=0.5))
    take_turns(etl, jobs, again(0, 1, 2), seconds=61, times=1)
    assert len(sent(etl)) == 2
    assert selectors.job(job.pk).state == "running"


def test_a_whole_wave_is_enough_to_stop_a_job(etl, jobs):
    task = etl.stage(9, failed=range(9))
    job = jobs.request(task, policy=Policy(wave_size=3, stop_failure_rate=0.5))
    take_turns(etl, jobs, again(0, 1), times=2)
    assert (selectors.job(job.pk).state, len(sent(etl))) == ("paused", 1)


def test_nothing_downstream_starts_while_a_job_is_paused_and_nothing_hangs(etl, jobs, operator):
    task = etl.stage(6, failed=range(6))
    job = jobs.request(task, policy=Policy(wave_size=3))
    jobs.work()
    pause_job(user=operator, job=job)
    take_turns(etl, jobs, times=2)
    assert jobs.counts(job) == {"recovered": 3, "pending": 3}
    assert None not in etl.states().values()
    assert etl.tries("report") == {-1: 1}
    cancel_job(user=operator, job=selectors.job(job.pk))
    job = jobs.to_the_end(job)
    assert (job.state, jobs.counts(job)) == ("cancelled", {"recovered": 3, "cancelled": 3})
    assert etl.tries("report") == {-1: 2}


def test_a_job_paused_after_its_last_request_starts_nothing_downstream_until_it_is_resumed(etl, jobs, wire, operator):
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, policy=Policy(chunk_size=2))
    wire.after_clear += [lambda: None, lambda: pause_job(user=operator, job=job)]
    take_turns(etl, jobs)
    assert (selectors.job(job.pk).state, jobs.counts(job)) == ("paused", {"recovered": 4})
    assert etl.tries("report") == {-1: 1}
    resume_job(user=operator, job=selectors.job(job.pk))
    assert jobs.to_the_end(job).state == "done"
    assert etl.tries("report") == {-1: 2}


@pytest.mark.parametrize("include_downstream", [True, False])
def test_a_refusal_between_chunks_lets_what_was_cleared_run(etl, jobs, wire, operator, include_downstream):
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, policy=Policy(chunk_size=2), include_downstream=include_downstream)
    refused: list[int] = []

    def refuse_once() -> None:
        etl.fake.fail_next(status=403, path="clearTaskInstances", times=1)
        refused.append(1)

    wire.after_clear.append(refuse_once)
    jobs.work()
    assert refused
    assert selectors.job(job.pk).state == "paused"
    take_turns(etl, jobs, times=1)
    assert etl.states() == {0: "success", 1: "success", 2: "failed", 3: "failed"}
    resume_job(user=operator, job=selectors.job(job.pk))
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 4}
    assert etl.tries() == dict.fromkeys(range(4), 2)
