"""The instances of one mapped task: read in full or by what changed, compared, and written where they differ.

Nothing is held but one page: what a page lists is all there is between its first index and its last, so it tells by
itself what is new, what changed and what vanished. A pass that dies leaves whole pages behind, with counts that agree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from django.utils import timezone

from panel.airflow import Airflow, NotFound
from panel.domain.outcomes import ResultState
from panel.mirror.claims import Claim
from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync.clocks import MARGIN, safe_time
from panel.mirror.sync.rows import Listed, instance_from, listed, put_unread
from panel.mirror.sync.runs import is_finished
from panel.mirror.sync.store import store, store_unexpanded

SMALL_MAP: Final = 300
"""Up to here one bulk request costs Airflow no more than asking for changes, and also tells what vanished."""
MANY_CHANGES: Final = 4
"""From a quarter of the rows on everything costs Airflow less than pages of a hundred changes, 0.9 ms a row."""
STORED_AT_ONCE: Final = 2_000
"""Changes that are compared and written together."""
FULL_AGAIN: Final = timedelta(minutes=10)
"""How often a large map at work is read in full whatever changes tell."""


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
    moved = 0 if full else _count_changes(airflow, mapped_task)
    full = full or moved > _known_total(mapped_task) / MANY_CHANGES
    if not full:
        changed = moved > 0 and _read_changes(airflow, claim)
        # Somebody changed a finished run without starting it again; or rows vanished, which leaves no change behind.
        full = (changed and is_finished(mapped_task.run)) or _counts_otherwise(airflow, mapped_task)
    if full:
        _read_all(airflow, claim)
    _note_read(claim, airflow, started_at, full=full)


def _note_read(claim: Claim[MappedTask], airflow: Airflow, started_at: datetime, *, full: bool) -> None:
    """``complete`` goes first: a worker that dies before it has read the results must not leave it behind."""
    mapped_task = claim.row
    values: dict[str, Any] = {"watermark": safe_time(airflow, started_at), "synced_at": timezone.now()}
    if full:
        values["full_synced_at"] = started_at
    if mapped_task.unread_results:
        values["complete"] = False
    claim.renew()
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
        put_unread(instance)
    store(claim, changed)


def _wants_full(mapped_task: MappedTask) -> bool:
    last, known = mapped_task.full_synced_at, _known_total(mapped_task)
    if last is None or mapped_task.watermark is None or known <= SMALL_MAP:
        return True
    return not is_finished(mapped_task.run) and last < timezone.now() - FULL_AGAIN


def _lacks_reconcile(mapped_task: MappedTask) -> bool:
    """A finished run is read in full once after its last change."""
    run, last = mapped_task.run, mapped_task.full_synced_at
    return is_finished(run) and (last is None or (run.changed_at is not None and last < run.changed_at))


def _known_total(mapped_task: MappedTask) -> int:
    """Removed instances included, as Airflow counts them too."""
    return sum(mapped_task.counts.values())


def _counts_otherwise(airflow: Airflow, mapped_task: MappedTask) -> bool:
    run = mapped_task.run
    try:
        return airflow.instances.count(run.dag.dag_id, run.run_id, mapped_task.task_id) != _known_total(mapped_task)
    except NotFound:
        return True


def _count_changes(airflow: Airflow, mapped_task: MappedTask) -> int:
    """How many rows changed since the last read, heartbeats included: one light request that spares a hundred pages
    when somebody has cleared the whole map, and the first page when nothing happened.
    """
    run = mapped_task.run
    try:
        return airflow.instances.count_changed_since(
            run.dag.dag_id, run.run_id, _since(mapped_task), task_id=mapped_task.task_id
        )
    except NotFound as error:
        raise RunGone from error


def _since(mapped_task: MappedTask) -> datetime:
    return (mapped_task.watermark or timezone.now()) - MARGIN


def _read_changes(airflow: Airflow, claim: Claim[MappedTask]) -> bool:
    """Whether there were any."""
    mapped_task = claim.row
    run = mapped_task.run
    since = _since(mapped_task)
    any_changed = False
    try:
        changes = airflow.instances.changed_since(run.dag.dag_id, run.run_id, mapped_task.task_id, since)
        mapped = (listed(row) for row in changes if row.map_index >= 0)
        while rows := list(islice(mapped, STORED_AT_ONCE)):
            known = _known(mapped_task, map_index__in=[row.map_index for row in rows])
            any_changed = _store_changed(claim, rows, known) or any_changed
    except NotFound as error:
        raise RunGone from error
    return any_changed


def _read_all(airflow: Airflow, claim: Claim[MappedTask]) -> None:
    mapped_task = claim.row
    run = mapped_task.run
    unexpanded, nothing, next_index = "", True, 0
    with closing(airflow.instances.all_pages(run.dag.dag_id, run.run_id, mapped_task.task_id)) as pages:
        for page in pages:
            rows = [listed(row) for row in page if row.task_id == mapped_task.task_id]
            nothing = nothing and not rows
            unexpanded = next((row.state or "none" for row in rows if row.map_index < 0), unexpanded)
            mapped = [row for row in rows if row.map_index >= 0]
            if mapped:
                _take_page(claim, min(next_index, mapped[0].map_index), mapped)
                next_index = mapped[-1].map_index + 1
    if nothing:
        _explain_nothing(airflow, mapped_task)
    beyond = Instance.objects.filter(mapped_task=mapped_task, map_index__gte=next_index)
    store(claim, [], list(beyond.values_list("map_index", flat=True)))
    store_unexpanded(claim, "" if next_index else unexpanded or "none")


def _take_page(claim: Claim[MappedTask], first: int, rows: Sequence[Listed]) -> None:
    """``rows`` are all there is from the index ``first`` to that of the last of them."""
    known = _known(claim.row, map_index__gte=first, map_index__lte=rows[-1].map_index)
    gone = known.keys() - {row.map_index for row in rows}
    _store_changed(claim, rows, known, gone)


def _explain_nothing(airflow: Airflow, mapped_task: MappedTask) -> None:
    """A task without any row: an unknown run answers the same as an unknown task."""
    run = mapped_task.run
    try:
        airflow.runs.find(run.dag.dag_id, run.run_id)
    except NotFound as error:
        raise RunGone from error
    if is_finished(run):
        raise TaskGone


def _known(mapped_task: MappedTask, **where: Any) -> dict[int, Listed]:
    found = Instance.objects.filter(mapped_task=mapped_task, **where).order_by()
    return {row[0]: Listed(*row) for row in found.values_list(*Listed._fields)}


def _store_changed(
    claim: Claim[MappedTask], rows: Iterable[Listed], known: dict[int, Listed], gone: Collection[int] = ()
) -> bool:
    """Whether any row is new or differs from the known one."""
    mapped_task = claim.row
    news = [row for row in rows if known.get(row.map_index) != row]
    again = [row.map_index for row in news if row.map_index in known]
    before: dict[int, Instance] = {}
    for start in range(0, len(again), STORED_AT_ONCE):
        part = Instance.objects.filter(mapped_task=mapped_task, map_index__in=again[start : start + STORED_AT_ONCE])
        before |= {instance.map_index: instance for instance in part}
    if news or gone:
        store(claim, [instance_from(row, mapped_task, before.get(row.map_index)) for row in news], gone)
    else:
        claim.renew()
    return bool(news)
