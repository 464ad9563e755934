"""A worker that does what was woken, and time that passes when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app
from django.db.models import F

import panel.mirror.tasks  # noqa: F401 - registers the tasks
from panel.airflow import Airflow
from panel.mirror.models import Dag, DagRun, MappedTask, ServerMirror, SyncRequest
from panel.mirror.sweeps import sweep
from panel.servers.client import open_client
from panel.servers.models import Server
from tests.fakes.airflow import FakeAirflow, Task

TIMES = {
    ServerMirror: ("synced_at", "due_at", "claimed_until", "runs_watermark"),
    Dag: ("synced_at", "due_at", "claimed_until", "structure_synced_at"),
    DagRun: ("synced_at", "due_at", "claimed_until", "changed_at", "opened_at", "reconciled_at"),
    MappedTask: (
        "synced_at", "due_at", "claimed_until", "changed_at", "watermark", "full_synced_at", "refresh_requested_at",
    ),
    SyncRequest: ("requested_at", "claimed_until"),
    Server: ("dags_synced_at", "unreachable_since", "last_success_at"),
}  # fmt: skip


class Worker:
    """Does the mirror's woken tasks until none is left; ``beat`` is the scheduler's sweep and then the work."""

    def __init__(self, woken: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._woken = woken
        self.done: list[str] = []

    def work(self) -> int:
        done = 0
        while mine := [entry for entry in self._woken if entry[0].startswith("mirror.")]:
            self._woken.remove(mine[0])
            self.done.append(mine[0][0])
            current_app.tasks[mine[0][0]](*mine[0][1])
            done += 1
            assert done < 500, "the mirror wakes itself without end"
        return done

    def done_by(self, act: Callable[[], object]) -> list[str]:
        """The names of what is done while ``act`` goes on."""
        before = len(self.done)
        act()
        return self.done[before:]

    def beat(self, times: int = 1) -> None:
        for _ in range(times):
            sweep()
            self.work()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch) -> None:
    """The client repeats reads without waiting in between."""
    monkeypatch.setattr("panel.airflow.transport.BACKOFF_SECONDS", (0.0, 0.0))


@pytest.fixture
def worker(woken) -> Worker:
    return Worker(woken)


@pytest.fixture(autouse=True)
def _no_commit_to_wait_for(monkeypatch) -> None:
    """Tests run inside a transaction that never commits: what waits for the commit is sent at once."""
    monkeypatch.setattr("panel.wake.transaction", SimpleNamespace(on_commit=lambda send: send()))


@pytest.fixture
def later() -> Callable[[float], None]:
    """``later(60)``: a minute passes for the mirror's rows."""

    def pass_time(seconds: float) -> None:
        for model, names in TIMES.items():
            model.objects.update(**{name: F(name) - timedelta(seconds=seconds) for name in names})

    return pass_time


@pytest.fixture
def airflow(server) -> Iterator[Airflow]:
    """Somebody else at Airflow's own API: clears, marks, notes."""
    with open_client(server) as client:
        yield client


@pytest.fixture
def etl(fake_airflow) -> FakeAirflow:
    """The fake with a Dag "etl": ``work`` is mapped, ``report`` comes after all of it."""
    fake_airflow.add_dag(
        "etl",
        tasks=[
            Task("list_items", downstream=["work"]),
            Task("work", is_mapped=True, expands="list_items", downstream=["report"]),
            Task("report", trigger_rule="all_done"),
        ],
    )
    return fake_airflow


@pytest.fixture
def mapped(etl, server, worker) -> Callable[..., MappedTask]:
    """``mapped(5)``: a running run "r1" of "etl" with five indices, mirrored. ``run_id`` names another run."""

    def make(count: int | None = None, run_id: str = "r1", **run: Any) -> MappedTask:
        etl.add_run("etl", run_id, **run)
        if count is not None:
            etl.expand("etl", run_id, "work", count)
        worker.beat(2)
        return MappedTask.objects.select_related("run__dag__server").get(run__run_id=run_id, task_id="work")

    return make


@pytest.fixture
def sync() -> Callable[..., MappedTask]:
    """Read a mapped task now; the row as it is then."""
    from panel.mirror.services import sync_mapped_task

    def read(task: MappedTask, *, full: bool = False, run_is_known: bool = False) -> MappedTask:
        if not run_is_known:
            DagRun.objects.filter(pk=task.run_id).update(synced_at=F("synced_at") - timedelta(seconds=60))
        sync_mapped_task(mapped_task_id=task.pk, full=full)
        return MappedTask.objects.select_related("run__dag__server").get(pk=task.pk)

    return read
