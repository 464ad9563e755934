"""The panel's own sync on a real Airflow: the scheduler's beat and the worker's part, and a look at what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from celery import current_app

from panel.airflow import Airflow, NotFound
from panel.mirror import selectors
from panel.mirror.models import Instance, MappedTask
from panel.mirror.sweeps import sweep
from panel.servers.encryption import encrypt
from panel.servers.models import Server

SECONDS = 300


def beats(base_url: str, password: str, woken: list[Any]) -> Callable[[], None]:
    """One beat of a panel that was just given the server "live"; ``woken`` is the tests' broker."""
    secret = encrypt(password)
    Server.objects.create(slug="live", name="Live", base_url=base_url, username="op", secret_encrypted=secret)
    current_app.loader.import_default_modules()

    def beat() -> None:
        sweep()
        while woken:
            name, arguments = woken.pop(0)
            current_app.tasks[name](*arguments)

    return beat


def until(beat: Callable[[], None], look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not come within {SECONDS} s"
        beat()
        time.sleep(0.3)
    return found


def reconciled(dag_id: str, run_id: str, task_id: str) -> MappedTask | None:
    try:
        task = selectors.mapped_task("live", dag_id, run_id, task_id)
    except MappedTask.DoesNotExist:
        return None
    return task if task.run.reconciled_at is not None else None


def assert_equal(airflow: Airflow, task: MappedTask) -> None:
    """Every instance in the mirror says what Airflow says of it, one call each."""
    dag_id, run_id, task_id = task.run.dag.dag_id, task.run.run_id, task.task_id
    rows = {row.map_index: row for row in airflow.instances.bulk(dag_id, run_id, [task_id])}
    known = {row.map_index: row for row in Instance.objects.filter(mapped_task=task)}
    assert rows.keys() == known.keys()
    for index, row in rows.items():
        mine = known[index]
        assert (mine.state, mine.try_number, mine.ti_id) == (row.state, row.try_number, row.id)
        assert (mine.start_date, mine.end_date) == (row.start_date, row.end_date)
        try:
            value = airflow.xcoms.get(dag_id, run_id, task_id, index).value
        except NotFound:
            value = None
        if row.state == "success":
            assert mine.result == value, index
