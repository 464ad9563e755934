"""A daily Dag on the fake Airflow, and backfills of it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from panel.launches.backfill_orders import Asked
from panel.launches.backfill_submission import submit_backfill
from panel.launches.backfill_watching import watch_backfill
from panel.launches.backfills import request_backfill
from panel.launches.models import Backfill
from panel.mirror.services import find_or_fetch_run, sync_mapped_task
from tests.fakes.airflow import FakeAirflow, Task

DAG = "reports"
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
PARAMS: dict[str, Any] = {
    "region": {"value": "eu", "schema": {"type": "string", "enum": ["eu", "us"], "title": "Region"}},
    "depth": {"value": 2, "schema": {"type": "integer", "minimum": 1, "maximum": 5}},
}


def day(number: int) -> datetime:
    return FIRST + timedelta(days=number - 1)


def asked(first: int = 1, last: int = 3, **more: Any) -> Asked:
    """From that day of November to the other, two runs at a time."""
    given = {"max_active_runs": 2, "params": {"region": "us"}, "note": "the tariff was wrong"}
    return Asked(from_date=day(first), to_date=day(last), **(given | more))


@pytest.fixture
def daily_dag(server, fake_airflow):
    """The Dag "reports" on the fake Airflow: daily, and mapped over four shops."""
    tasks = [Task("report_shop", is_mapped=True, expands=4, downstream=["send"]), Task("send", trigger_rule="all_done")]
    return fake_airflow.add_dag(
        DAG,
        params=deepcopy(PARAMS),
        tasks=tasks,
        schedule=timedelta(days=1),
        max_active_tasks=16,
        work=lambda row: row.map_index,
    )


@pytest.fixture
def backfilled(server, deployer, daily_dag) -> Callable[..., Backfill]:
    """``backfilled(1, 3)``: stored, not yet sent."""

    def ask(first: int = 1, last: int = 3, *, user: User = deployer, key: str = "", **more: Any) -> Backfill:
        wanted = asked(first, last, **more)
        return request_backfill(user=user, server=server, dag_id=DAG, asked=wanted, idempotency_key=key).backfill

    return ask


def worked(backfill: Backfill) -> Backfill:
    """What a worker makes of one that is due."""
    ago = timezone.now() - timedelta(seconds=1)
    Backfill.objects.filter(pk=backfill.pk).update(next_attempt_at=ago)
    submit_backfill(backfill_id=backfill.pk)
    return fresh(backfill)


def watched(backfill: Backfill) -> Backfill:
    """What a worker reads of it once the pause between two looks has passed."""
    Backfill.objects.filter(pk=backfill.pk).update(watched_at=None)
    watch_backfill(backfill_id=backfill.pk)
    return fresh(backfill)


def fresh(backfill: Backfill) -> Backfill:
    return Backfill.objects.select_related("server", "user").get(pk=backfill.pk)


def past_runs(fake: FakeAirflow, server: Any, spans: list[tuple[float, float]], *, conf: Any = None) -> None:
    """Runs of the past that the mirror has read to their end: each from and to so many seconds ago, its four
    instances two at a time."""
    now = fake.clock.now()
    for number, (start, end) in enumerate(spans, start=1):
        run_id = f"manual__past-{number}-{len(fake.world.runs)}"
        begin, over = now - timedelta(seconds=start), now - timedelta(seconds=end)
        fake.add_run(DAG, run_id, conf=conf or {}, start_date=begin)
        for index in range(4):
            row = fake.finish(DAG, run_id, "report_shop", index, result=index)
            half = (over - begin) / 2
            row.start_date = begin + half * (index // 2)
            row.end_date = row.start_date + half
        fake.finish(DAG, run_id, "send")
        run = fake.finish_run(DAG, run_id)
        run.end_date = over
        mirrored = find_or_fetch_run(server=server, dag_id=DAG, run_id=run_id)
        for task in mirrored.mapped_tasks.all():
            sync_mapped_task(mapped_task_id=task.pk, full=True)


def text_of(answer: Any) -> str:
    """A page as it is, on one line."""
    return " ".join(answer.content.decode().split())
