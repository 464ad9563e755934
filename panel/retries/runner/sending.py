"""Sending one chunk: look once more, write down what is about to be sent, send, write down that it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F
from django.utils.translation import gettext as _

from panel.airflow import Airflow, Conflict, NotFound, TaskInstance
from panel.clock import database_now
from panel.domain import states
from panel.domain.outcomes import Outcome
from panel.retries.models import RetryChunk, RetryItem, RetryJob, RetryRun
from panel.retries.runner.claims import Claim
from panel.retries.runner.gates import sendable
from panel.retries.runner.requests import (
    CALM,
    Key,
    RefusedForGood,
    Rows,
    by_key,
    clear,
    mark_sent,
    mark_unsent,
    settle_items,
    unsure_until,
)
from panel.retries.runner.speed import chunk_size
from panel.retries.states import ChunkKind, ChunkState, ItemState, JobState

ATTEMPTS: Final = 5
"""How often an item that goes alone may be turned away because something of it had just started to run."""
LOOK_EVERY: Final = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Items that go together, and the instances of their mapped group that run again with them."""

    run: RetryRun
    items: list[RetryItem]
    followers: dict[int, list[Key]]

    def targets(self, items: list[RetryItem]) -> list[Key]:
        wanted = [key for item in items for key in (_key(item), *self.followers[item.pk])]
        return list(dict.fromkeys(wanted))


def send_next(job: RetryJob, run: RetryRun, airflow: Airflow, claim: Claim) -> datetime | None:
    """Send the next chunk of this run; when to go on, ``None`` for at once.

    Raises AirflowError; what it then means is written down. Raises ClaimLost.
    """
    batch = _next_batch(job, run)
    try:
        rows = _look(batch, airflow)
    except NotFound as error:
        _lose_run(job, run, error.detail, claim)
        return None
    _refuse_more(batch, rows)
    dropped = {item.pk: why for item in batch.items if (why := _why_not_now(job, item, rows))}
    vanished = {item.pk: _("Airflow no longer has it") for item in batch.items if _key(item) not in rows}
    settle_items(claim, job, {pk: why for pk, why in dropped.items() if pk not in vanished}, ItemState.SKIPPED)
    settle_items(claim, job, vanished, ItemState.LOST)
    left = [item for item in batch.items if item.pk not in dropped]
    busy = {task_id for item in left for task_id in _busy_below(batch, item, rows)}
    calm = [item for item in left if not _busy_below(batch, item, rows)]
    if busy and not calm:
        return _wait_for(job, sorted(busy))
    chunk = _write_down(job, batch, calm, claim) if calm else None
    if chunk is not None:
        _send(job, batch, chunk, airflow, claim)
    return None


def _next_batch(job: RetryJob, run: RetryRun) -> _Batch:
    pending = sendable(job).filter(target__run=run).select_related("target")
    most_followers = max((len(below) for below in run.followers.values()), default=0)
    items = list(pending[: max(1, chunk_size(job) // (1 + most_followers))])
    if items and items[0].attempts:  # it was turned away: fewer go with it, until what is in the way is found
        items = items[: max(1, len(items) >> items[0].attempts)]
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


def _look(batch: _Batch, airflow: Airflow) -> Rows:
    """The instances as Airflow has them now, with what else it would clear.

    That is shown by a dry run. Once a chunk of this run was cleared as its dry run had said, a list will do for indices
    of one task, which Airflow takes exactly (AIRFLOW.md §12) and which costs it a quarter.
    """
    run, targets = batch.run, batch.targets(batch.items)
    task_id = targets[0][0]
    plain = all(task == task_id and index >= 0 for task, index in targets)
    if plain and airflow.capabilities.clears_exact_indices and _has_sent(run):
        return by_key(airflow.instances.at(run.dag_id, run.run_id, task_id, [index for _task, index in targets]))
    return by_key(airflow.instances.clear(run.dag_id, run.run_id, targets, dry_run=True))


def _has_sent(run: RetryRun) -> bool:
    return RetryChunk.objects.filter(run=run, kind=ChunkKind.ITEMS, state=ChunkState.SENT).exists()


def _refuse_more(batch: _Batch, rows: Rows) -> None:
    more = rows.keys() - set(batch.targets(batch.items))
    if more:
        some = ", ".join(f"{task_id} [{index}]" for task_id, index in sorted(more)[:5])
        raise RefusedForGood(
            _("It would clear %(count)s instances more than were chosen (%(some)s), so nothing was sent.")
            % {"count": len(more), "some": some}
        )


def _why_not_now(job: RetryJob, item: RetryItem, rows: Rows) -> str:
    """Why this item is not sent after all, by what Airflow says at this moment; "" when it is."""
    row = rows.get(_key(item))
    if row is None:
        return _("Airflow no longer has it")
    if row.id != item.ti_id:
        return _("somebody else cleared it meanwhile (%(state)s)") % {"state": _word(row)}
    if row.state not in states.CLEARABLE:
        return _("%(state)s meanwhile") % {"state": _word(row)}
    if row.state in {states.SUCCESS, states.SKIPPED} and row.state != _state_before(item) and not job.include_settled:
        return _("%(state)s meanwhile") % {"state": _word(row)}
    return ""


def _busy_below(batch: _Batch, item: RetryItem, rows: Rows) -> list[str]:
    """The tasks of its mapped group that run at this moment and would be cleared with it."""
    return [key[0] for key in batch.followers[item.pk] if key in rows and rows[key].state not in CALM]


def _wait_for(job: RetryJob, tasks: list[str]) -> datetime:
    reason = _("Waits for %(tasks)s, which runs at the moment and will run again afterwards.")
    RetryJob.objects.filter(pk=job.pk, state=JobState.RUNNING).update(
        state_reason=reason % {"tasks": ", ".join(tasks)}, version=F("version") + 1
    )
    return database_now() + LOOK_EVERY


def _word(row: TaskInstance) -> str:
    return row.state or _("waiting")


def _state_before(item: RetryItem) -> str:
    if item.outcome_before == Outcome.SKIPPED:
        return states.SKIPPED
    succeeded = {Outcome.SOFT_FAILURE, Outcome.SUCCESS, Outcome.UNKNOWN_RESULT}
    return states.SUCCESS if item.outcome_before in succeeded else states.FAILED


def _lose_run(job: RetryJob, run: RetryRun, detail: str, claim: Claim) -> None:
    why = _("Airflow no longer has this run. %(detail)s") % {"detail": detail}
    pending = RetryItem.objects.filter(job=job, target__run=run, state=ItemState.PENDING)
    settle_items(claim, job, dict.fromkeys(pending.values_list("pk", flat=True), why), ItemState.LOST)
    with claim.fenced():
        RetryRun.objects.filter(pk=run.pk).update(closed_at=database_now(), hanging=False)


def _write_down(job: RetryJob, batch: _Batch, items: list[RetryItem], claim: Claim) -> RetryChunk | None:
    """The chunk row, before anything is sent; ``None`` when the job was paused or cancelled at this moment."""
    run, instances = batch.run, len(batch.targets(items))
    with claim.fenced():
        if not RetryJob.objects.filter(pk=job.pk, state=job.state).update(version=F("version") + 1):
            return None
        chunk = RetryChunk.objects.create(
            run=run,
            kind=ChunkKind.ITEMS,
            resets_run=_resets_run(job, run, items),
            instances=instances,
            unsure_until=unsure_until(instances),
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
    if job.starts_at_once:
        return True
    rest = RetryItem.objects.filter(job=job, target__run=run, state=ItemState.PENDING)
    more_to_come = rest.exclude(pk__in=[item.pk for item in items]).exists()
    return not more_to_come and not run.downstream


def _send(job: RetryJob, batch: _Batch, chunk: RetryChunk, airflow: Airflow, claim: Claim) -> None:
    being_sent = _being_sent(chunk)
    items = [item for item in batch.items if item.pk in being_sent]
    if not items:  # cancelled at this moment
        mark_unsent(claim, chunk, "")
        return
    try:
        cleared = by_key(clear(job, chunk, batch.targets(items), airflow, claim))
    except Conflict:
        _give_up_on(job, items, claim)
        return
    mark_sent(claim, chunk, [item for item in items if _key(item) in cleared])


def _being_sent(chunk: RetryChunk) -> frozenset[int]:
    return frozenset(RetryItem.objects.filter(chunk=chunk, state=ItemState.SENDING).values_list("pk", flat=True))


def _give_up_on(job: RetryJob, items: list[RetryItem], claim: Claim) -> None:
    """Something runs (prevent_running_task): the next look drops it, or fewer items go together until it is found."""
    tired = [item.pk for item in items if len(items) == 1 and item.attempts + 1 >= ATTEMPTS]
    why = _("Airflow kept refusing: something of it was running each time")
    settle_items(claim, job, dict.fromkeys(tired, why), ItemState.REFUSED)
