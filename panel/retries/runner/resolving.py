"""Requests whose fate is not known: the worker was killed, or Airflow did not answer. Airflow's rows tell.

Clearing gives every instance a new id at once and in one transaction (AIRFLOW.md §5): changed ids mean that it was
done. Unchanged ids mean that it was not, once the request can no longer arrive.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from panel.airflow import Airflow, NotFound
from panel.airflow.instances import Target
from panel.clock import database_now
from panel.retries.models import RetryChunk, RetryItem, RetryJob
from panel.retries.runner.claims import Claim
from panel.retries.runner.marking import resolve_marks
from panel.retries.runner.requests import Key, Rows, by_key, mark_sent, mark_unsent, unsure_until
from panel.retries.states import ChunkKind, ChunkState, ItemState

LOOK_EVERY: Final = timedelta(seconds=5)


def resolve_chunks(job: RetryJob, airflow: Airflow, claim: Claim) -> datetime | None:
    """Settle what can be settled; when to look again while something cannot. Raises AirflowError, ClaimLost."""
    unsure = RetryChunk.objects.filter(run__job=job, state=ChunkState.SENDING).select_related("run__job")
    waits = [wait for chunk in unsure if (wait := _resolve(chunk, airflow, claim))]
    return min(waits, default=None)


def _resolve(chunk: RetryChunk, airflow: Airflow, claim: Claim) -> datetime | None:
    if chunk.run.job.marks_as:
        return resolve_marks(chunk, chunk.run.job, airflow, claim, over=_can_no_longer_arrive(chunk))
    items = list(RetryItem.objects.filter(chunk=chunk, state=ItemState.SENDING).select_related("target"))
    before = _ids_before(chunk, items)
    if not before:
        mark_unsent(claim, chunk, "")
        return None
    too_late = _can_no_longer_arrive(chunk)  # asked first: what arrives after the look must not be overlooked
    rows = _rows_now(chunk, list(before), airflow)
    moved = {key for key, ti_id in before.items() if key in rows and rows[key].id != ti_id}
    moved |= _expanded(rows, before)
    # The chunk is one transaction: either all its instances moved, or somebody else moved some.
    if moved and before.keys() - moved <= before.keys() - rows.keys():
        mark_sent(claim, chunk, [item for item in items if (item.target.task_id, item.map_index) in moved])
        return None
    if not too_late:
        return min(chunk.unsure_until, database_now() + LOOK_EVERY)
    mark_unsent(claim, chunk, chunk.message)
    return None


def _expanded(rows: Rows, before: dict[Key, str]) -> set[Key]:
    """Downstream tasks that were not expanded when they were to be cleared, and are by now: they ran again."""
    tasks = {task_id for task_id, _index in rows}
    return {(task_id, index) for task_id, index in before if index < 0 and task_id in tasks} - rows.keys()


def _can_no_longer_arrive(chunk: RetryChunk) -> bool:
    longest = unsure_until(chunk.instances)
    if chunk.unsure_until > longest:  # from before the clock was put back
        chunk.unsure_until = longest
        chunk.save(update_fields=["unsure_until"])
    return chunk.unsure_until <= database_now()


def _ids_before(chunk: RetryChunk, items: list[RetryItem]) -> dict[Key, str]:
    if chunk.kind == ChunkKind.ITEMS:
        return {(item.target.task_id, item.map_index): item.ti_id for item in items}
    return {(task_id, int(index)): ti_id for task_id, ids in chunk.before.items() for index, ti_id in ids.items()}


def _rows_now(chunk: RetryChunk, keys: list[Key], airflow: Airflow) -> Rows:
    # Whole tasks downstream: that is exact on every version, and only known keys are compared.
    whole = chunk.kind == ChunkKind.DOWNSTREAM
    targets: list[Target] = sorted({task_id for task_id, index in keys}) if whole else list(keys)
    try:
        return by_key(airflow.instances.clear(chunk.run.dag_id, chunk.run.run_id, targets, dry_run=True))
    except NotFound:
        return {}  # the next look at the run finds that it is gone
