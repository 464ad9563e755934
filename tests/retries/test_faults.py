"""What goes wrong while a job is sent: nothing runs twice, nothing is forgotten, nothing hangs."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import httpx
import pytest

from panel.clock import database_now
from panel.retries import runner, selectors
from panel.retries.models import RetryJob
from panel.retries.policies import Policy
from panel.retries.runner import jobs as jobs_of_runner
from panel.retries.runner.claims import Claim
from panel.retries.runner.gates import Wait
from panel.retries.services import cancel_job, pause_job, resume_job
from panel.retries.states import WaitsFor
from tests.retries.conftest import Killed, pass_time

pytestmark = pytest.mark.django_db


def die() -> None:
    raise Killed


def lose() -> None:
    raise httpx.ReadTimeout("no answer")


def work_indices(etl) -> Counter:
    return Counter(
        target[1] for targets in etl.cleared() for target in targets if isinstance(target, list) and target[0] == "work"
    )


def test_a_worker_killed_after_airflow_did_it_does_not_send_again(etl, jobs, wire):
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, policy=Policy(chunk_size=2))
    wire.after_clear.append(die)
    with pytest.raises(Killed):
        jobs.work()
    assert jobs.counts(job) == {"sending": 2, "pending": 2}
    pass_time(100)
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"recovered": 4}
    assert work_indices(etl) == Counter(range(4))
    assert etl.tries() == dict.fromkeys(range(4), 2)


def test_a_worker_killed_before_airflow_got_it_sends_later(etl, jobs, wire):
    task = etl.stage(3, failed=range(3))
    job = jobs.request(task)
    wire.before_clear.append(die)
    with pytest.raises(Killed):
        jobs.work()
    pass_time(100)
    jobs.work()
    assert jobs.counts(job) == {"sending": 3}, "the lost request might still arrive"
    pass_time(100)
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 3}
    assert etl.tries() == dict.fromkeys(range(3), 2)


def test_a_killed_workers_job_waits_for_its_claim_to_expire(etl, jobs, wire):
    task = etl.stage(2, failed=[1])
    job = jobs.request(task)
    wire.before_clear.append(die)
    with pytest.raises(Killed):
        jobs.work()
    assert not selectors.due_jobs().exists()
    pass_time(100)
    assert list(selectors.due_jobs()) == [job]


def test_a_job_that_another_worker_holds_is_left_alone(etl, jobs):
    task = etl.stage(2, failed=[1])
    job = jobs.request(task)
    assert Claim.take(job.pk) is not None
    runner.run_job(job.pk)
    assert etl.cleared() == []


def test_a_lost_answer_is_looked_up_not_repeated(etl, jobs, wire):
    task = etl.stage(3, failed=range(3))
    job = jobs.request(task)
    wire.after_clear.append(lose)
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"recovered": 3}
    assert work_indices(etl) == Counter(range(3))


def test_a_request_that_never_arrived_is_sent_again_once_that_is_sure(etl, jobs, wire):
    task = etl.stage(3, failed=range(3))
    job = jobs.request(task)
    wire.before_clear.append(lose)
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 3}
    assert etl.tries() == dict.fromkeys(range(3), 2)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_while_clearing_downstream(etl, jobs, wire, when):
    task = etl.stage(3, failed=[0])
    job = jobs.request(task)
    hooks = wire.before_clear if when == "before" else wire.after_clear
    hooks += [lambda: None, die]
    with pytest.raises(Killed):
        jobs.work()
    order = []
    job = jobs.to_the_end(job, lambda row: order.append(row.task_id) or {"id": row.map_index})
    assert order == ["work", "report"]
    assert etl.tries("report") == {-1: 2}
    assert jobs.counts(job) == {"recovered": 1}


def test_killed_between_chunks_nothing_stays_cleared_but_not_started(etl, jobs, wire):
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, policy=Policy(chunk_size=2))
    wire.before_clear += [lambda: None, die]
    with pytest.raises(Killed):
        jobs.work()
    assert etl.states() == {0: None, 1: None, 2: "failed", 3: "failed"}
    job = jobs.to_the_end(job)
    assert set(etl.states().values()) == {"success"}
    assert etl.tries() == dict.fromkeys(range(4), 2)


def test_airflow_away_for_a_while_delays_the_job_and_says_so(etl, jobs):
    task = etl.stage(2, failed=[1])
    job = jobs.request(task)
    etl.fake.down = True
    jobs.work()
    assert "this goes on by itself" in selectors.job(job.pk).state_reason
    assert jobs.counts(job) == {"pending": 1}
    etl.fake.down = False
    job = jobs.to_the_end(job)
    assert (jobs.counts(job), job.state_reason) == ({"recovered": 1}, "")


def test_a_refusal_pauses_the_job_with_the_reason_and_resuming_goes_on(etl, jobs, operator):
    task = etl.stage(2, failed=[1])
    job = jobs.request(task)
    etl.fake.forbid("clear")
    jobs.work()
    job = selectors.job(job.pk)
    assert (job.state, jobs.counts(job)) == ("paused", {"pending": 1})
    assert "Forbidden" in job.state_reason
    etl.fake.allow("clear")
    resume_job(user=operator, job=job)
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 1}


def test_an_index_that_runs_or_succeeded_meanwhile_is_left_out(etl, jobs):
    task = etl.stage(5, failed=range(5))
    job = jobs.request(task)
    etl.fake.set_state("etl", "r1", "work", 0, "queued")
    etl.fake.start("etl", "r1", "work", 1)
    etl.fake.world.find("etl", "r1", "work", 2).state = "success"  # marked by hand in Airflow
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"skipped": 3, "recovered": 2}
    why = jobs.why(job)
    assert [why[index] for index in range(3)] == ["queued meanwhile", "running meanwhile", "success meanwhile"]
    assert work_indices(etl) == Counter([3, 4])


def test_an_index_that_somebody_else_cleared_meanwhile_is_left_out(etl, jobs, server):
    task = etl.stage(2, failed=[0, 1])
    job = jobs.request(task)
    from panel.servers.client import open_client

    with open_client(server) as airflow:
        airflow.instances.clear("etl", "r1", [("work", 0)], dry_run=False, reset_dag_runs=False)
    etl.fake.forget_requests()
    jobs.to_the_end(job)
    assert "somebody else cleared it" in jobs.why(job)[0]
    assert work_indices(etl) == Counter([1])


def test_an_index_that_starts_between_look_and_clear_makes_airflow_refuse_and_is_dropped(etl, jobs, wire):
    task = etl.stage(3, failed=range(3))
    job = jobs.request(task)
    wire.before_clear.append(lambda: etl.fake.start("etl", "r1", "work", 1))
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"skipped": 1, "recovered": 2}
    assert etl.tries()[1] == 2, "only what somebody else started"


def test_a_run_that_vanished_loses_its_indices_and_the_job_says_so(etl, jobs):
    task = etl.stage(3, failed=[0, 2])
    job = jobs.request(task)
    etl.fake.remove_run("etl", "r1")
    jobs.work()
    job = selectors.job(job.pk)
    assert (job.state, jobs.counts(job)) == ("failed", {"lost": 2})
    assert "no longer has this run" in job.state_reason


def test_a_run_that_vanishes_after_sending_loses_its_indices(etl, jobs):
    task = etl.stage(3, failed=[0, 2])
    job = jobs.request(task)
    jobs.work()
    etl.fake.remove_run("etl", "r1")
    pass_time(35)
    jobs.work()
    job = selectors.job(job.pk)
    assert (job.state, jobs.counts(job)) == ("done", {"lost": 2})


def test_a_map_that_shrank_loses_the_removed_index(etl, jobs):
    task = etl.stage(3, failed=[0, 2])
    job = jobs.request(task)
    jobs.work()
    etl.fake.set_state("etl", "r1", "work", 2, "removed")
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"recovered": 1, "lost": 1}
    assert "shrank" in jobs.why(job)[2]


def test_nothing_for_a_day_is_lost_with_the_reason(etl, jobs):
    etl.stage(2, failed=[1])
    etl.fake.world.dags["etl"].is_paused = True
    job = jobs.request(etl.mirrored())
    jobs.work()
    pass_time(25 * 3600)
    jobs.work()
    assert jobs.counts(job) == {"lost": 1}
    assert "24 hours" in jobs.why(job)[1]


def test_a_paced_job_sends_one_chunk_at_a_time_each_taking_effect(etl, jobs):
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, policy=Policy(chunk_size=2, chunks_per_minute=2))
    jobs.work()
    assert etl.cleared() == [[["work", 0], ["work", 1]]]
    pass_time(10)
    jobs.work()
    assert len(etl.cleared()) == 1
    etl.run_airflow()
    assert etl.states()[0] == "success"
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 4}
    assert etl.tries("report") == {-1: 2}


def test_a_careful_job_goes_on_when_few_enough_failed_again(etl, jobs):
    task = etl.stage(6, failed=range(6))
    job = jobs.request(task, policy=Policy(canary=2, canary_max_failure_rate=0.2))
    jobs.work()
    assert etl.cleared() == [[["work", 0], ["work", 1]]]
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 6}
    assert etl.cleared()[1:] == [[["work", index] for index in range(2, 6)], ["report"]]


def test_a_careful_job_stops_when_too_many_failed_again_until_somebody_resumes_it(etl, jobs, operator):
    task = etl.stage(6, failed=range(6))
    job = jobs.request(task, policy=Policy(canary=2, canary_max_failure_rate=0.2))

    def decide(row):
        if row.map_index == 1 and row.try_number == 2:
            raise KeyError("again")
        return {"id": row.map_index}

    for _ in range(5):
        jobs.work()
        etl.run_airflow(decide)
        pass_time(35)
    job = selectors.job(job.pk)
    assert (job.state, jobs.counts(job)) == ("paused", {"recovered": 1, "failed_again": 1, "pending": 4})
    assert job.state_reason.startswith("1 of the first 2 failed again, more than 20%.")
    resume_job(user=operator, job=job)
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 5, "failed_again": 1}


def test_pausing_between_chunks_lets_what_was_cleared_run(etl, jobs, wire, operator):
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, policy=Policy(chunk_size=2))
    wire.after_clear.append(lambda: pause_job(user=operator, job=job))
    jobs.work()
    etl.run_airflow()
    assert etl.states() == {0: "success", 1: "success", 2: "failed", 3: "failed"}
    pass_time(35)
    jobs.work()
    assert (selectors.job(job.pk).state, jobs.counts(job)) == ("paused", {"recovered": 2, "pending": 2})
    resume_job(user=operator, job=job)
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 4}
    assert etl.tries() == dict.fromkeys(range(4), 2)


def test_cancelling_between_chunks_sends_no_more_and_leaves_nothing_hanging(etl, jobs, wire, operator):
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, policy=Policy(chunk_size=2))
    wire.after_clear.append(lambda: cancel_job(user=operator, job=job))
    job = jobs.to_the_end(job)
    assert (job.state, jobs.counts(job)) == ("cancelled", {"recovered": 2, "cancelled": 2})
    assert etl.states() == {0: "success", 1: "success", 2: "failed", 3: "failed"}
    assert etl.tries("report") == {-1: 2}, "what is downstream of the sent indices ran again"


def test_cancelling_before_anything_was_sent_touches_nothing(etl, jobs, operator):
    task = etl.stage(2, failed=[0])
    job = cancel_job(user=operator, job=jobs.request(task))
    jobs.work()
    job = selectors.job(job.pk)
    assert (job.state, jobs.counts(job), etl.cleared()) == ("cancelled", {"cancelled": 1}, [])
    assert job.finished_at is not None


def test_a_sweep_wakes_what_is_due_and_nothing_else(etl, jobs, woken):
    task = etl.stage(3, failed=[0, 1])
    job = jobs.request(task, indices="0")
    jobs.to_the_end(jobs.request(task, indices="1"))
    RetryJob.objects.filter(pk=job.pk).update(claimed_until=None)
    woken.clear()
    assert runner.wake_due_jobs() == RetryJob.objects.filter(finished_at=None).count()


def test_a_run_that_ends_while_its_instances_are_cleared_is_restarted_once_more(etl, jobs, wire):
    task = etl.stage(3, failed=[0, 2], finish=False)
    etl.fake.finish("etl", "r1", "report", result={})
    job = jobs.request(task, include_downstream=False)
    wire.after_clear.append(lambda: etl.fake.finish_run("etl", "r1", "success"))  # Airflow's scheduler had not seen it
    jobs.work()
    assert etl.states() == {0: None, 1: "success", 2: None}
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 2}
    assert etl.tries() == {0: 2, 1: 1, 2: 2}


def test_cancelled_while_a_request_that_never_arrives_is_under_way_every_index_still_ends(etl, jobs, wire, operator):
    task = etl.stage(3, failed=range(3))
    job = jobs.request(task)
    wire.before_clear.append(die)
    with pytest.raises(Killed):
        jobs.work()
    cancel_job(user=operator, job=job)
    job = jobs.to_the_end(job)
    assert (job.state, jobs.counts(job)) == ("cancelled", {"cancelled": 3})
    assert etl.cleared() == []


def test_a_person_who_pauses_at_the_last_moment_is_heard_at_once(etl, jobs, wire, operator, monkeypatch):
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, policy=Policy(chunk_size=2))
    keep = jobs_of_runner.finish

    def pause_then_finish(*args):
        keep(*args)
        monkeypatch.setattr(jobs_of_runner, "finish", keep)
        pause_job(user=operator, job=job)

    in_an_hour = Wait(WaitsFor.PACE, database_now() + timedelta(hours=1))
    monkeypatch.setattr(jobs_of_runner, "what_to_wait_for", lambda job, first: in_an_hour)
    monkeypatch.setattr(jobs_of_runner, "finish", pause_then_finish)
    runner.run_job(job.pk)
    assert list(selectors.due_jobs()) == [job]
