"""Dag runs and which mapped tasks they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from panel import airflow
from panel.domain import states
from panel.domain.texts import plain
from panel.domain.values import shortened
from panel.mirror.claims import bring_forward
from panel.mirror.models import Dag, DagRun, Instance, MappedTask, mapped_task_uuid

CONF_BYTES: Final = 64 * 1024
NOTE_LENGTH: Final = 2_000
UNPRUNED: Final = timedelta(days=1)
"""How long a run that somebody opened stays, whatever the limits say."""
SETTLING: Final = timedelta(minutes=10)
"""How long a run stays after its last change: whoever acted on it wants to see what came of it."""

_TELLING: Final = ("state", "queued_at", "start_date", "end_date")
"""When one of these changes, the instances have changed too."""


def store_runs(dag: Dag, rows: Iterable[airflow.DagRun]) -> list[DagRun]:
    """Write these runs where they differ from what is known; what changed makes their mapped tasks due.

    The runs that are new or have changed, new ones first.
    """
    found = {row.dag_run_id: row for row in rows if row.dag_id == dag.dag_id}
    known = {run.run_id: run for run in DagRun.objects.filter(dag=dag, run_id__in=list(found))}
    new, changed = [], []
    for run_id, row in found.items():
        run = known.get(run_id)
        if run is None:
            new.append(_new_run(dag, row))
        elif store_run(run, row):
            changed.append(run)
    return new + changed


def store_run(run: DagRun, row: airflow.DagRun) -> bool:
    """Bring one known run up to date. Whether anything about it changed."""
    now = timezone.now()
    values = _columns(row) | {"deleted_at": None}
    changed = {name: value for name, value in values.items() if getattr(run, name) != value}
    telling = any(name in changed for name in _TELLING)
    if telling:
        changed |= {"changed_at": now, "reconciled_at": None}
    for name, value in (changed | {"synced_at": now}).items():
        setattr(run, name, value)
    with transaction.atomic():
        DagRun.objects.filter(pk=run.pk).update(synced_at=now, **changed)
        if telling:
            bring_forward(run.mapped_tasks.all(), now)
    return bool(changed)


def plan_mapped_tasks(run: DagRun, dag: Dag) -> None:
    """Give the run a row for each mapped task of the Dag that it does not have yet, to be read at once."""
    known = set(run.mapped_tasks.values_list("task_id", flat=True))
    planned = [
        _planned(run, dag, task_id, position)
        for position, task_id in enumerate(dag.mapped_task_ids)
        if task_id not in known
    ]
    MappedTask.objects.bulk_create(planned, ignore_conflicts=True)


def plan_mapped_task(run: DagRun, task_id: str) -> None:
    """Give the run a row for a mapped task that the Dag, as it is now, no longer (or not yet) has."""
    position = run.mapped_tasks.count()
    MappedTask.objects.bulk_create([_planned(run, run.dag, task_id, position)], ignore_conflicts=True)


def mark_deleted(runs: Any) -> None:
    """Airflow no longer has these runs (a queryset): they stay readable where somebody holds a link."""
    now = timezone.now()
    MappedTask.objects.filter(run__in=runs).update(due_at=None)
    runs.filter(deleted_at=None).update(deleted_at=now, synced_at=now, due_at=None)


def is_finished(run: DagRun) -> bool:
    return run.state in states.FINISHED_RUN


def worth_keeping(row: airflow.DagRun) -> bool:
    """Whether a run that is not known belongs in the mirror by its age: active ones always do."""
    if row.state not in states.FINISHED_RUN:
        return True
    moment = row.run_after or row.start_date or row.queued_at
    return moment is None or moment >= oldest_kept()


def oldest_kept() -> datetime:
    return timezone.now() - timedelta(days=settings.MIRROR_DAYS)


def mark_missing(dag: Dag, listed: Sequence[airflow.DagRun], *, whole: bool) -> None:
    """Mark the runs that a listing of the newest ones should have held and did not.

    ``whole``: the listing held every run Airflow has. A run of before the listing's oldest cannot be judged by it.
    """
    missing = DagRun.objects.filter(dag=dag, deleted_at=None).exclude(run_id__in=[row.dag_run_id for row in listed])
    if not whole:
        dates = [row.run_after for row in listed if row.run_after is not None]
        if not dates:
            return
        missing = missing.filter(run_after__gt=min(dates))
    mark_deleted(DagRun.objects.filter(pk__in=list(missing.values_list("pk", flat=True))))


def prune_runs(dag: Dag) -> int:
    """Drop finished runs beyond the limits of number and age, unless they were opened or changed lately."""
    now = timezone.now()
    newest = DagRun.objects.filter(dag=dag).order_by("-run_after", "-pk")
    kept_ids = list(newest.values_list("pk", flat=True)[: settings.MIRROR_RUNS_PER_DAG])
    beyond = ~Q(pk__in=kept_ids) | Q(run_after__lt=oldest_kept())
    quiet = Q(changed_at=None) | Q(changed_at__lt=now - SETTLING)
    unopened = Q(opened_at=None) | Q(opened_at__lt=now - UNPRUNED)
    finished = Q(state__in=states.FINISHED_RUN) | Q(deleted_at__isnull=False)
    doomed = list(DagRun.objects.filter(beyond, quiet, unopened, finished, dag=dag).values_list("pk", flat=True))
    for run_pk in doomed:  # one run a transaction: a run may have 100,000 instances
        with transaction.atomic():
            Instance.objects.filter(mapped_task__run_id=run_pk).delete()
            DagRun.objects.filter(pk=run_pk).delete()
    return len(doomed)


def _new_run(dag: Dag, row: airflow.DagRun) -> DagRun:
    now = timezone.now()
    with transaction.atomic():
        run, _ = DagRun.objects.get_or_create(
            dag=dag,
            run_id=row.dag_run_id,
            defaults=_columns(row) | {"changed_at": now, "synced_at": now},
        )
        plan_mapped_tasks(run, dag)
    return run


def _planned(run: DagRun, dag: Dag, task_id: str, position: int) -> MappedTask:
    return MappedTask(
        id=mapped_task_uuid(dag.server.slug, dag.dag_id, run.run_id, task_id),
        run=run,
        task_id=task_id,
        position=position,
        due_at=timezone.now(),
    )


def _columns(row: airflow.DagRun) -> dict[str, Any]:
    conf = shortened(row.conf or {}, CONF_BYTES)
    return {
        "state": plain(row.state, 20),
        "run_type": plain(row.run_type, 40),
        "conf": {"(shortened)": conf.value} if conf.shortened else conf.value,
        "note": plain(row.note, NOTE_LENGTH),
        "triggering_user": plain(row.triggering_user_name, 250),
        "logical_date": row.logical_date,
        "run_after": row.run_after,
        "queued_at": row.queued_at,
        "start_date": row.start_date,
        "end_date": row.end_date,
    }
