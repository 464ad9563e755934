"""Requests whose fate is not known: the worker was killed, or Airflow did not answer. Airflow's rows tell.

Clearing gives every instance a new id at once and in one transaction (AIRFLOW.md §5): a changed id means that it was
done. Unchanged ids mean that it was not, once the request can no longer arrive.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from panel.airflow import Airflow, NotFound
from panel.airflow.instances import Target
from panel.retries.models import RetryChunk, RetryItem, RetryJob
from panel.retries.runner.requests import Rows, by_key, mark_sent, mark_unsent
from panel.retries.states import ChunkKind, ChunkState, ItemState

LOOK_EVERY: Final = timedelta(seconds=5)


def resolve_chunks(job: RetryJob, airflow: Airflow) -> datetime | None:
    """Settle what can be settled; when to look again while something cannot. Raises AirflowError."""
    unsure = RetryChunk.objects.filter(run__job=job, state=ChunkState.SENDING).select_related("run")
    waits = [wait for chunk in unsure if (wait := _resolve(chunk, airflow))]
    return min(waits, default=None)


def _resolve(chunk: RetryChunk, airflow: Airflow) -> datetime | None:
    items = list(RetryItem.objects.filter(chunk=chunk, state=ItemState.SENDING).select_related("target"))
    before = _ids_before(chunk, items)
    if not before:
        mark_unsent(chunk, "")
        return None
    rows = _rows_now(chunk, list(before), airflow)
    moved = {key for key, ti_id in before.items() if key in rows and (rows[key].id != ti_id or rows[key].state is None)}
    now = timezone.now()
    if moved and chunk.kind == ChunkKind.DOWNSTREAM:
        mark_sent(chunk, [])
        return None
    # The chunk is one transaction: either all its instances moved, or somebody else moved some.
    if len(moved) == len(rows.keys() & before.keys()) and moved:
        mark_sent(chunk, [item for item in items if (item.target.task_id, item.map_index) in moved])
        return None
    if now < chunk.unsure_until:
        return min(chunk.unsure_until, now + LOOK_EVERY)
    mark_unsent(chunk, chunk.message)
    return None


def _ids_before(chunk: RetryChunk, items: list[RetryItem]) -> dict[tuple[str, int], str]:
    if chunk.kind == ChunkKind.ITEMS:
        return {(item.target.task_id, item.map_index): item.ti_id for item in items}
    return {(task_id, int(index)): ti_id for task_id, ids in chunk.before.items() for index, ti_id in ids.items()}


def _rows_now(chunk: RetryChunk, keys: list[tuple[str, int]], airflow: Airflow) -> Rows:
    # Whole tasks downstream: that is exact on every version, and only known keys are compared.
    whole = chunk.kind == ChunkKind.DOWNSTREAM
    targets: list[Target] = sorted({task_id for task_id, index in keys}) if whole else list(keys)
    try:
        return by_key(airflow.instances.clear(chunk.run.dag_id, chunk.run.run_id, targets, dry_run=True))
    except NotFound:
        return {}  # the next look at the run finds that it is gone
