"""After the last chunk of a run: the tasks downstream are cleared once, and nothing stays cleared but not started."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import Airflow, Conflict, NotFound, Rejected, TaskInstance
from panel.airflow.instances import Target
from panel.domain import states
from panel.retries.models import RetryChunk, RetryItem, RetryJob, RetryRun
from panel.retries.runner.claims import Claim
from panel.retries.runner.requests import (
    CALM,
    MAY_HAVE_WORKED,
    UNSURE_AFTER_KILL,
    mark_sent,
    mark_unsent,
    mark_unsure,
    note_of,
)
from panel.retries.states import ChunkKind, ChunkState, ItemState, JobState

LOOK_EVERY: Final = timedelta(seconds=3)


def close_run(job: RetryJob, run: RetryRun, airflow: Airflow, claim: Claim) -> datetime | None:
    """Clear what is downstream of the sent indices; when to go on while it cannot be done yet. Raises AirflowError."""
    wait = None
    if RetryChunk.objects.filter(run=run, kind=ChunkKind.ITEMS, state=ChunkState.SENT).exists():
        try:
            wait = _clear_downstream(job, run, airflow, claim) if run.downstream else None
            if wait is None:
                release_run(job, run, airflow)
        except NotFound:
            pass  # the run is gone; the watch says so for each index
    if wait is None:
        RetryRun.objects.filter(pk=run.pk).update(closed_at=timezone.now())
    return wait


def release_run(job: RetryJob, run: RetryRun, airflow: Airflow) -> None:
    """Restart a finished run in which cleared instances wait; one of them is cleared again for it, which is harmless
    while it has no state (AIRFLOW.md §5). Raises AirflowError.
    """
    if run.hanging and airflow.runs.find(run.dag_id, run.run_id).state in states.FINISHED_RUN:
        sent = RetryItem.objects.filter(job=job, target__run=run, state=ItemState.SENT).select_related("target")
        targets = [(item.target.task_id, item.map_index) for item in sent.order_by("pk")[: job.chunk_size]]
        rows = airflow.instances.clear(run.dag_id, run.run_id, targets, dry_run=True) if targets else []
        waiting = [(row.task_id, row.map_index) for row in rows if row.state is None]
        if waiting:
            airflow.instances.clear(run.dag_id, run.run_id, waiting[:1], dry_run=False, note=note_of(job))
    RetryRun.objects.filter(pk=run.pk).update(hanging=False)


def _clear_downstream(job: RetryJob, run: RetryRun, airflow: Airflow, claim: Claim) -> datetime | None:
    """One request of it; when to go on, ``None`` when all is done."""
    rows = airflow.instances.clear(run.dag_id, run.run_id, list(run.downstream), dry_run=True)
    done = _done(run)
    left = sorted(
        (row for row in rows if (row.task_id, row.map_index) not in done),
        key=lambda row: (run.downstream.index(row.task_id) if row.task_id in run.downstream else 0, row.map_index),
    )
    if not left:
        return None
    if busy := sorted({row.task_id for row in left if row.state not in CALM}):
        return _wait_for(job, busy)
    chunk = _write_down(run, left[: job.chunk_size], claim, last=len(left) <= job.chunk_size)
    # Whole tasks where everything fits into one request: that is exact on every version.
    whole = len(rows) <= job.chunk_size
    targets: list[Target] = (
        list(run.downstream) if whole else [(row.task_id, row.map_index) for row in left[: job.chunk_size]]
    )
    try:
        airflow.instances.clear(
            run.dag_id, run.run_id, targets, dry_run=False, reset_dag_runs=chunk.resets_run, note=note_of(job)
        )
    except Conflict as error:
        mark_unsent(chunk, error.detail)
        return _wait_for(job, sorted(run.downstream))
    except MAY_HAVE_WORKED as error:
        mark_unsure(chunk, error)
        raise
    except Rejected as error:
        mark_unsent(chunk, error.detail)
        raise
    mark_sent(chunk, [])
    run.hanging = run.hanging and not chunk.resets_run
    return None if chunk.resets_run else timezone.now()


def _done(run: RetryRun) -> set[tuple[str, int]]:
    sent = RetryChunk.objects.filter(run=run, kind=ChunkKind.DOWNSTREAM, state=ChunkState.SENT)
    befores = sent.values_list("before", flat=True)
    return {(task_id, int(index)) for before in befores for task_id, ids in before.items() for index in ids}


def _write_down(run: RetryRun, rows: Iterable[TaskInstance], claim: Claim, *, last: bool) -> RetryChunk:
    before: dict[str, dict[str, str]] = {}
    for row in rows:
        before.setdefault(row.task_id, {})[str(row.map_index)] = row.id
    with transaction.atomic():
        claim.keep()
        return RetryChunk.objects.create(
            run=run,
            kind=ChunkKind.DOWNSTREAM,
            resets_run=last,
            instances=sum(len(ids) for ids in before.values()),
            before=before,
            unsure_until=timezone.now() + UNSURE_AFTER_KILL,
        )


def _wait_for(job: RetryJob, tasks: list[str]) -> datetime:
    """A downstream task that runs now must end first: it runs once more after all chunks."""
    reason = _("Waits for %(tasks)s, which runs at the moment and will run again afterwards.")
    RetryJob.objects.filter(pk=job.pk, state=JobState.RUNNING).update(
        state_reason=reason % {"tasks": ", ".join(tasks)}, version=F("version") + 1
    )
    return timezone.now() + LOOK_EVERY
