"""The panel's machines may have clocks that are an hour off: what a job waits for is told by the database's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from panel.clock import database_now
from panel.mirror.sync import errors
from panel.retries import selectors
from panel.retries.outlook import outlook_of
from panel.retries.policies import Policy
from panel.retries.services import pause_job, resume_job, start_job
from tests.fakes.airflow import Fatal
from tests.fakes.airflow.people import Person
from tests.retries.conftest import pass_time

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def this_machine_is(monkeypatch):
    """``this_machine_is(HOUR)``: ahead by so much."""
    return lambda ahead: monkeypatch.setattr("django.utils.timezone.now", lambda: datetime.now(UTC) + ahead)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_job_is_due_at_once_when_it_is_asked_for_and_when_it_is_resumed(etl, jobs, operator, this_machine_is, ahead):
    task = etl.stage(3, failed=[0, 1])
    this_machine_is(ahead)
    job = jobs.request(task)
    assert list(selectors.due_jobs()) == [job]
    job = resume_job(user=operator, job=pause_job(user=operator, job=job))
    assert abs(job.next_at - database_now()) < timedelta(seconds=30)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_watched_job_is_looked_at_again_after_a_pause_and_soon(etl, jobs, this_machine_is, ahead):
    """A worker that was behind looked without a pause; one that was ahead looked an hour later."""
    task = etl.stage(3, failed=[0, 1])
    this_machine_is(ahead)
    job = jobs.request(task)
    jobs.work()
    job = selectors.job(job.pk)
    assert job.state == "watching"
    assert timedelta(0) < job.next_at - database_now() < timedelta(seconds=31)
    assert len(etl.fake.calls("POST", "/clearTaskInstances")) < 10


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_an_index_that_airflow_no_longer_has_is_lost_at_once(etl, jobs, this_machine_is, ahead):
    task = etl.stage(3, failed=[0, 2])
    this_machine_is(ahead)
    job = jobs.request(task)
    jobs.work()
    del etl.fake.world.of_task("etl", "r1", "work")[2]
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"recovered": 1, "lost": 1}
    assert jobs.why(job)[2] == "Airflow no longer has it"


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_what_comes_next_is_told_by_the_databases_clock(etl, jobs, this_machine_is, ahead):
    job = jobs.request(etl.stage(4, failed=range(4)), policy=Policy(chunk_size=2, chunks_per_minute=0.1))
    this_machine_is(ahead)
    assert outlook_of(job, selectors.counts(job)).text == "The first chunk is sent as soon as a worker is free."
    jobs.work()
    job = selectors.job(job.pk)
    outlook = outlook_of(job, selectors.counts(job))
    assert outlook.text == "The next chunk, 2 indices, goes."
    assert outlook.is_ahead
    assert outlook.is_far
    pass_time(400)
    job = selectors.job(job.pk)
    outlook = outlook_of(job, selectors.counts(job))
    assert outlook.needs_person, "it is due for a while, and no worker has come"
    assert not outlook.is_ahead


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_what_people_decide_is_dated_by_the_databases_clock(etl, jobs, operator, this_machine_is, ahead):
    """Results after a resume stop the job again: they are compared with this."""
    later = Policy(not_before=database_now() + HOUR / 2)
    task = etl.stage(3, failed=[0, 1])
    paused = pause_job(user=operator, job=jobs.request(task, indices="0", policy=later))
    put_off = jobs.request(task, indices="1", policy=later)
    this_machine_is(ahead)
    resumed = resume_job(user=operator, job=paused)
    assert resumed.state == "scheduled"
    assert abs(resumed.counts_from - database_now()) < timedelta(seconds=30)
    assert abs(start_job(user=operator, job=put_off).not_before - database_now()) < timedelta(seconds=30)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_failure_waits_for_its_error_by_airflows_own_clock(etl, jobs, monkeypatch, ahead):
    monkeypatch.setattr(errors, "SAMPLE", 0)
    monkeypatch.setattr(errors, "BEYOND_SAMPLE", 0)
    etl.fake.clock.advance(ahead.total_seconds())

    def fails_again(row):
        raise Fatal("KeyError", "again")

    job = jobs.request(etl.stage(2, failed=[0]))
    jobs.work()
    etl.run_airflow(fails_again)
    pass_time(35)
    jobs.work()
    assert jobs.counts(job) == {"sent": 1}
    etl.fake.clock.advance(100)
    pass_time(35)
    jobs.work()
    assert jobs.counts(job) == {"failed_again": 1}


def test_a_mark_after_the_clear_is_seen_where_airflows_clock_is_behind(etl, jobs):
    etl.fake.clock.advance(-HOUR.total_seconds())
    job = jobs.request(etl.stage(2, failed=[0]))
    jobs.work()
    Person(etl.fake, "maria").mark("etl", "r1", "work", 0, "success")
    job = jobs.to_the_end(job)
    assert jobs.why(job)[0] == "maria marked it as success by hand in Airflow"


def test_a_mark_before_the_clear_is_none_of_its_results_where_airflows_clock_is_ahead(etl, jobs):
    etl.fake.clock.advance(HOUR.total_seconds())
    etl.stage(2, failed=[0])
    Person(etl.fake, "maria").mark("etl", "r1", "work", 0, "success")
    etl.fake.clock.advance(60)
    job = jobs.to_the_end(jobs.request(etl.mirrored(), indices="0", include_settled=True))
    assert (jobs.counts(job), jobs.why(job)) == ({"recovered": 1}, {0: ""})
