"""Marking one chunk by hand: look, write down what is about to be marked, mark, look again.

A mark is read from the instances themselves, whoever made it: what has the state is done, what has not is not. So a
request whose answer is lost, or that Airflow carried out in part, costs a second look and never a second mark.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import F
from django.utils.translation import gettext as _

from panel.airflow import Airflow, NotFound, Rejected
from panel.airflow.transport import Patience
from panel.clock import database_now
from panel.domain import states
from panel.domain.outcomes import Outcome
from panel.mirror.models import MappedTask
from panel.mirror.services import sync_mapped_task
from panel.retries.models import LONGEST_WHY, RetryChunk, RetryItem, RetryJob, RetryRun, RetryTarget
from panel.retries.runner.claims import Claim
from panel.retries.runner.requests import (
    MAY_HAVE_WORKED,
    RefusedForGood,
    Rows,
    by_key,
    clear_timeout,
    mark_unsent,
    mark_unsure,
    note_of,
    settle_items,
    unsure_until,
)
from panel.retries.states import ChunkKind, ChunkState, ItemState

MOST_AT_ONCE: Final = 200
"""About 7 s of Airflow's time, in one transaction: what failed below starts only after all of them are marked."""
MOST_ONE_BY_ONE: Final = 25
"""Where each takes a request of its own."""
ATTEMPTS: Final = 3
LOOK_EVERY: Final = timedelta(seconds=5)
OUTCOMES: Final = {
    states.SUCCESS: Outcome.SUCCESS,
    states.FAILED: Outcome.HARD_FAILURE,
    states.SKIPPED: Outcome.SKIPPED,
}


def mark_next(job: RetryJob, run: RetryRun, airflow: Airflow, claim: Claim) -> datetime | None:
    """Mark the next chunk, pending items of one task; then more may be done at once (``None``).

    Raises AirflowError; what it then means is written down. Raises ClaimLost.
    """
    items = _next_items(job, run, MOST_AT_ONCE if airflow.capabilities.bulk_marks else MOST_ONE_BY_ONE)
    rows = _look(run, items, airflow, claim)
    if rows is None:
        return None
    why_not = {item.pk: why for item in items if (why := _why_not_now(job, item, rows))}
    gone = {item.pk for item in items if _key(item) not in rows}
    settle_items(claim, job, {pk: why for pk, why in why_not.items() if pk in gone}, ItemState.LOST)
    settle_items(claim, job, {pk: why for pk, why in why_not.items() if pk not in gone}, ItemState.SKIPPED)
    left = [item for item in items if item.pk not in why_not]
    chunk = _write_down(job, run, left, claim) if left else None
    if chunk is not None:
        _send(job, chunk, airflow, claim)
    return None


def resolve_marks(chunk: RetryChunk, job: RetryJob, airflow: Airflow, claim: Claim, *, over: bool) -> datetime | None:
    """Settle a chunk by what Airflow's instances say now; when to look again while its request may still arrive
    (it is not ``over``). Raises AirflowError, ClaimLost.
    """
    items = _being_marked(chunk)
    rows = _look(chunk.run, items, airflow, claim)
    if rows is None:
        return None
    done = [item.pk for item in items if (row := rows.get(_key(item))) is not None and row.state == job.marks_as]
    if len(done) < len(items) and not over:
        _settle(chunk, job, done, claim)
        return min(chunk.unsure_until, database_now() + LOOK_EVERY)
    _settle(chunk, job, done, claim, over=True)
    return None


def sync_marked(run: RetryRun) -> None:
    """The mirror reads what was marked. Raises AirflowError."""
    for mapped_task_id in RetryTarget.objects.filter(run=run).values_list("mapped_task_id", flat=True):
        try:
            sync_mapped_task(mapped_task_id=mapped_task_id)
        except MappedTask.DoesNotExist:
            continue  # the mirror is being rebuilt, or the task was never mapped


def _next_items(job: RetryJob, run: RetryRun, most: int) -> list[RetryItem]:
    pending = RetryItem.objects.filter(job=job, target__run=run, state=ItemState.PENDING).select_related("target")
    first = pending.order_by("pk").first()
    if first is None:
        return []
    # One task: before 3.1.1 Airflow mishandles indices of several in one request.
    return list(pending.filter(target=first.target).order_by("pk")[: min(job.chunk_size, most)])


def _look(run: RetryRun, items: list[RetryItem], airflow: Airflow, claim: Claim) -> Rows | None:
    """The instances as they are now; ``None`` when the run is gone, and then its items are settled."""
    if not items:
        return {}
    try:
        targets = [_key(item) for item in items]
        return by_key(airflow.instances.clear(run.dag_id, run.run_id, targets, dry_run=True))
    except NotFound as error:
        why = _("Airflow no longer has this run. %(detail)s") % {"detail": error.detail}
        now = database_now()
        with claim.fenced():
            unsettled = RetryItem.objects.filter(target__run=run, state__in=[ItemState.PENDING, ItemState.SENDING])
            unsettled.update(state=ItemState.LOST, why=why[:LONGEST_WHY], settled_at=now)
            RetryChunk.objects.filter(run=run, state=ChunkState.SENDING).update(state=ChunkState.UNSENT)
            RetryRun.objects.filter(pk=run.pk).update(closed_at=now)
            RetryJob.objects.filter(pk=run.job_id).update(progress_at=now, version=F("version") + 1)
        return None


def _key(item: RetryItem) -> tuple[str, int]:
    return item.target.task_id, item.map_index


def _why_not_now(job: RetryJob, item: RetryItem, rows: Rows) -> str:
    row = rows.get(_key(item))
    if row is None:
        return _("Airflow no longer has it")
    state = row.state or _("waiting")
    if row.id != item.ti_id:
        return _("somebody else cleared it meanwhile (%(state)s)") % {"state": state}
    if row.state == job.marks_as:
        return _("is %(state)s already") % {"state": state}
    if row.state not in states.CLEARABLE:
        return _("%(state)s meanwhile") % {"state": state}
    had_failed = item.outcome_before in {Outcome.HARD_FAILURE, Outcome.UPSTREAM_FAILED}
    if row.state in {states.SUCCESS, states.SKIPPED} and had_failed and not job.include_settled:
        return _("%(state)s meanwhile") % {"state": state}
    return ""


def _write_down(job: RetryJob, run: RetryRun, items: list[RetryItem], claim: Claim) -> RetryChunk | None:
    """The chunk row, before anything is sent; ``None`` when the job was paused or cancelled at this moment."""
    with claim.fenced():
        if not RetryJob.objects.filter(pk=job.pk, state=job.state).update(version=F("version") + 1):
            return None
        chunk = RetryChunk.objects.create(
            run=run,
            kind=ChunkKind.ITEMS,
            resets_run=True,  # Airflow does so by itself where something failed below
            instances=len(items),
            unsure_until=unsure_until(len(items)),
        )
        RetryItem.objects.filter(pk__in=[item.pk for item in items], state=ItemState.PENDING).update(
            state=ItemState.SENDING, chunk=chunk, attempts=F("attempts") + 1
        )
    return chunk


def _being_marked(chunk: RetryChunk) -> list[RetryItem]:
    items = RetryItem.objects.filter(chunk=chunk, state=ItemState.SENDING).select_related("target")
    return list(items.order_by("pk"))


def _send(job: RetryJob, chunk: RetryChunk, airflow: Airflow, claim: Claim) -> None:
    items = _being_marked(chunk)
    if not items:  # cancelled at this moment
        mark_unsent(claim, chunk, "")
        return
    run, task_id = chunk.run, items[0].target.task_id
    indices = [item.map_index for item in items]
    patience = Patience(clear_timeout(chunk.instances), settings.AIRFLOW_TIMEOUT_SECONDS)
    try:
        said = airflow.instances.mark(
            run.dag_id, run.run_id, task_id, indices, job.marks_as, note_of(job), patience=patience
        )
    except MAY_HAVE_WORKED as error:  # also NotSent: of several single requests some were sent before
        mark_unsure(claim, chunk, error)
        raise
    except Rejected as error:
        if airflow.capabilities.bulk_marks:
            mark_unsent(claim, chunk, error.detail)
        else:
            mark_unsure(claim, chunk, error)  # those before it are marked
        if error.retryable or error.status in {401, 403}:
            raise
        raise RefusedForGood(str(error)) from error
    chunk.message = "; ".join(dict.fromkeys(said))[:LONGEST_WHY]
    # The request has ended: nothing of it can still arrive, and the instances say what it did.
    resolve_marks(chunk, job, airflow, claim, over=True)


def _settle(chunk: RetryChunk, job: RetryJob, done: list[int], claim: Claim, *, over: bool = False) -> None:
    """The items with these keys are marked. When the request is ``over``, the rest waits for another one; an item that
    this happens to again and again goes.
    """
    now = database_now()
    with claim.fenced():
        sending = RetryItem.objects.filter(chunk=chunk, state=ItemState.SENDING)
        marked = sending.filter(pk__in=done).update(
            state=ItemState.RECOVERED, sent_at=now, settled_at=now, outcome=OUTCOMES[job.marks_as]
        )
        if over:
            why = _("Airflow did not mark it. %(message)s") % {"message": chunk.message}
            sending.filter(attempts__gte=ATTEMPTS).update(
                state=ItemState.REFUSED, why=why.strip()[:LONGEST_WHY], settled_at=now
            )
            sending.update(state=ItemState.PENDING, chunk=None)
            state = ChunkState.SENT if RetryItem.objects.filter(chunk=chunk).exists() else ChunkState.UNSENT
            RetryChunk.objects.filter(pk=chunk.pk, state=ChunkState.SENDING).update(
                state=state, sent_at=now, message=chunk.message
            )
        if marked or over:
            RetryJob.objects.filter(pk=job.pk).update(last_chunk_at=now, progress_at=now, version=F("version") + 1)
