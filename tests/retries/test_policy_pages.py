"""Policies on the pages: the form's fields, what a job says it waits for, and its rounds."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import timezone

from panel.retries import selectors
from panel.retries.models import RetryJob
from panel.retries.policies import Policy
from tests.fakes.airflow import Fatal
from tests.retries.conftest import pass_time
from tests.retries.test_pages import fields_of, job_url, panel_url, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def press(etl, as_user, operator):
    """Fill in the panel of a run with three failures and press Retry."""

    def send(**fields):
        task = etl.stage(4, failed=[0, 1, 2])
        client = as_user(operator)
        return client.post(panel_url(task), fields_of(client.get(panel_url(task)), **fields))

    return send


def failing(row):
    if row.task_id == "work" and row.map_index == 0:
        raise Fatal("KeyError", "again")
    return {"id": row.map_index}


def details(answer) -> dict[str, bool]:
    """Which of the panel's folded parts are open."""
    page = answer.content.decode()
    return {name: bool(opened) for name, opened in re.findall(r'id="retry-(\w+)"( open)?>\s*<summary>', page)}


def test_every_policy_can_be_filled_in_with_a_persons_units(press):
    answer = press(
        canary_by_group="on", canary_percent="10", chunk_size="5", chunks_per_minute="2", wave_size="50",
        wave_pause_minutes="2.5", stop_percent="30", rounds="3", round_pause_minutes="15", window_start="22:00",
        window_end="06:00", time_zone="Europe/Berlin",
    )  # fmt: skip
    assert answer.status_code == 302
    assert Policy.of(RetryJob.objects.get()) == Policy(
        canary_by_group=True, canary_max_failure_rate=0.1, chunk_size=5, chunks_per_minute=2, wave_size=50,
        wave_pause_seconds=150, stop_failure_rate=0.3, rounds=3, round_pause_seconds=900, window_start="22:00",
        window_end="06:00", time_zone="Europe/Berlin",
    )  # fmt: skip


def test_left_alone_everything_goes_at_once(press, etl, jobs):
    press()
    assert Policy.of(RetryJob.objects.get()) == Policy()
    jobs.work()
    assert len(etl.cleared()) == 2


def test_after_two_means_the_next_time_it_is_two_where_the_person_is(press):
    press(after="02:00", time_zone="Asia/Tokyo")
    job = RetryJob.objects.get()
    local = job.not_before.astimezone(ZoneInfo("Asia/Tokyo"))
    assert (local.hour, local.minute, job.state) == (2, 0, "scheduled")
    assert timedelta() < job.not_before - timezone.now() <= timedelta(days=1)


@pytest.mark.parametrize(
    ("fields", "words", "part"),
    [
        ({"canary": "2", "canary_by_group": "on"}, "Either so many first, or one of each error group.", "careful"),
        ({"wave_pause_minutes": "5"}, "Say how many indices a wave has, too.", "pace"),
        ({"wave_size": "0"}, "greater than or equal to 1", "pace"),
        ({"stop_percent": "100"}, "less than or equal to 99.9", "again"),
        ({"rounds": "9"}, "less than or equal to 5", "again"),
        ({"round_pause_minutes": "10"}, "Say how many rounds, too.", "again"),
        ({"after": "half past two"}, "Enter a valid time.", "later"),
        ({"window_start": "22:00"}, "A window needs both its times.", "later"),
        ({"after": "02:00", "time_zone": "Mars/Olympus"}, "time zone “Mars/Olympus” is not known", "later"),
    ],
)
def test_a_wrong_policy_is_said_beside_its_field_in_an_open_part(press, fields, words, part):
    answer = press(**fields)
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert details(answer)[part]
    assert not RetryJob.objects.exists()


def test_the_parts_are_folded_until_something_is_in_them(etl, as_user, operator):
    task = etl.stage(3, failed=[0])
    assert not any(details(as_user(operator).get(panel_url(task))).values())
    kept = as_user(operator).get(panel_url(task, "outcome=hard_failure&rounds=2&after=02:00"))
    assert details(kept) == {"errors": False, "careful": False, "pace": False, "again": True, "later": True}
    assert 'value="02:00"' in kept.content.decode()


# The job's page


def shown(client, job) -> str:
    return text_of(client.get(job_url(job)))


def test_a_scheduled_job_says_when_it_starts_and_can_be_started_now(etl, jobs, as_user, operator, viewer):
    moment = timezone.now() + timedelta(hours=3)
    job = jobs.request(etl.stage(3, failed=[0]), policy=Policy(not_before=moment))
    page = shown(as_user(operator), job)
    assert "scheduled" in page
    assert "Put off. Each index is looked at once more" in page
    assert f"left out with the reason. It starts: {moment:%Y-%m-%d %H:%M}" in page
    assert "in 2 h" in page
    assert "Start now" not in shown(as_user(viewer), job)
    assert as_user(viewer).post(reverse("retries:job_start", args=[job.pk])).status_code == 403
    assert as_user(operator).get(reverse("retries:job_start", args=[job.pk])).status_code == 405
    assert as_user(operator).post(reverse("retries:job_start", args=[job.pk])).status_code == 302
    jobs.work()
    assert len(etl.cleared()) == 2
    again = as_user(operator).post(reverse("retries:job_start", args=[job.pk]), follow=True)
    assert "Only a scheduled job can be started before its time" in text_of(again)


def test_a_job_says_what_it_waits_for(etl, jobs, as_user, viewer):
    task = etl.stage(5, failed=range(5))
    job = jobs.request(task, policy=Policy(canary=1, wave_size=2, wave_pause_seconds=600))
    client = as_user(viewer)
    jobs.work()
    assert "Waits for the first index; the other 4 follow unless it fails again." in shown(client, job)
    etl.run_airflow()
    pass_time(35)
    jobs.work()
    assert "Waits for the results of wave 1 of 2, then 10 m more." in shown(client, job)
    etl.run_airflow()
    pass_time(35)
    jobs.work()
    assert "Wave 1 of 2 is over. The next one goes after the pause." in shown(client, job)
    pass_time(601)
    jobs.work()
    etl.run_airflow(lambda row: None if row.map_index == 3 else {"id": row.map_index})
    assert "wave 2 of 2" not in shown(client, job), "nothing comes after the last wave but what is downstream"
    assert "The tasks downstream run again when the last index has ended." in shown(client, job)


def test_a_paused_job_shows_no_wait_of_its_own(etl, jobs, as_user, operator):
    job = jobs.request(etl.stage(4, failed=range(4)), policy=Policy(chunk_size=2, chunks_per_minute=1))
    jobs.work()
    client = as_user(operator)
    assert "The next chunk, 2 indices, goes." in shown(client, job)
    client.post(reverse("retries:job_pause", args=[job.pk]))
    assert "The next chunk" not in shown(client, job)


def test_the_page_tells_the_policy_in_words(etl, jobs, as_user, viewer):
    policy = Policy(
        canary_by_group=True, canary_max_failure_rate=0.1, wave_size=50, wave_pause_seconds=120,
        stop_failure_rate=0.3, window_start="22:00", window_end="06:00", time_zone="Europe/Berlin", rounds=3,
    )  # fmt: skip
    page = shown(as_user(viewer), jobs.request(etl.stage(3, failed=[0]), policy=policy))
    for words in (
        "one of each error group, the rest if at most 10% fail again",
        "of 50 indices, each after the results of the one before and 2 m pause",
        "when more than 30% fail again",
        "22:00 to 06:00 each day, Europe/Berlin",
        "1 of at most 3",
    ):
        assert words in page


def test_the_page_counts_one_as_one(etl, jobs, as_user, viewer):
    policy = Policy(
        canary=1, canary_max_failure_rate=0.0005, wave_size=1, wave_pause_seconds=600, chunk_size=1,
        chunks_per_minute=1, stop_failure_rate=0.2,
    )  # fmt: skip
    job = jobs.request(etl.stage(2, failed=[0, 1]), policy=policy)
    page = shown(as_user(viewer), job)
    for words in (
        "1 first, the rest if at most 0.05% fail again",
        "1 index a request, 1 a minute",
        "of 1 index, each after the results of the one before and 10 m pause",
        "when more than 20% fail again",
    ):
        assert words in page
    jobs.work()
    assert "Waits for the first index; the other one follows unless it fails again." in shown(as_user(viewer), job)
    etl.run_airflow(failing)
    pass_time(35)
    jobs.work()
    assert "The first index failed again. Resume to retry the rest anyway." in shown(as_user(viewer), job)


def test_one_index_that_stops_a_wave_is_counted_as_one(etl, jobs, as_user, viewer):
    job = jobs.request(etl.stage(2, failed=[0, 1]), policy=Policy(wave_size=1, stop_failure_rate=0.2))
    jobs.work()
    etl.run_airflow(failing)
    pass_time(35)
    jobs.work()
    assert "The only index that ended failed again, more than 20%." in shown(as_user(viewer), job)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (Policy(canary=2), "Waits for the first 2 indices; the other 2 follow if none of them fails again."),
        (Policy(canary=2, canary_max_failure_rate=1), "Waits for the first 2 indices; the other 2 follow in any case."),
    ],
)
def test_the_condition_for_the_others_is_said_plainly(etl, jobs, as_user, viewer, policy, words):
    job = jobs.request(etl.stage(4, failed=range(4)), policy=policy)
    jobs.work()
    assert words in shown(as_user(viewer), job)


def test_rounds_are_linked_and_can_be_ended_from_the_first_one(etl, jobs, as_user, operator, viewer):
    first = jobs.to_the_end(jobs.request(etl.stage(3, failed=[0, 1]), policy=Policy(rounds=3)), failing)
    second = selectors.next_round(first)
    page = as_user(operator).get(job_url(first))
    assert "Round 2 of 3: 1 index that failed again" in text_of(page)
    assert job_url(second) in page.content.decode()
    assert "No further round" not in shown(as_user(viewer), first)
    assert job_url(first) in as_user(viewer).get(job_url(second)).content.decode()
    assert "Round 2 of 3, over what failed again. Each index is looked at once more. It starts:" in shown(
        as_user(viewer), second
    )
    as_user(operator).post(reverse("retries:job_cancel", args=[second.pk]))
    assert selectors.job(second.pk).state == "cancelled"
    assert "No further round" not in shown(as_user(operator), first)


def test_the_list_narrows_to_scheduled_jobs(etl, jobs, as_user, viewer):
    job = jobs.request(
        etl.stage(3, failed=[0]), policy=Policy(not_before=timezone.now() + timedelta(hours=1)), reason="tonight"
    )
    url = reverse("retries:job_list")
    assert job_url(job) in as_user(viewer).get(f"{url}?state=scheduled").content.decode()
    assert "tonight" not in text_of(as_user(viewer).get(f"{url}?state=done"))


# REST


JOBS = "/api/v1/retry-jobs/"


def body_for(task, **more):
    return {"mapped_task": str(task.pk), "selection": {"outcomes": ["hard_failure"]}, "reason": "x"} | more


def test_every_policy_goes_through_rest_and_comes_back(etl, as_user, operator):
    asked = {
        "canary_by_group": True, "canary_max_failure_rate": 0.1, "wave_size": 50, "wave_pause_seconds": 60,
        "stop_failure_rate": 0.3, "not_before": (timezone.now() + timedelta(hours=5)).isoformat(),
        "window_start": "22:00", "window_end": "06:00", "time_zone": "Europe/Berlin", "rounds": 2,
        "round_pause_seconds": 300,
    }  # fmt: skip
    answer = as_user(operator).post(JOBS, body_for(etl.stage(3, failed=[0]), **asked), content_type="application/json")
    assert answer.status_code == 201
    job = answer.json()
    assert {name: job[name] for name in asked if name != "not_before"} == {
        name: value for name, value in asked.items() if name != "not_before"
    }
    assert datetime.fromisoformat(job["not_before"]) == datetime.fromisoformat(asked["not_before"])
    assert (job["state"], job["waits_for"], job["waits_until"]) == ("scheduled", "time", job["not_before"])
    assert (job["round"], job["previous_round"], job["next_round"]) == (1, None, None)
    started = as_user(operator).post(f"{JOBS}{job['id']}/start/", content_type="application/json")
    assert (started.status_code, started.json()["state"]) == (200, "planned")
    assert as_user(operator).post(f"{JOBS}{job['id']}/start/").status_code == 409


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"wave_size": 0}, "wave_size"),
        ({"wave_pause_seconds": 60}, "wave_pause_seconds"),
        ({"stop_failure_rate": 1}, "stop_failure_rate"),
        ({"canary": 1, "canary_by_group": True}, "canary_by_group"),
        ({"not_before": "tonight"}, "not_before"),
        ({"not_before": "2999-01-01T00:00:00Z"}, "not_before"),
        ({"window_start": "22"}, "window_start"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"rounds": 0}, "rounds"),
        ({"rounds": 2, "round_pause_seconds": 1}, "round_pause_seconds"),
        ({"wave": 3}, "wave"),
    ],
)
def test_a_wrong_policy_is_422_at_its_field(etl, as_user, operator, change, field):
    answer = as_user(operator).post(JOBS, body_for(etl.stage(3, failed=[0]), **change), content_type="application/json")
    assert (answer.status_code, field in answer.json()["error"]["fields"]) == (422, True)
    assert not RetryJob.objects.exists()


def test_the_rounds_of_a_series_are_linked_by_rest(etl, jobs, as_user, viewer):
    first = jobs.to_the_end(jobs.request(etl.stage(3, failed=[0, 1]), policy=Policy(rounds=2)), failing)
    client = as_user(viewer)
    following = client.get(f"{JOBS}{first.pk}/").json()["next_round"]
    second = client.get(f"{JOBS}{following}/").json()
    assert (second["previous_round"], second["round"], second["total"]) == (str(first.pk), 2, 1)
