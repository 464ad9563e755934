"""Passes over a server, a Dag and a run: claim, read, give back. None raises AirflowError; ``last_error`` keeps it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, TypeVar

from django.utils import timezone

from panel.airflow import Airflow, AirflowError, NotFound
from panel.mirror.claims import MOST_BACKOFF_SECONDS, Claim, ClaimLost, claim
from panel.mirror.models import Dag, DagRun, ServerMirror, Synced
from panel.mirror.sync.dags import DAG_EVERY, read_dag
from panel.mirror.sync.runs import is_finished, mark_deleted, plan_mapped_tasks, store_run
from panel.mirror.sync.servers import SERVER_EVERY, read_server
from panel.servers.client import open_client
from panel.servers.models import Server

Row = TypeVar("Row", bound=Synced)

SERVER_BACKOFF_SECONDS: Final = 30.0
"""A server that is back is noticed soon: everything else of it waits for that."""

RUN_EVERY: Final = timedelta(seconds=60)
"""Active runs are told by the server's pass; this one is for what that misses, a run that vanished above all."""


def pass_server(server: Server) -> list[Dag] | None:
    """The Dags that are new; ``None`` when the server was not read: somebody else is at it, or it failed."""
    mirror, _created = ServerMirror.objects.get_or_create(server=server)
    held = claim(mirror)
    if held is None:
        return None
    new: list[Dag] = []

    def read(airflow: Airflow) -> datetime | None:
        new.extend(read_server(airflow, held))
        return timezone.now() + SERVER_EVERY

    return new if _read(held, server, read, most_backoff=SERVER_BACKOFF_SECONDS) else None


def pass_dag(dag: Dag) -> bool:
    """Whether the Dag was read now."""
    held = claim(dag)
    if held is None:
        return False

    def read(airflow: Airflow) -> datetime | None:
        read_dag(airflow, held)
        return None if _is_gone(dag) else timezone.now() + DAG_EVERY

    return _read(held, dag.server, read)


def pass_run(run: DagRun) -> bool:
    """Whether the run was read now."""
    held = claim(run)
    if held is None:
        return False

    def read(airflow: Airflow) -> datetime | None:
        try:
            row = airflow.runs.find(run.dag.dag_id, run.run_id)
        except NotFound:
            mark_deleted(DagRun.objects.filter(pk=run.pk))
            return None
        store_run(run, row)
        if not run.mapped_tasks.exists():
            plan_mapped_tasks(run, run.dag)
        return None if is_finished(run) else timezone.now() + RUN_EVERY

    return _read(held, run.dag.server, read)


def _read(
    held: Claim[Row],
    server: Server,
    read: Callable[[Airflow], datetime | None],
    *,
    most_backoff: float = MOST_BACKOFF_SECONDS,
) -> bool:
    with suppress(ClaimLost):
        try:
            with open_client(server) as airflow:
                due_at = read(airflow)
        except AirflowError as error:
            held.fail(error, most_seconds=most_backoff)
            return False
        held.succeed(due_at=due_at)
        return True
    return False


def _is_gone(dag: Dag) -> bool:
    return Dag.objects.filter(pk=dag.pk, deleted_at__isnull=False).exists()
