"""Sending one chunk: look once more, write down what is about to be sent, send, write down that it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import Airflow, Conflict, Forbidden, NotFound, Rejected, TaskInstance, Unauthorized
from panel.domain import states
from panel.domain.outcomes import Outcome
from panel.retries.models import RetryChunk, RetryItem, RetryJob, RetryRun
from panel.retries.runner.claims import Claim
from panel.retries.runner.requests import (
    CALM,
    MAY_HAVE_WORKED,
    UNSURE_AFTER_KILL,
    Key,
    RefusedForGood,
    Rows,
    by_key,
    mark_sent,
    mark_unsent,
    mark_unsure,
    note_of,
    settle_items,
)
from panel.retries.states import ChunkKind, ItemState

ATTEMPTS: Final = 5
"""How often an item may be turned away because something of its chunk had just started to run."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Items that go together, and the instances of their mapped group that run again with them."""

    run: RetryRun
    items: list[RetryItem]
    followers: dict[int, list[Key]]

    def targets(self, items: list[RetryItem]) -> list[Key]:
        wanted = [key for item in items for key in (_key(item), *self.followers[item.pk])]
        return list(dict.fromkeys(wanted))


def send_next(job: RetryJob, run: RetryRun, airflow: Airflow, claim: Claim) -> None:
    """Send the next chunk of this run. Raises AirflowError; what it then means is written down."""
    batch = _next_batch(job, run)
    try:
        rows = by_key(airflow.instances.clear(run.dag_id, run.run_id, batch.targets(batch.items), dry_run=True))
    except NotFound as error:
        _lose_run(job, run, error.detail)
        return
    _refuse_more(batch, rows)
    dropped = {item.pk: why for item in batch.items if (why := _why_not_now(job, batch, item, rows))}
    vanished = {item.pk: _("Airflow no longer has it") for item in batch.items if _key(item) not in rows}
    settle_items(job, {pk: why for pk, why in dropped.items() if pk not in vanished}, ItemState.SKIPPED)
    settle_items(job, vanished, ItemState.LOST)
    left = [item for item in batch.items if item.pk not in dropped]
    chunk = _write_down(job, run, left, claim) if left else None
    if chunk is not None:
        _send(job, batch, chunk, airflow)


def _next_batch(job: RetryJob, run: RetryRun) -> _Batch:
    pending = RetryItem.objects.filter(job=job, target__run=run, state=ItemState.PENDING)
    pending = pending.select_related("target").order_by("pk")
    if job.canary is not None and not job.canary_passed:
        pending = pending.filter(canary=True)
    most_followers = max((len(below) for below in run.followers.values()), default=0)
    items = list(pending[: max(1, job.chunk_size // (1 + most_followers))])
    return _Batch(run, items, _followers(job, run, items))


def _followers(job: RetryJob, run: RetryRun, items: list[RetryItem]) -> dict[int, list[Key]]:
    """The group's tasks below each item; those that are items themselves come in their own turn."""
    names = {task_id for below in run.followers.values() for task_id in below}
    own: set[Key] = set()
    if names:
        rows = RetryItem.objects.filter(job=job, target__run=run, target__task_id__in=names)
        own = set(rows.values_list("target__task_id", "map_index"))
    return {
        item.pk: [
            (task_id, item.map_index)
            for task_id in run.followers.get(item.target.task_id, ())
            if (task_id, item.map_index) not in own
        ]
        for item in items
    }


def _key(item: RetryItem) -> Key:
    return item.target.task_id, item.map_index


def _refuse_more(batch: _Batch, rows: Rows) -> None:
    more = rows.keys() - set(batch.targets(batch.items))
    if more:
        some = ", ".join(f"{task_id} [{index}]" for task_id, index in sorted(more)[:5])
        raise RefusedForGood(
            _("It would clear %(count)s instances more than were chosen (%(some)s), so nothing was sent.")
            % {"count": len(more), "some": some}
        )


def _why_not_now(job: RetryJob, batch: _Batch, item: RetryItem, rows: Rows) -> str:
    """Why this item is not sent after all, by what Airflow says at this moment; "" when it is."""
    row = rows.get(_key(item))
    if row is None:
        return _("Airflow no longer has it")
    if row.id != item.ti_id:
        return _("somebody else cleared it meanwhile (%(state)s)") % {"state": _word(row)}
    if row.state not in states.CLEARABLE:
        return _("%(state)s meanwhile") % {"state": _word(row)}
    if row.state in {states.SUCCESS, states.SKIPPED} and row.state != _state_before(item):
        return "" if job.include_settled else _("%(state)s meanwhile") % {"state": _word(row)}
    busy = [key[0] for key in batch.followers[item.pk] if key in rows and rows[key].state not in CALM]
    return _("%(task)s below it runs at the moment") % {"task": busy[0]} if busy else ""


def _word(row: TaskInstance) -> str:
    return row.state or _("waiting")


def _state_before(item: RetryItem) -> str:
    if item.outcome_before == Outcome.SKIPPED:
        return states.SKIPPED
    succeeded = {Outcome.SOFT_FAILURE, Outcome.SUCCESS, Outcome.UNKNOWN_RESULT}
    return states.SUCCESS if item.outcome_before in succeeded else states.FAILED


def _lose_run(job: RetryJob, run: RetryRun, detail: str) -> None:
    why = _("Airflow no longer has this run. %(detail)s") % {"detail": detail}
    pending = RetryItem.objects.filter(job=job, target__run=run, state=ItemState.PENDING)
    settle_items(job, dict.fromkeys(pending.values_list("pk", flat=True), why), ItemState.LOST)
    RetryRun.objects.filter(pk=run.pk).update(closed_at=timezone.now(), hanging=False)


def _write_down(job: RetryJob, run: RetryRun, items: list[RetryItem], claim: Claim) -> RetryChunk | None:
    """The chunk row, before anything is sent; ``None`` when the job was paused or cancelled at this moment."""
    with transaction.atomic():
        claim.keep()
        if not RetryJob.objects.filter(pk=job.pk, state=job.state).update(version=F("version") + 1):
            return None
        chunk = RetryChunk.objects.create(
            run=run,
            kind=ChunkKind.ITEMS,
            resets_run=_resets_run(job, run, items),
            instances=len(items),
            unsure_until=timezone.now() + UNSURE_AFTER_KILL,
        )
        RetryItem.objects.filter(pk__in=[item.pk for item in items], state=ItemState.PENDING).update(
            state=ItemState.SENDING, chunk=chunk, attempts=F("attempts") + 1
        )
        if not chunk.resets_run:
            RetryRun.objects.filter(pk=run.pk).update(hanging=True)
    return chunk


def _resets_run(job: RetryJob, run: RetryRun, items: list[RetryItem]) -> bool:
    """Whether this chunk restarts a finished run.

    Not when more follows at once: on a finished run all chunks wait for the last request, so that everything starts
    together (AIRFLOW.md §5). A careful or paced job wants each chunk to run when it is sent.
    """
    if job.chunks_per_minute or any(item.canary for item in items):
        return True
    rest = RetryItem.objects.filter(job=job, target__run=run, state=ItemState.PENDING)
    more_to_come = rest.exclude(pk__in=[item.pk for item in items]).exists()
    return not more_to_come and not run.downstream


def _send(job: RetryJob, batch: _Batch, chunk: RetryChunk, airflow: Airflow) -> None:
    being_sent = _being_sent(chunk)
    items = [item for item in batch.items if item.pk in being_sent]
    if not items:  # cancelled at this moment
        mark_unsent(chunk, "")
        return
    run = batch.run
    try:
        cleared = airflow.instances.clear(
            run.dag_id,
            run.run_id,
            batch.targets(items),
            dry_run=False,
            reset_dag_runs=chunk.resets_run,
            note=note_of(job),
        )
    except Conflict as error:
        mark_unsent(chunk, error.detail)
        _give_up_on(job, items)
        return
    except MAY_HAVE_WORKED as error:
        mark_unsure(chunk, error)
        raise
    except Rejected as error:
        mark_unsent(chunk, error.detail)
        if isinstance(error, Unauthorized | Forbidden | NotFound) or error.retryable:
            raise
        raise RefusedForGood(str(error)) from error
    found = by_key(cleared)
    mark_sent(chunk, [item for item in items if _key(item) in found])


def _being_sent(chunk: RetryChunk) -> frozenset[int]:
    return frozenset(RetryItem.objects.filter(chunk=chunk, state=ItemState.SENDING).values_list("pk", flat=True))


def _give_up_on(job: RetryJob, items: list[RetryItem]) -> None:
    """Something runs (prevent_running_task): the next look drops it. Items that it happens to again and again go."""
    tired = [item.pk for item in items if item.attempts + 1 >= ATTEMPTS]
    why = _("Airflow kept refusing: something of it was running each time")
    settle_items(job, dict.fromkeys(tired, why), ItemState.REFUSED)
