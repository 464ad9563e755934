"""What every proof asks in the end: each once, every item with a final word, nothing left waiting."""

from __future__ import annotations

from typing import Any

from panel.retries import selectors
from panel.retries.models import RetryJob
from panel.retries.states import SETTLED_ITEMS
from tests.retries.conftest import Etl, Jobs, Killed, pass_time

LONG_ENOUGH = 300
"""Seconds after which a killed worker's claim has expired, and no request of it can still arrive."""


def lives_again(etl: Etl, jobs: Jobs, job: RetryJob, rounds: int = 40) -> RetryJob:
    """Workers, each killed where the test says, and Airflow take turns until the job is over."""
    for _ in range(rounds):
        try:
            jobs.work()
        except Killed:
            pass_time(LONG_ENOUGH)
        etl.run_airflow()
        pass_time(35)
        found = selectors.job(job.pk)
        if found.finished_at is not None:
            return found
    raise AssertionError(f"the job did not end: {selectors.counts(job)}")


def effects(etl: Etl, run_id: str = "r1") -> dict[str, dict[int, int]]:
    """How often each index was cleared and began a try, and the aggregator."""
    fake = etl.fake
    return {
        "cleared": dict(sorted(fake.clears("etl", run_id, "work").items())),
        "ran": dict(sorted(fake.tries_started("etl", run_id, "work").items())),
        "report cleared": fake.clears("etl", run_id, "report"),
        "report ran": fake.tries_started("etl", run_id, "report"),
    }


def once_each(indices: Any) -> dict[str, dict[int, int]]:
    each = dict.fromkeys(indices, 1)
    return {"cleared": each, "ran": each, "report cleared": {-1: 1}, "report ran": {-1: 1}}


def assert_each_once(etl: Etl, jobs: Jobs, job: RetryJob, indices: Any, run_id: str = "r1") -> None:
    assert effects(etl, run_id) == once_each(indices)
    assert {item.state for item in selectors.items(job)} <= set(SETTLED_ITEMS)
    assert jobs.counts(job) == {"recovered": len(list(indices))}
    assert None not in {*etl.states("work", run_id).values(), *etl.states("report", run_id).values()}
    assert etl.fake.world.runs["etl", run_id].state == "success"
