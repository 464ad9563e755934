"""A failed run in the fake Airflow and in the mirror, a worker that does what is due, and time that passes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.db.models import F

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import Outcome
from panel.domain.selection import Selection
from panel.mirror.models import Dag, DagRun, MappedTask
from panel.mirror.services import find_or_fetch_run, sync_mapped_task
from panel.retries import runner, selectors
from panel.retries.asks import Ask
from panel.retries.models import RetryChunk, RetryItem, RetryJob
from panel.retries.policies import Policy
from panel.retries.services import preview_retry, request_retry
from tests.fakes.airflow import FakeAirflow, Task

FAILED = [Outcome.HARD_FAILURE, Outcome.SOFT_FAILURE, Outcome.UPSTREAM_FAILED]
TIMES = {
    RetryJob: (
        "next_at", "claimed_until", "last_chunk_at", "progress_at", "not_before", "waits_until", "counts_from"
    ),
    RetryChunk: ("unsure_until", "sent_at"),
    RetryItem: ("sent_at", "settled_at"),
    Dag: ("synced_at", "due_at", "claimed_until"),
    DagRun: ("synced_at", "due_at", "claimed_until", "changed_at"),
    MappedTask: ("synced_at", "due_at", "claimed_until", "changed_at", "watermark", "full_synced_at"),
}  # fmt: skip


def pass_time(seconds: float) -> None:
    """So much time passes for every row of ours."""
    for model, names in TIMES.items():
        model._default_manager.update(**{name: F(name) - timedelta(seconds=seconds) for name in names})


class Killed(BaseException):
    """The worker's process is gone at this moment; nothing of ours may run after it."""


class Wire(httpx.BaseTransport):
    """The fake Airflow's wire, on which the next real clear or mark can be lost or can kill the worker."""

    def __init__(self, fake: FakeAirflow) -> None:
        self._inner = fake.transport()
        self.before_clear: list[Callable[[], None]] = []
        self.after_clear: list[Callable[[], None]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        clears = request.method == "PATCH" or (
            request.url.path.endswith("/clearTaskInstances") and not json.loads(request.content)["dry_run"]
        )
        if clears and self.before_clear:
            self.before_clear.pop(0)()
        response = self._inner.handle_request(request)
        if clears and self.after_clear:
            response.read()
            self.after_clear.pop(0)()
        return response


@pytest.fixture
def wire(monkeypatch, fake_airflow) -> Wire:
    wire = Wire(fake_airflow)
    monkeypatch.setattr("panel.servers.client.transport_for", lambda server: wire)
    return wire


class Etl:
    """The Dag "etl" (``work`` is mapped, ``report`` comes after all of it) with one finished run "r1"."""

    dag_id, run_id, task_id = "etl", "r1", "work"

    def __init__(self, fake: FakeAirflow, server: Any) -> None:
        self.fake = fake
        self.server = server

    def stage(
        self,
        count: int,
        *,
        failed: Iterable[int] = (),
        soft: Iterable[int] = (),
        run_id: str = "r1",
        finish: bool = True,
    ) -> MappedTask:
        """A run in which these indices failed, hard or softly; all others succeeded. As the mirror sees it."""
        fake, failed, soft = self.fake, set(failed), set(soft)
        if "etl" not in fake.world.dags:
            fake.add_dag(
                "etl",
                tasks=[Task("work", is_mapped=True, downstream=["report"]), Task("report", trigger_rule="all_done")],
            )
        fake.add_run("etl", run_id)
        fake.expand("etl", run_id, "work", count)
        for index in range(count):
            error = ("KeyError", f"customer_{index}") if index in failed else None
            result = {"id": index, "status": "failed", "error": f"bad row {index}"} if index in soft else {"id": index}
            fake.finish("etl", run_id, "work", index, error=error, result=None if error else result)
        if finish:
            fake.finish("etl", run_id, "report", result={"runs": 1})
            fake.finish_run("etl", run_id, "success")
        fake.forget_requests()
        return self.mirrored(run_id=run_id)

    def mirrored(self, task_id: str = "work", run_id: str = "r1", dag_id: str = "etl") -> MappedTask:
        run = find_or_fetch_run(server=self.server, dag_id=dag_id, run_id=run_id)
        mapped_task = run.mapped_tasks.get(task_id=task_id)
        pass_time(10)
        sync_mapped_task(mapped_task_id=mapped_task.pk)
        return MappedTask.objects.select_related("run__dag__server").get(pk=mapped_task.pk)

    def run_airflow(self, decide: Callable[[Any], Any] | None = None) -> None:
        """Airflow's scheduler works until nothing moves; by default everything succeeds."""
        self.fake.run_queued(decide or (lambda row: {"id": row.map_index}))

    def cleared(self, run_id: str = "r1") -> list[list[Any]]:
        """The targets of every clear that Airflow really got for this run, request by request."""
        return [body["task_ids"] for body in self.clears(run_id)]

    def clears(self, run_id: str = "r1") -> list[dict[str, Any]]:
        calls = self.fake.calls("POST", "/clearTaskInstances")
        return [one.body for one in calls if not one.body["dry_run"] and one.body["dag_run_id"] == run_id]

    def tries(self, task_id: str = "work", run_id: str = "r1") -> dict[int, int]:
        rows = self.fake.world.of_task("etl", run_id, task_id)
        return {index: row.try_number for index, row in sorted(rows.items())}

    def states(self, task_id: str = "work", run_id: str = "r1") -> dict[int, str | None]:
        return self.fake.states("etl", run_id, task_id)


@pytest.fixture
def etl(fake_airflow, server, wire) -> Etl:
    return Etl(fake_airflow, server)


class Jobs:
    """Asks for retries as a person would, and does the worker's part."""

    def __init__(self, user: User, etl: Etl) -> None:
        self.user = user
        self.etl = etl

    def ask(self, *tasks: MappedTask, indices: str = "", outcomes: Sequence[Outcome] = (), **more: Any) -> Ask:
        chosen = outcomes or ([] if indices else FAILED)
        selection = Selection(outcomes=frozenset(chosen), indices=IndexExpression.parse(indices))
        return Ask(mapped_task_ids=tuple(task.pk for task in tasks), selection=selection, **more)

    def preview(self, *tasks: MappedTask, **more: Any) -> Any:
        return preview_retry(user=self.user, ask=self.ask(*tasks, **more))

    def request(
        self, *tasks: MappedTask, policy: Policy | None = None, reason: str = "warehouse was read-only",
        user: User | None = None, key: str = "", plan_token: str = "", **more: Any,
    ) -> RetryJob:  # fmt: skip
        job, _new = request_retry(
            user=user or self.user,
            ask=self.ask(*tasks, **more),
            reason=reason,
            policy=policy or Policy(),
            idempotency_key=key,
            plan_token=plan_token,
        )
        return job

    def work(self) -> None:
        """The worker does what is due now."""
        for _ in range(50):
            due = list(selectors.due_jobs())
            if not due:
                return
            for job in due:
                runner.run_job(job.pk)
        raise AssertionError("a job is due without end")

    def to_the_end(self, job: RetryJob, decide: Callable[[Any], Any] | None = None, *, rounds: int = 30) -> RetryJob:
        """Worker and Airflow take turns until the job is over."""
        for _ in range(rounds):
            self.work()
            self.etl.run_airflow(decide)
            pass_time(35)
            if selectors.job(job.pk).finished_at is not None:
                return selectors.job(job.pk)
        raise AssertionError(f"the job did not end: {selectors.counts(job)} {selectors.job(job.pk).state_reason}")

    def counts(self, job: RetryJob) -> dict[str, int]:
        counts = selectors.counts(job)
        assert sum(counts.values()) == job.total
        return {state: count for state, count in counts.items() if count}

    def why(self, job: RetryJob) -> dict[int, str]:
        return {item.map_index: item.why for item in selectors.items(job)}


@pytest.fixture
def jobs(operator, etl) -> Jobs:
    return Jobs(operator, etl)
