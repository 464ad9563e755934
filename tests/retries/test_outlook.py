"""What a job says it waits for, and until when."""

from __future__ import annotations

import pytest
from django.urls import reverse

from panel.retries import selectors
from panel.retries.models import RetryJob
from panel.retries.outlook import Outlook, outlook_of
from panel.retries.policies import Policy
from panel.retries.services import cancel_job, pause_job
from tests.retries.conftest import pass_time

pytestmark = pytest.mark.django_db


def outlook(job) -> Outlook | None:
    job = selectors.job(job.pk)
    return outlook_of(job, selectors.counts(job))


@pytest.fixture
def job(etl, jobs) -> RetryJob:
    return jobs.request(etl.stage(6, failed=range(6)))


def test_a_new_job_waits_for_a_worker(job):
    assert outlook(job).text == "The first chunk is sent as soon as a worker is free."
    assert not outlook(job).needs_person


def test_a_job_that_nobody_works_on_says_so(job):
    pass_time(100)
    found = outlook(job)
    assert found.needs_person
    assert found.text.startswith("No worker has looked after this job")


def test_a_paused_job_waits_for_a_person(job, jobs, operator):
    pause_job(user=operator, job=job)
    jobs.work()
    found = outlook(job)
    assert found.needs_person
    assert found.text == "Nothing more is sent until somebody resumes it: 6 indices wait."


def test_a_server_that_is_away_is_asked_again_at_a_time(job, etl, jobs):
    etl.fake.down = True
    jobs.work()
    found = outlook(job)
    assert found.text.startswith("Airflow is asked again")
    assert found.until == selectors.job(job.pk).next_at


def test_a_careful_job_waits_for_the_first_ones(etl, jobs):
    job = jobs.request(etl.stage(6, failed=range(6)), policy=Policy(canary=2, canary_max_failure_rate=0.2))
    jobs.work()
    assert outlook(job).text == "Waits for the first 2 indices; the other 4 follow if at most 20% of them fail again."


def test_a_paced_job_names_the_time_of_the_next_chunk(etl, jobs):
    job = jobs.request(etl.stage(5, failed=range(5)), policy=Policy(chunk_size=2, chunks_per_minute=1))
    jobs.work()
    found = outlook(job)
    assert found.text == "The next chunk, 2 indices, goes."
    assert 50 < (found.until - selectors.job(job.pk).last_chunk_at).total_seconds() <= 60


def test_everything_sent_waits_for_results(job, jobs):
    jobs.work()
    assert outlook(job).text == "Waits for the results of 6 indices that Airflow has."


def test_a_task_downstream_that_runs_is_named(etl, jobs):
    task = etl.stage(3, failed=[1], finish=False)
    etl.fake.start("etl", "r1", "report")
    job = jobs.request(task)
    jobs.work()
    assert outlook(job).text.startswith("Waits for report")


def test_a_cancelled_job_still_waits_for_what_was_sent(etl, jobs, operator):
    job = jobs.request(etl.stage(4, failed=range(4)), policy=Policy(chunk_size=2, chunks_per_minute=1))
    jobs.work()
    cancel_job(user=operator, job=job)
    jobs.work()
    assert outlook(job).text == "Waits for the results of 2 indices that Airflow has."


def test_a_job_that_is_over_waits_for_nothing(job, jobs, as_user, viewer):
    job = jobs.to_the_end(job)
    assert outlook(job) is None
    assert as_user(viewer).get(reverse("api:retry-job", args=[job.pk])).json()["outlook"] is None


def test_rest_and_page_say_the_same(job, jobs, as_user, viewer):
    jobs.work()
    client = as_user(viewer)
    told = client.get(reverse("api:retry-job", args=[job.pk])).json()["outlook"]
    assert told == {
        "text": "Waits for the results of 6 indices that Airflow has.",
        "until": None,
        "needs_person": False,
    }
    assert told["text"] in client.get(reverse("retries:job_detail", args=[job.pk])).content.decode()
