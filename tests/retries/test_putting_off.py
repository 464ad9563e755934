"""A job put off to a time, the hours of the day in which it may send, and policies that make no sense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from panel.problems import Conflicting, Unprocessable
from panel.retries import runner, selectors
from panel.retries.hours import DailyHours, next_time, parse_time, parse_zone
from panel.retries.policies import LONGEST_DELAY, Policy
from panel.retries.services import cancel_job, pause_job, resume_job, start_job
from tests.retries.conftest import pass_time

pytestmark = pytest.mark.django_db


def later(hours: float) -> datetime:
    return timezone.now() + timedelta(hours=hours)


def test_a_job_put_off_sends_nothing_before_its_time(etl, jobs):
    task = etl.stage(3, failed=[0, 1])
    job = jobs.request(task, policy=Policy(not_before=later(3)))
    assert (job.state, job.waiting_for, job.waiting_until) == ("scheduled", "time", job.not_before)
    runner.run_job(job.pk)  # woken too early, say by a clock that was put right
    pass_time(3 * 3600 - 60)
    jobs.work()
    assert (selectors.job(job.pk).state, etl.cleared()) == ("scheduled", [])
    pass_time(61)
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 2}


def test_a_time_that_is_past_means_now(etl, jobs):
    job = jobs.request(etl.stage(3, failed=[0]), policy=Policy(not_before=later(-1)))
    assert job.state == "planned"
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 1}


def test_what_changed_before_its_time_is_left_out_with_the_reason(etl, jobs):
    task = etl.stage(3, failed=range(3))
    job = jobs.request(task, policy=Policy(not_before=later(3)))
    etl.fake.world.find("etl", "r1", "work", 0).state = "success"
    etl.fake.start("etl", "r1", "work", 1)
    pass_time(3 * 3600 + 1)
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"skipped": 2, "recovered": 1}
    assert jobs.why(job)[0] == "success meanwhile"


def test_a_scheduled_job_can_be_cancelled_paused_and_started_now(etl, jobs, operator):
    task = etl.stage(3, failed=range(3))
    one, two, three = (jobs.request(task, indices=str(index), policy=Policy(not_before=later(3))) for index in range(3))
    cancel_job(user=operator, job=one)
    pause_job(user=operator, job=two)
    assert resume_job(user=operator, job=selectors.job(two.pk)).state == "scheduled", "its time has not come"
    start_job(user=operator, job=three)
    jobs.work()
    assert etl.cleared()[0] == [["work", 2]]
    assert len(etl.cleared()) == 2
    assert selectors.job(one.pk).finished_at is not None
    for job in (one, three):
        with pytest.raises(Conflicting):
            start_job(user=operator, job=selectors.job(job.pk))
    pass_time(3 * 3600)
    assert jobs.counts(jobs.to_the_end(two)) == {"recovered": 1}


def test_a_job_put_off_keeps_its_indices_from_others(etl, jobs):
    task = etl.stage(3, failed=[0, 1])
    job = jobs.request(task, indices="0", policy=Policy(not_before=later(3)))
    other = jobs.request(task)
    assert other.total == 1
    assert job.short_id in str(other.left_out)


# Hours of the day


def window_around(start_in: float, end_in: float) -> Policy:
    """A daily window that opens and closes in so many hours from now."""
    times = [(timezone.now() + timedelta(hours=hours)).strftime("%H:%M") for hours in (start_in, end_in)]
    return Policy(window_start=times[0], window_end=times[1], chunk_size=2)


def test_outside_its_hours_a_job_waits_and_says_until_when(etl, jobs):
    task = etl.stage(3, failed=range(3))
    job = jobs.request(task, policy=window_around(2, 6))
    jobs.work()
    job = selectors.job(job.pk)
    assert (job.state, job.waiting_for, etl.cleared()) == ("running", "window", [])
    assert timedelta(hours=1.9) < job.waiting_until - timezone.now() <= timedelta(hours=2)


def test_within_its_hours_a_job_sends_and_each_request_starts_at_once(etl, jobs):
    task = etl.stage(3, failed=range(3))
    job = jobs.request(task, policy=window_around(-1, 2))
    jobs.work()
    assert [body["reset_dag_runs"] for body in etl.clears()] == [True, True]
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 3}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("clock", "zone", "now", "then"),
    [
        ("02:00", "UTC", "2026-11-26T01:59", "2026-11-26T02:00"),
        ("02:00", "UTC", "2026-11-26T02:00", "2026-11-27T02:00"),
        ("02:00", "Europe/Berlin", "2026-11-26T12:00", "2026-11-27T01:00"),
        ("02:30", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T01:30"),  # left out that night: 03:30 it is
        ("02:30", "Europe/Berlin", "2026-10-25T00:00", "2026-10-25T00:30"),  # comes twice that night
        ("02:30", "Europe/Berlin", "2026-10-25T00:45", "2026-10-25T01:30"),
        ("00:15", "Pacific/Auckland", "2026-11-26T12:00", "2026-11-27T11:15"),
    ],
)
def test_the_next_time_of_day_in_a_zone(clock, zone, now, then):
    assert next_time(parse_time(clock), parse_zone(zone), at(now)) == at(then)


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        (("22:00", "06:00"), "2026-11-26T23:00", None),
        (("22:00", "06:00"), "2026-11-26T05:59", None),
        (("22:00", "06:00"), "2026-11-26T06:00", "2026-11-26T22:00"),
        (("09:00", "17:00"), "2026-11-26T17:00", "2026-11-27T09:00"),
        (("09:00", "17:00"), "2026-11-26T09:00", None),
        (("00:00", "04:00"), "2026-11-26T03:00", None),
        (("20:00", "00:00"), "2026-11-26T23:59", None),
        (("20:00", "00:00"), "2026-11-26T00:00", "2026-11-26T20:00"),
    ],
)
def test_daily_hours(hours, now, opens):
    start, end = map(parse_time, hours)
    assert DailyHours(start, end, parse_zone("UTC")).opens_at(at(now)) == (opens and at(opens))


# What makes no sense


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (Policy(wave_size=0), "wave_size"),
        (Policy(wave_pause_seconds=60), "wave_pause_seconds"),
        (Policy(wave_size=5, wave_pause_seconds=86_401), "wave_pause_seconds"),
        (Policy(canary=5, canary_by_group=True), "canary_by_group"),
        (Policy(canary_max_failure_rate=0.1), "canary_max_failure_rate"),
        (Policy(stop_failure_rate=1.0), "stop_failure_rate"),
        (Policy(stop_failure_rate=float("nan")), "stop_failure_rate"),
        (Policy(window_start="22:00"), "window_end"),
        (Policy(window_end="22:00"), "window_start"),
        (Policy(window_start="22:00", window_end="22:00"), "window_end"),
        (Policy(window_start="25:00", window_end="06:00"), "window_start"),
        (Policy(time_zone="Mars/Olympus"), "time_zone"),
        (Policy(time_zone="../../etc/passwd"), "time_zone"),
        (Policy(rounds=0), "rounds"),
        (Policy(rounds=6), "rounds"),
        (Policy(round_pause_seconds=600), "round_pause_seconds"),
        (Policy(rounds=2, round_pause_seconds=5), "round_pause_seconds"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_at_its_field(policy, field):
    with pytest.raises(Unprocessable) as refused:
        policy.check()
    assert list(refused.value.fields) == [field]


def test_no_job_may_wait_for_ever():
    with pytest.raises(Unprocessable) as refused:
        Policy(not_before=timezone.now() + LONGEST_DELAY + timedelta(minutes=1)).check()
    assert list(refused.value.fields) == ["not_before"]


def test_what_was_asked_before_there_were_more_policies_keeps_its_hash():
    assert set(Policy().as_json()) == {"chunk_size", "chunks_per_minute", "canary", "canary_max_failure_rate"}
    assert Policy(rounds=3).as_json()["rounds"] == 3
