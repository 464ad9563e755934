"""However often, by however many people, and whenever one presses: one effect, within one chunk and 5 s."""

from __future__ import annotations

from collections import Counter

import pytest
from django.conf import settings
from django.urls import reverse

from panel.clock import database_now
from panel.retries import selectors
from panel.retries.models import RetryItem, RetryJob
from panel.retries.policies import Policy
from panel.retries.services import cancel_job, pause_job, resume_job
from tests.retries.races import six_at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(as_user, operator):
    return as_user(operator)


@pytest.fixture
def oskar(as_user, person):
    return as_user(person("oskar", "operator"))


def open_panel(client, task, indices: str = "0-2") -> tuple[str, dict[str, str]]:
    """The retry panel as one has it open: where its form goes, and what it sends."""
    url = f"{reverse('retries:retry_panel', args=[task.pk])}?indices={indices}"
    page = client.get(url).content.decode()
    names = ("idempotency_key", "plan_token")
    return url, {name: page.split(f'name="{name}" value="')[1].split('"')[0] for name in names} | {"reason": "x"}


def cleared_once(etl, jobs, indices) -> None:
    for job in RetryJob.objects.filter(finished_at=None):
        jobs.to_the_end(job)
    sent = Counter(one[1] for targets in etl.cleared() for one in targets if isinstance(one, list) and one[0] == "work")
    assert sent == Counter(indices)


# ── One request ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_double_click_makes_one_job(etl, jobs, olga):
    task = etl.stage(4, failed=range(3))
    url, fields = open_panel(olga, task)
    answers = [olga.post(url, fields) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [302, 302]
    assert answers[0]["Location"] == answers[1]["Location"]
    assert RetryJob.objects.count() == 1
    cleared_once(etl, jobs, range(3))


def test_two_tabs_make_one_job_and_the_second_tab_names_and_links_it(etl, jobs, olga):
    task = etl.stage(4, failed=range(3))
    (url, first), (_url, second) = open_panel(olga, task), open_panel(olga, task)
    assert olga.post(url, first).status_code == 302
    answer = olga.post(url, second)
    job = RetryJob.objects.get()
    assert answer.status_code in {409, 422}
    page = answer.content.decode()
    assert f"already in job {job.short_id}" in page
    assert f'href="{reverse("retries:job_detail", args=[job.pk])}"' in page
    cleared_once(etl, jobs, range(3))


def test_two_people_make_one_job_of_each_index_and_the_second_job_links_the_first(etl, jobs, olga, oskar):
    task = etl.stage(5, failed=range(5))
    url, fields = open_panel(olga, task, "0-2")
    olga.post(url, fields)
    first = RetryJob.objects.get()
    url, fields = open_panel(oskar, task, "1-4")
    answer = oskar.post(url, fields)
    second = RetryJob.objects.exclude(pk=first.pk).get()
    assert [item.map_index for item in selectors.items(second)] == [3, 4]
    page = oskar.get(answer["Location"]).content.decode()
    assert f"already in job {first.short_id}</a>" in page
    assert f'href="{reverse("retries:job_detail", args=[first.pk])}"' in page
    cleared_once(etl, jobs, range(5))


def test_a_repeated_api_call_is_the_same_job(etl, jobs, olga):
    task = etl.stage(4, failed=range(3))
    body = {"mapped_task": str(task.pk), "selection": {"indices": "0-2"}, "reason": "x", "idempotency_key": "k1"}
    answers = [olga.post(reverse("api:retry-jobs"), body, content_type="application/json") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1
    cleared_once(etl, jobs, range(3))


def test_an_api_call_without_a_key_repeated_retries_nothing_twice(etl, jobs, olga):
    task = etl.stage(4, failed=range(3))
    body = {"mapped_task": str(task.pk), "selection": {"indices": "0-2"}, "reason": "x"}
    answers = [olga.post(reverse("api:retry-jobs"), body, content_type="application/json") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 422]
    assert RetryJob.objects.get().short_id in answers[1].json()["error"]["message"]
    cleared_once(etl, jobs, range(3))


PRESSES = """
def press(n):
    # Four presses of one person's one form, and two of another person's.
    who = 0 if n < 4 else 1
    Jobs(people[who], etl).request(task, indices="0-29" if who == 0 else "10-39", key=f"key-{who}")
"""


@pytest.mark.django_db(transaction=True)
def test_six_processes_that_press_at_the_same_time_take_each_index_once(tmp_path):
    found = six_at_once(PRESSES, tmp_path)
    assert found["jobs"] == ["race-0", "race-1"], "one job a person, however often they pressed"
    assert found["indices"] == list(range(40)), "each index in one job"


# Each has checked the budget before any of the others has stored its job, unless something keeps them apart.
SLOW_PRESSES = """
import time
import panel.retries.services as services
store_job = services.store_job

def slowly(**wanted):
    time.sleep(0.3)
    return store_job(**wanted)

services.store_job = slowly

def press(n):
    Jobs(people[n % 2], etl).request(task, indices=str(n), key=f"key-{n}")
"""


@pytest.mark.django_db(transaction=True)
def test_six_processes_that_press_at_the_same_time_keep_the_budget_of_the_dag(tmp_path):
    found = six_at_once(SLOW_PRESSES, tmp_path, RETRY_JOBS_PER_HOUR="2")
    assert len(found["jobs"]) == 2
    assert found["refused"] == ["budget_spent"] * 4


SAME_PRESSES = SLOW_PRESSES.replace("people[n % 2]", "people[0]").replace('str(n), key=f"key-{n}"', '"0-9", key="one"')


@pytest.mark.django_db(transaction=True)
def test_a_press_repeated_at_the_same_time_is_no_second_job_of_the_budget(tmp_path):
    found = six_at_once(SAME_PRESSES, tmp_path, RETRY_JOBS_PER_HOUR="1")
    assert (found["jobs"], found["refused"]) == (["race-0"], [])


# ── Pause, resume, cancel ────────────────────────────────────────────────────────────────────────────────────────
CHANGES = {"pause": pause_job, "cancel": cancel_job}


@pytest.mark.parametrize("change", ["pause", "cancel"])
def test_it_takes_effect_after_the_chunk_that_is_under_way(etl, jobs, wire, operator, change):
    job = jobs.request(etl.stage(6, failed=range(6)), policy=Policy(chunk_size=2))
    wire.before_clear.append(lambda: CHANGES[change](user=operator, job=job))
    jobs.work()
    chunks = [targets for targets in etl.cleared() if targets[0][0] == "work"]
    assert chunks[0] == [["work", 0], ["work", 1]]
    assert {tuple(one) for targets in chunks for one in targets} == {("work", 0), ("work", 1)}, "no other index went"
    left = {"pause": {"sent": 2, "pending": 4}, "cancel": {"sent": 2, "cancelled": 4}}
    assert jobs.counts(job) == left[change]


@pytest.mark.parametrize("change", ["pause", "cancel"])
def test_a_job_that_waits_for_its_pace_is_looked_at_at_once(etl, jobs, operator, change):
    job = jobs.request(etl.stage(6, failed=range(6)), policy=Policy(chunk_size=2, chunks_per_minute=0.1))
    jobs.work()
    RetryJob.objects.filter(pk=job.pk).update(next_at=database_now().replace(year=2099))
    CHANGES[change](user=operator, job=job)
    assert job in selectors.due_jobs(), "also when the broker is away: the sweep finds it"
    assert settings.CELERY_BEAT_SCHEDULE["retries.sweep"]["schedule"] <= 5


def test_a_job_that_waits_out_an_outage_is_looked_at_at_once(etl, jobs, operator):
    job = jobs.request(etl.stage(3, failed=range(3)))
    etl.fake.down = True
    jobs.work()
    assert job not in selectors.due_jobs()
    cancel_job(user=operator, job=job)
    assert job in selectors.due_jobs()


def test_resuming_sends_the_next_chunk_at_once(etl, jobs, operator):
    job = jobs.request(etl.stage(3, failed=range(3)))
    pause_job(user=operator, job=job)
    jobs.work()
    assert etl.cleared() == []
    resume_job(user=operator, job=job)
    assert job in selectors.due_jobs()
    jobs.work()
    assert jobs.counts(job) == {"sent": 3}


@pytest.mark.parametrize("change", ["pause", "cancel"])
def test_pressed_while_a_worker_looks_it_is_not_overlooked(etl, jobs, operator, wire, change):
    """The worker releases its claim after the press, with a time of its own to come back."""
    job = jobs.request(etl.stage(4, failed=range(4)), policy=Policy(chunk_size=2, chunks_per_minute=1))
    wire.after_clear.append(lambda: CHANGES[change](user=operator, job=job))
    jobs.work()
    assert jobs.counts(job).get("pending", 0) == (2 if change == "pause" else 0)
    assert selectors.job(job.pk).state == {"pause": "paused", "cancel": "cancelled"}[change]


def test_of_two_people_who_press_at_once_one_moves_the_job_and_the_other_is_told(etl, jobs, olga, oskar):
    job = jobs.request(etl.stage(3, failed=range(3)))
    url = reverse("api:retry-job-pause", args=[job.pk])
    assert [client.post(url).status_code for client in (olga, oskar)] == [200, 409]
    assert selectors.job(job.pk).state_reason == "Paused by olga."
    assert not RetryItem.objects.filter(job=job).exclude(state="pending").exists()
