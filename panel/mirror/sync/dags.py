"""The Dags of a server, and the structure of one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from panel import airflow as wire
from panel.airflow import Airflow, Forbidden, NotFound
from panel.domain import states
from panel.domain.texts import plain
from panel.mirror.claims import Claim
from panel.mirror.models import Dag, DagRun
from panel.mirror.sync.runs import (
    mark_deleted,
    mark_missing,
    plan_mapped_tasks,
    prune_runs,
    store_runs,
    worth_keeping,
)
from panel.servers.models import Server

DAG_EVERY: Final = timedelta(minutes=5)
ACTIVE_LIMIT: Final = 1_000
VANISHED_A_PASS: Final = 50
"""Dags that left the list and are looked up one by one, at most so many a pass."""


def store_dags(airflow: Airflow, server: Server) -> list[Dag]:
    """Bring the list of Dags up to date. The Dags that are new or came back, to be read next. Raises AirflowError."""
    listed = {row.dag_id: row for row in airflow.dags.list()}
    known = {dag.dag_id: dag for dag in Dag.objects.filter(server=server)}
    fresh, now = [], timezone.now()
    for dag_id, row in listed.items():
        dag = known.get(dag_id)
        values = _columns(row) | {"deleted_at": None}
        if dag is None:
            fresh.append(Dag(server=server, dag_id=dag_id, due_at=now, **values))
        elif any(getattr(dag, name) != value for name, value in values.items()):
            Dag.objects.filter(pk=dag.pk).update(**values)
            if dag.deleted_at is not None or dag.is_stale:
                Dag.objects.filter(pk=dag.pk).update(due_at=now)
    Dag.objects.bulk_create(fresh, ignore_conflicts=True)
    left = [dag for dag_id, dag in known.items() if dag_id not in listed and not dag.is_stale and not dag.deleted_at]
    for dag in left[:VANISHED_A_PASS]:
        _look_for(airflow, dag)
    return list(Dag.objects.filter(server=server, dag_id__in=[dag.dag_id for dag in fresh]))


def read_dag(airflow: Airflow, claim: Claim[Dag]) -> None:
    """Read one Dag whole: whether it is still there, its structure, its newest and its active runs.

    Raises AirflowError, ClaimLost.
    """
    dag = claim.row
    if not _look_for(airflow, dag):
        return
    if not dag.mapped_task_ids:
        return
    claim.renew()
    limit = settings.MIRROR_RUNS_PER_DAG
    newest = airflow.runs.list(dag.dag_id, limit=limit)
    active = airflow.runs.list(dag.dag_id, states=("running", "queued"), limit=ACTIVE_LIMIT)
    claim.renew()
    store_runs(dag, [*(row for row in newest if worth_keeping(row)), *active])
    mark_missing(dag, [*newest, *active], whole=len(newest) < limit)
    prune_runs(dag)


def fetch_dag(airflow: Airflow, server: Server, dag_id: str) -> Dag:
    """A Dag that the mirror does not have yet, with its structure. Raises AirflowError (NotFound)."""
    details = airflow.dags.details(dag_id)
    dag, _created = Dag.objects.get_or_create(
        server=server, dag_id=dag_id, defaults=_columns(details) | {"due_at": timezone.now()}
    )
    _read_structure(airflow, dag, details)
    return dag


def read_import_errors(airflow: Airflow) -> list[dict[str, Any]]:
    """Dag files that Airflow could not read, texts shortened; none where this login may not see them."""
    try:
        errors = airflow.dags.import_errors()
    except Forbidden:
        return []
    return [
        {
            "filename": plain(error.filename, 500),
            "message": plain(error.stack_trace.strip().rpartition("\n")[2], 500),
            "stack_trace": plain(error.stack_trace, 4_000),
            "timestamp": error.timestamp.isoformat() if error.timestamp else None,
        }
        for error in errors[:100]
    ]


def _look_for(airflow: Airflow, dag: Dag) -> bool:
    """Read the Dag's own details: the list leaves out Dags whose file is broken or gone, which still answer.

    Whether Airflow still has it.
    """
    try:
        details = airflow.dags.details(dag.dag_id)
    except NotFound:
        Dag.objects.filter(pk=dag.pk).update(deleted_at=timezone.now())
        mark_deleted(DagRun.objects.filter(dag=dag))
        return False
    for name, value in (_columns(details) | {"deleted_at": None}).items():
        setattr(dag, name, value)
    dag.save(update_fields=[*_columns(details), "deleted_at"])
    _read_structure(airflow, dag, details)
    return True


def _read_structure(airflow: Airflow, dag: Dag, details: wire.DagDetails) -> None:
    """Read tasks and mapped tasks where the version is new, and once more when a run has made it final."""
    version = _version(details)
    known = dag.structure_synced_at is not None and version == dag.structure_version
    used = known and not dag.structure_final and _has_run_since(dag)
    if known and not used:
        return
    mapped_ids = airflow.dags.mapped_task_ids(dag.dag_id)
    dag.tasks = [
        {
            "task_id": task.task_id,
            "is_mapped": task.task_id in mapped_ids,
            "in_group": task.task_id in mapped_ids and not task.is_mapped,
            "downstream": task.downstream_task_ids,
            "trigger_rule": task.trigger_rule or "",
            "retries": int(task.retries or 0),
            "pool": task.pool or "",
        }
        for task in airflow.dags.tasks(dag.dag_id)
    ]
    dag.mapped_task_ids = mapped_ids
    dag.structure_version = version
    dag.structure_synced_at = timezone.now()
    dag.structure_final = used
    dag.save(update_fields=["tasks", "mapped_task_ids", "structure_version", "structure_synced_at", "structure_final"])
    for run in DagRun.objects.filter(dag=dag, deleted_at=None).exclude(state__in=states.FINISHED_RUN):
        plan_mapped_tasks(run, dag)


def _has_run_since(dag: Dag) -> bool:
    return DagRun.objects.filter(Q(queued_at__gt=dag.structure_synced_at), dag=dag).exists()


def _version(details: wire.DagDetails) -> str:
    version = details.latest_dag_version
    return plain(f"{version.version_number}:{version.id}", 100) if version else "-"


def _columns(row: wire.Dag) -> dict[str, Any]:
    return {
        "display_name": plain(row.dag_display_name, 250),
        "description": plain(row.description, 4_000),
        "is_paused": row.is_paused,
        "is_stale": row.is_stale,
        "has_import_errors": row.has_import_errors,
        "can_be_backfilled": row.can_be_backfilled,
        "max_active_tasks": row.max_active_tasks,
        "has_task_limits": row.has_task_concurrency_limits,
        "tags": [plain(tag.name, 100) for tag in row.tags],
    }
