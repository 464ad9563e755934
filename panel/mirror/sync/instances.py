"""The instances of one mapped task: read in full or by what changed, compared, and written where they differ."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from panel.airflow import Airflow, NotFound, TaskInstance
from panel.domain.outcomes import Outcome, ResultState
from panel.mirror.claims import Claim
from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync.rows import differs, instance_from
from panel.mirror.sync.runs import is_finished
from panel.mirror.sync.store import store, store_unexpanded

SMALL_MAP: Final = 300
"""Up to here one bulk request costs Airflow no more than asking for changes, and also tells what vanished."""
MARGIN: Final = timedelta(seconds=90)
"""Airflow stamps a row before it commits it, by the clock of whoever writes it (AIRFLOW.md §3)."""
MANY_CHANGES: Final = 1_000
"""From here on one bulk request is cheaper for Airflow than pages of a hundred changes."""
FULL_AGAIN: Final = timedelta(minutes=10)
"""How often a large map at work is read in full: rows that vanish leave no change behind."""


class RunGone(Exception):
    """Airflow no longer has the run."""


class TaskGone(Exception):
    """Airflow has the run, but not this task in it: the run belongs to another version of the Dag."""


def read_instances(airflow: Airflow, claim: Claim[MappedTask], *, full: bool) -> None:
    """Bring state, tries and times up to date. Raises AirflowError, RunGone, TaskGone, ClaimLost."""
    mapped_task = claim.row
    started_at = timezone.now()
    if full or _lacks_reconcile(mapped_task):
        full = True
        _forget_unreadable(claim)
    full = full or _wants_full(mapped_task)
    if not full and _read_changes(airflow, claim) and is_finished(mapped_task.run):
        full = True  # somebody changed a finished run without starting it again
    values: dict[str, Any] = {"watermark": started_at, "synced_at": timezone.now()}
    if full:
        _read_all(airflow, claim)
        values["full_synced_at"] = started_at
    MappedTask.objects.filter(pk=mapped_task.pk).update(**values)
    for name, value in values.items():
        setattr(mapped_task, name, value)


def _forget_unreadable(claim: Claim[MappedTask]) -> None:
    """Have results that could not be read asked for again: what stood in the way may be gone."""
    again = Instance.objects.filter(
        mapped_task=claim.row, result_state__in=[ResultState.FORBIDDEN.value, ResultState.UNREADABLE.value]
    )
    changed = list(again)
    for instance in changed:
        instance.result_state = ResultState.UNREAD.value
        instance.result_try = None
    store(claim, changed)


def _wants_full(mapped_task: MappedTask) -> bool:
    last = mapped_task.full_synced_at
    if last is None or mapped_task.watermark is None or mapped_task.total <= SMALL_MAP:
        return True
    if is_finished(mapped_task.run):
        return False
    if last < timezone.now() - FULL_AGAIN:
        return True
    lively = Q(end_date__gte=mapped_task.watermark - MARGIN) | Q(outcome=Outcome.RUNNING.value)
    return Instance.objects.filter(lively, mapped_task=mapped_task).count() > MANY_CHANGES


def _lacks_reconcile(mapped_task: MappedTask) -> bool:
    """A finished run is read in full once after its last change."""
    run, last = mapped_task.run, mapped_task.full_synced_at
    return is_finished(run) and (last is None or (run.changed_at is not None and last < run.changed_at))


def _read_changes(airflow: Airflow, claim: Claim[MappedTask]) -> bool:
    mapped_task = claim.row
    run = mapped_task.run
    since = (mapped_task.watermark or timezone.now()) - MARGIN
    try:
        rows = airflow.instances.changed_since(run.dag.dag_id, run.run_id, mapped_task.task_id, since)
    except NotFound as error:
        raise RunGone from error
    indices = [row.map_index for row in rows]
    known: dict[int, Instance] = {}
    for start in range(0, len(indices), MANY_CHANGES):
        part = Instance.objects.filter(mapped_task=mapped_task, map_index__in=indices[start : start + MANY_CHANGES])
        known |= {instance.map_index: instance for instance in part}
    changed = _changed(mapped_task, rows, known)
    store(claim, changed)
    return bool(changed)


def _read_all(airflow: Airflow, claim: Claim[MappedTask]) -> None:
    mapped_task = claim.row
    run = mapped_task.run
    rows = [
        row
        for row in airflow.instances.bulk(run.dag.dag_id, run.run_id, [mapped_task.task_id])
        if row.task_id == mapped_task.task_id
    ]
    if not rows:
        _explain_nothing(airflow, mapped_task)
    known = {instance.map_index: instance for instance in Instance.objects.filter(mapped_task=mapped_task)}
    gone = known.keys() - {row.map_index for row in rows}
    changed = _changed(mapped_task, rows, known)
    store(claim, changed, gone)
    unexpanded = [row.state or "none" for row in rows if row.map_index < 0]
    expanded = any(row.map_index >= 0 for row in rows)
    store_unexpanded(claim, "" if expanded else (unexpanded or ["none"])[0][:30])


def _explain_nothing(airflow: Airflow, mapped_task: MappedTask) -> None:
    """A task without any row: an unknown run answers the same as an unknown task."""
    run = mapped_task.run
    try:
        airflow.runs.find(run.dag.dag_id, run.run_id)
    except NotFound as error:
        raise RunGone from error
    if is_finished(run):
        raise TaskGone


def _changed(mapped_task: MappedTask, rows: Iterable[TaskInstance], known: dict[int, Instance]) -> list[Instance]:
    changed = []
    for row in rows:
        if row.map_index < 0:
            continue
        before = known.get(row.map_index)
        fresh = instance_from(row, mapped_task, before)
        if before is None or differs(before, fresh):
            changed.append(fresh)
    return changed
