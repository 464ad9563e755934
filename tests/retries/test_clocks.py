"""The panel's machines may have clocks that are an hour off: what a job waits for is told by the database's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from panel.retries import selectors
from panel.retries.clock import database_now
from panel.retries.services import pause_job, resume_job

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
