"""What failed again is retried once more, in a job of its own, with growing pauses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from panel.access.models import AuditEvent
from panel.retries import runner, selectors
from panel.retries.models import ReportMail, RetryItem, RetryJob
from panel.retries.policies import Policy
from panel.retries.runner import finishing
from panel.retries.services import cancel_job
from tests.fakes.airflow import Fatal
from tests.retries.conftest import Killed, pass_time

pytestmark = pytest.mark.django_db

THRICE = Policy(rounds=3, round_pause_seconds=600)


def failing(*indices: int, tries: int = 99):
    """These fail again until they had so many tries, all else succeeds."""

    def decide(row):
        if row.task_id == "work" and row.map_index in indices and row.try_number < tries:
            raise Fatal("KeyError", "again")
        return {"id": row.map_index}

    return decide


def waits(job: RetryJob) -> timedelta:
    return job.not_before - timezone.now()


def test_what_failed_again_goes_into_a_job_of_its_own(etl, jobs):
    task = etl.stage(5, failed=[0, 1, 3])
    first = jobs.to_the_end(jobs.request(task, policy=THRICE), failing(1, 3, tries=3))
    assert (first.state, jobs.counts(first)) == ("done", {"recovered": 1, "failed_again": 2})
    second = selectors.next_round(first)
    assert (second.state, second.round, second.total, second.parent) == ("scheduled", 2, 2, first)
    assert (second.reason, second.username) == (first.reason, first.username)
    assert timedelta(seconds=500) < waits(second) <= timedelta(seconds=600)
    jobs.work()
    assert selectors.job(second.pk).state == "scheduled"
    pass_time(601)
    second = jobs.to_the_end(second, failing(1, 3, tries=3))
    assert (second.state, jobs.counts(second)) == ("done", {"recovered": 2})
    assert selectors.next_round(second) is None
    assert etl.tries() == {0: 2, 1: 3, 2: 1, 3: 3, 4: 1}
    assert etl.tries("report") == {-1: 3}, "what is downstream runs once after each round"


def test_the_pauses_grow_and_the_rounds_end(etl, jobs):
    task = etl.stage(2, failed=[0])
    job = jobs.to_the_end(jobs.request(task, policy=THRICE), failing(0))
    pauses = []
    while following := selectors.next_round(job):
        pauses.append(round(waits(following) / timedelta(seconds=600)))
        pass_time(1_300)
        job = jobs.to_the_end(following, failing(0))
    assert pauses == [1, 2]
    assert (job.round, job.state, jobs.counts(job)) == (3, "done", {"failed_again": 1})
    assert RetryJob.objects.count() == 3
    assert etl.tries()[0] == 4


def test_each_round_is_in_the_audit_trail(etl, jobs, operator):
    task = etl.stage(2, failed=[0])
    job = jobs.to_the_end(jobs.request(task, policy=THRICE), failing(0))
    event = AuditEvent.objects.get(action="retries.next_round")
    assert (event.user, event.target_id) == (operator, str(selectors.next_round(job).pk))
    assert (event.detail["parent"], event.detail["round"], event.detail["rounds"]) == (str(job.pk), 2, 3)


def test_whoever_is_mailed_the_report_is_mailed_that_of_each_round(etl, jobs, operator, viewer):
    task = etl.stage(2, failed=[0])
    job = jobs.request(task, policy=THRICE)
    for person in (operator, viewer):
        ReportMail.objects.create(job=job, user=person)
    following = selectors.next_round(jobs.to_the_end(job, failing(0)))
    assert {mail.user for mail in following.report_mails.all()} == {operator, viewer}


def test_everything_recovered_needs_no_further_round(etl, jobs):
    job = jobs.to_the_end(jobs.request(etl.stage(3, failed=[0]), policy=THRICE))
    assert (job.state, selectors.next_round(job)) == ("done", None)


def test_without_rounds_nothing_goes_again_by_itself(etl, jobs):
    job = jobs.to_the_end(jobs.request(etl.stage(3, failed=[0])), failing(0))
    assert selectors.next_round(job) is None


def test_a_worker_killed_while_planning_a_round_leaves_exactly_one(etl, jobs, monkeypatch):
    job = jobs.request(etl.stage(2, failed=[0]), policy=THRICE)
    plan = finishing.plan_next_round

    def plan_and_die(of):
        plan(of)
        raise Killed

    monkeypatch.setattr(finishing, "plan_next_round", plan_and_die)
    with pytest.raises(Killed):
        jobs.to_the_end(job, failing(0))
    assert selectors.job(job.pk).finished_at is None
    monkeypatch.undo()
    pass_time(100)
    jobs.to_the_end(job, failing(0))
    runner.run_job(job.pk)
    assert RetryJob.objects.filter(parent=job).count() == 1


def test_a_job_has_at_most_one_round_after_it(etl, jobs):
    job = jobs.to_the_end(jobs.request(etl.stage(2, failed=[0]), policy=THRICE), failing(0))
    following = selectors.next_round(job)
    following.pk = None
    following._state.adding = True
    with pytest.raises(IntegrityError):
        following.save(force_insert=True)


def test_cancelling_a_scheduled_round_ends_the_series(etl, jobs, operator):
    job = jobs.to_the_end(jobs.request(etl.stage(2, failed=[0]), policy=THRICE), failing(0))
    following = selectors.next_round(job)
    cancel_job(user=operator, job=following)
    pass_time(700)
    jobs.work()
    following = selectors.job(following.pk)
    assert (following.state, jobs.counts(following)) == ("cancelled", {"cancelled": 1})
    assert selectors.next_round(following) is None
    assert etl.tries()[0] == 2


def test_cancelling_a_job_that_only_waits_for_results_spares_its_further_rounds(etl, jobs, operator):
    job = jobs.request(etl.stage(2, failed=[0]), policy=THRICE)
    jobs.work()
    assert selectors.job(job.pk).state == "watching"
    cancel_job(user=operator, job=selectors.job(job.pk))
    job = jobs.to_the_end(job, failing(0))
    assert (job.state, jobs.counts(job), selectors.next_round(job)) == ("cancelled", {"failed_again": 1}, None)


def test_a_round_looks_at_each_index_again(etl, jobs):
    job = jobs.to_the_end(jobs.request(etl.stage(3, failed=[0, 1]), policy=THRICE), failing(0, 1))
    etl.fake.world.find("etl", "r1", "work", 0).state = "success"  # marked by hand in Airflow
    pass_time(601)
    following = jobs.to_the_end(selectors.next_round(job))
    assert jobs.counts(following) == {"skipped": 1, "recovered": 1}
    assert jobs.why(following)[0] == "success meanwhile"


def test_a_run_that_is_gone_ends_the_series_with_the_reason(etl, jobs):
    job = jobs.to_the_end(jobs.request(etl.stage(2, failed=[0]), policy=THRICE), failing(0))
    following = selectors.next_round(job)
    etl.fake.remove_run("etl", "r1")
    pass_time(601)
    jobs.work()
    following = selectors.job(following.pk)
    assert (following.state, jobs.counts(following)) == ("failed", {"lost": 1})
    assert "no longer has this run" in following.state_reason
    assert selectors.next_round(following) is None


def test_somebody_who_may_no_longer_retry_ends_the_series_with_the_reason(etl, jobs, operator):
    job = jobs.request(etl.stage(2, failed=[0]), policy=THRICE)
    jobs.work()
    operator.groups.clear()
    job = jobs.to_the_end(job, failing(0))
    assert (job.state, selectors.next_round(job)) == ("done", None)
    assert job.state_reason == "No further round: olga may no longer retry."


def test_an_index_that_another_job_took_meanwhile_is_left_to_it(etl, jobs):
    task = etl.stage(3, failed=[0, 1])
    job = jobs.request(task, policy=THRICE)
    jobs.work()
    RetryItem.objects.filter(job=job, map_index=1).update(state="recovered")  # stands for one that ended early
    other = jobs.request(etl.mirrored(), indices="2", include_settled=True)
    RetryItem.objects.filter(job=other).update(map_index=0, mapped_task_id=task.pk, state="cancelled")
    job = jobs.to_the_end(job, failing(0))
    assert selectors.next_round(job).total == 1


def test_a_round_keeps_the_policy(etl, jobs):
    policy = Policy(rounds=2, round_pause_seconds=600, wave_size=1, wave_pause_seconds=60)
    task = etl.stage(3, failed=[0, 1])
    job = jobs.request(task, policy=policy)
    for _ in range(4):
        jobs.work()
        etl.run_airflow(failing(0, 1))
        pass_time(65)
    job = jobs.to_the_end(job, failing(0, 1))
    following = selectors.next_round(job)
    etl.fake.forget_requests()
    pass_time(700)
    jobs.work()
    assert etl.cleared() == [[["work", 0]]]
    assert selectors.job(following.pk).waiting_for == "wave"
