"""After the last chunk of a run: the tasks downstream are cleared once, and nothing stays cleared but not started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F, QuerySet
from django.utils.translation import gettext as _

from panel.airflow import Airflow, Conflict, NotFound, TaskInstance
from panel.airflow.instances import Target
from panel.clock import database_now
from panel.domain import states
from panel.retries.models import RetryChunk, RetryItem, RetryJob, RetryRun
from panel.retries.runner.claims import Claim
from panel.retries.runner.marking import sync_marked
from panel.retries.runner.requests import CALM, Key, clear, mark_sent, write_down_others
from panel.retries.runner.speed import chunk_size
from panel.retries.states import ChunkKind, ChunkState, ItemState, JobState

LOOK_EVERY: Final = timedelta(seconds=3)
LOOKED_AT_ONCE: Final = 500


def runs_to_close(job: RetryJob) -> list[RetryRun]:
    """Runs of which everything was sent (or given up) and whose downstream has not been started yet.

    A paused job starts no tasks downstream; what it had begun to start is finished.
    """
    unsent = RetryItem.objects.filter(job=job, state__in=[ItemState.PENDING, ItemState.SENDING])
    runs = RetryRun.objects.filter(job=job, closed_at=None).exclude(pk__in=unsent.values("target__run_id"))
    if job.state != JobState.PAUSED:
        return list(runs)
    return [run for run in runs if not run.downstream or _sent(run, ChunkKind.DOWNSTREAM).exists()]


def close_run(job: RetryJob, run: RetryRun, airflow: Airflow, claim: Claim) -> datetime | None:
    """Clear what is downstream of the sent indices; when to go on while it cannot be done yet.

    Raises AirflowError, ClaimLost.
    """
    if job.starts_at_once and run.downstream and _is_under_way(run):
        return database_now() + LOOK_EVERY
    wait = None
    if job.marks_as:
        sync_marked(run)
    elif _sent(run, ChunkKind.ITEMS).exists():
        try:
            wait = _clear_downstream(job, run, airflow, claim) if run.downstream else None
            if wait is None:
                release_run(job, run, airflow, claim)
        except NotFound:
            pass  # the run is gone; the watch says so for each index
    if wait is None:
        with claim.fenced():
            RetryRun.objects.filter(pk=run.pk).update(closed_at=database_now())
    return wait


def _is_under_way(run: RetryRun) -> bool:
    return RetryItem.objects.filter(target__run=run, state=ItemState.SENT).exists()


def release_run(job: RetryJob, run: RetryRun, airflow: Airflow, claim: Claim) -> None:
    """Restart a finished run in which cleared instances wait; one of them is cleared again for it, which is harmless
    while it has no state (AIRFLOW.md §5). Raises AirflowError, ClaimLost.
    """
    run.refresh_from_db(fields=["hanging"])
    if not run.hanging:
        return
    waiting = _waiting(run, airflow) if airflow.runs.find(run.dag_id, run.run_id).state in states.FINISHED_RUN else None
    if waiting is None:
        with claim.fenced():
            RetryRun.objects.filter(pk=run.pk).update(hanging=False)
        return
    with claim.fenced():
        chunk = write_down_others(run, ChunkKind.RELEASE, [waiting], resets_run=True)
    clear(job, chunk, [(waiting.task_id, waiting.map_index)], airflow, claim)
    mark_sent(claim, chunk, [])


def _waiting(run: RetryRun, airflow: Airflow) -> TaskInstance | None:
    """A sent instance that has no state; ``None`` when all of them have one."""
    for targets in _sent_targets(run):
        rows = airflow.instances.clear(run.dag_id, run.run_id, targets, dry_run=True)
        if found := next((row for row in rows if row.state is None), None):
            return found
    return None


def _sent_targets(run: RetryRun) -> Iterator[list[Key]]:
    for chunk in _sent(run, ChunkKind.ITEMS).order_by("-pk"):
        items = RetryItem.objects.filter(chunk=chunk).exclude(sent_at=None).order_by("pk")
        keys = list(items.values_list("target__task_id", "map_index"))
        yield from (keys[start : start + LOOKED_AT_ONCE] for start in range(0, len(keys), LOOKED_AT_ONCE))


def _clear_downstream(job: RetryJob, run: RetryRun, airflow: Airflow, claim: Claim) -> datetime | None:
    """One request of it; when to go on, ``None`` when all is done."""
    if _downstream_is_done(run):
        return None
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
    now, targets = _next_downstream(run, rows, left, chunk_size(job), airflow)
    with claim.fenced():
        chunk = write_down_others(run, ChunkKind.DOWNSTREAM, now, resets_run=len(now) == len(left))
    try:
        clear(job, chunk, targets, airflow, claim)
    except Conflict:
        return _wait_for(job, sorted(run.downstream))
    mark_sent(claim, chunk, [])
    return None if chunk.resets_run else database_now()


def _next_downstream(
    run: RetryRun, rows: Sequence[TaskInstance], left: Sequence[TaskInstance], size: int, airflow: Airflow
) -> tuple[Sequence[TaskInstance], list[Target]]:
    """What goes next, and how to name it: whole tasks where possible, which is exact on every version."""
    if len(left) == len(rows) <= size:
        return left, list(run.downstream)
    if airflow.capabilities.clears_exact_indices:
        return left[:size], [(row.task_id, row.map_index) for row in left[:size]]
    task_id = left[0].task_id
    return [row for row in left if row.task_id == task_id], [task_id]


def _sent(run: RetryRun, kind: ChunkKind) -> QuerySet[RetryChunk]:
    return RetryChunk.objects.filter(run=run, kind=kind, state=ChunkState.SENT)


def _downstream_is_done(run: RetryRun) -> bool:
    """Whether its last request was sent after the last indices: what appears there since is not to be cleared again."""
    last_items = _sent(run, ChunkKind.ITEMS).order_by("pk").last()
    finals = _sent(run, ChunkKind.DOWNSTREAM).filter(resets_run=True)
    return last_items is not None and finals.filter(pk__gt=last_items.pk).exists()


def _done(run: RetryRun) -> set[Key]:
    """What of this round was cleared already."""
    last_items = _sent(run, ChunkKind.ITEMS).order_by("pk").last()
    sent = _sent(run, ChunkKind.DOWNSTREAM).filter(pk__gt=last_items.pk if last_items else 0)
    befores = sent.values_list("before", flat=True)
    return {(task_id, int(index)) for before in befores for task_id, ids in before.items() for index in ids}


def _wait_for(job: RetryJob, tasks: list[str]) -> datetime:
    """A downstream task that runs now must end first: it runs once more after all chunks."""
    reason = _("Waits for %(tasks)s, which runs at the moment and will run again afterwards.")
    RetryJob.objects.filter(pk=job.pk, state=JobState.RUNNING).update(
        state_reason=reason % {"tasks": ", ".join(tasks)}, version=F("version") + 1
    )
    return database_now() + LOOK_EVERY
