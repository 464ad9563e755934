"""The requests to Airflow that a job is made of, and how far to trust their answers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import F
from django.utils.translation import gettext as _

from panel.airflow import (
    Airflow,
    AirflowError,
    BadPayload,
    NotSent,
    Rejected,
    ServerFault,
    TaskInstance,
    TimedOut,
    Unreachable,
)
from panel.airflow.instances import Target
from panel.airflow.transport import Patience
from panel.clock import database_now
from panel.domain import states
from panel.retries.models import LONGEST_WHY, RetryChunk, RetryItem, RetryJob, RetryRun
from panel.retries.runner.claims import Claim, ClaimLost
from panel.retries.runner.speed import answered_in, too_slow
from panel.retries.states import ChunkKind, ChunkState, ItemState

Key = tuple[str, int]
Rows = dict[Key, TaskInstance]

LONGEST_NOTE: Final = 1_000
SECONDS_FOR_A_CLEAR: Final = 5.0
SECONDS_FOR_AN_INSTANCE: Final = 0.06
"""Airflow needs 5.5 ms for one (AIRFLOW.md §5), and up to 41 ms as its users report."""
MAY_HAVE_WORKED: Final = (Unreachable, ServerFault, BadPayload)
"""Errors of a clear after which only Airflow's rows tell whether it happened."""
CALM: Final = states.CLEARABLE | {None, states.REMOVED}
"""States in which a downstream instance may be cleared without racing its process or burning a try."""


class RefusedForGood(AirflowError):
    """Airflow will not do this however often it is asked; a person must look."""

    code = "retry_refused"


def note_of(job: RetryJob) -> str:
    """What Airflow shows beside the instances: who retried them, and why."""
    return f"Mapboard {job.action.replace('_', ' as ')} {job.short_id} by {job.username}: {job.reason}"[:LONGEST_NOTE]


def by_key(rows: Iterable[TaskInstance]) -> Rows:
    return {(row.task_id, row.map_index): row for row in rows}


def write_down_others(run: RetryRun, kind: ChunkKind, rows: Iterable[TaskInstance], *, resets_run: bool) -> RetryChunk:
    """The row of a request that clears instances which are no items. Call it fenced."""
    before: dict[str, dict[str, str]] = {}
    for row in rows:
        before.setdefault(row.task_id, {})[str(row.map_index)] = row.id
    instances = sum(len(ids) for ids in before.values())
    return RetryChunk.objects.create(
        run=run,
        kind=kind,
        resets_run=resets_run,
        instances=instances,
        before=before,
        unsure_until=unsure_until(instances),
    )


def unsure_until(instances: int) -> datetime:
    """When a request that is written down now can no longer change anything, whatever becomes of its worker.

    It leaves within one time-out or not at all, is given up on after its own, and may be worked on by Airflow for a
    while after that.
    """
    seconds = settings.AIRFLOW_TIMEOUT_SECONDS + clear_timeout(instances) + settings.RETRY_UNSURE_SECONDS
    return database_now() + timedelta(seconds=seconds)


def clear_timeout(instances: int) -> float:
    """Seconds until Airflow's answer is given up on."""
    return max(settings.AIRFLOW_TIMEOUT_SECONDS, SECONDS_FOR_A_CLEAR + SECONDS_FOR_AN_INSTANCE * instances)


def clear(
    job: RetryJob, chunk: RetryChunk, targets: Sequence[Target], airflow: Airflow, claim: Claim
) -> Sequence[TaskInstance]:
    """Send what was written down as this chunk, and write down what can be said of it when it goes wrong.

    Raises AirflowError: Conflict when something of it runs, RefusedForGood when a person must look.
    """
    run = chunk.run
    began = time.monotonic()
    try:
        rows = airflow.instances.clear(
            run.dag_id,
            run.run_id,
            targets,
            dry_run=False,
            reset_dag_runs=chunk.resets_run,
            run_on_latest_version=job.run_on_latest_version,
            note=note_of(job),
            patience=Patience(clear_timeout(chunk.instances), settings.AIRFLOW_TIMEOUT_SECONDS),
        )
    except NotSent as error:
        mark_unsent(claim, chunk, str(error))
        raise
    except MAY_HAVE_WORKED as error:
        if isinstance(error, TimedOut):
            too_slow(job, chunk)
        mark_unsure(claim, chunk, error)
        raise
    except Rejected as error:
        mark_unsent(claim, chunk, error.detail)
        if chunk.kind != ChunkKind.ITEMS or error.retryable or error.status in _TOLD_APART:
            raise
        raise RefusedForGood(str(error)) from error
    chunk.seconds = time.monotonic() - began
    answered_in(job, chunk, chunk.seconds)
    return rows


_TOLD_APART: Final = frozenset({401, 403, 404, 409})
"""Refusals that the caller knows what to do about."""


def mark_sent(claim: Claim, chunk: RetryChunk, items: list[RetryItem]) -> None:
    """Airflow has cleared the chunk; ``items`` are those of its own that it has. Raises ClaimLost."""
    now = database_now()
    with claim.fenced():
        _leave_sending(chunk, state=ChunkState.SENT, sent_at=now, seconds=chunk.seconds)
        sending = RetryItem.objects.filter(chunk=chunk, state=ItemState.SENDING)
        sending.filter(pk__in=[item.pk for item in items]).update(state=ItemState.SENT, sent_at=now)
        sending.update(state=ItemState.REFUSED, why=_("Airflow did not clear it"), settled_at=now)
        if chunk.resets_run:
            RetryRun.objects.filter(pk=chunk.run_id).update(hanging=False)
        RetryJob.objects.filter(pk=claim.job_id).update(last_chunk_at=now, progress_at=now, version=F("version") + 1)


def mark_unsent(claim: Claim, chunk: RetryChunk, message: str) -> None:
    """Airflow certainly did nothing: the items wait for another chunk. Raises ClaimLost."""
    with claim.fenced():
        _leave_sending(chunk, state=ChunkState.UNSENT, message=message)
        RetryItem.objects.filter(chunk=chunk, state=ItemState.SENDING).update(state=ItemState.PENDING, chunk=None)
        _restore_hanging(chunk)


def mark_unsure(claim: Claim, chunk: RetryChunk, error: AirflowError) -> None:
    """Our request ended without a usable answer: look at Airflow's rows before anything else is sent.

    Raises ClaimLost.
    """
    until = database_now() + timedelta(seconds=settings.RETRY_UNSURE_SECONDS)
    with claim.fenced():
        _leave_sending(chunk, message=str(error), unsure_until=until)


def settle_items(claim: Claim, job: RetryJob, why_by_item: dict[int, str], state: ItemState) -> None:
    """Give unsent items of the job their final state, each with its reason. Raises ClaimLost."""
    by_why: dict[str, list[int]] = {}
    for pk, why in why_by_item.items():
        by_why.setdefault(why[:LONGEST_WHY], []).append(pk)
    now = database_now()
    with claim.fenced():
        for why, pks in by_why.items():
            for start in range(0, len(pks), 500):
                RetryItem.objects.filter(pk__in=pks[start : start + 500], state=ItemState.PENDING).update(
                    state=state, why=why, settled_at=now
                )
        RetryJob.objects.filter(pk=job.pk).update(progress_at=now, version=F("version") + 1)


def _leave_sending(chunk: RetryChunk, **changes: object) -> None:
    """One conditional update: what became of a request is written down once."""
    if not RetryChunk.objects.filter(pk=chunk.pk, state=ChunkState.SENDING).update(**changes):
        raise ClaimLost


def _restore_hanging(chunk: RetryChunk) -> None:
    """A run hangs only while something sent without restarting it waits."""
    sent = RetryChunk.objects.filter(run=chunk.run_id, state=ChunkState.SENT).order_by("pk")
    last_reset = sent.filter(resets_run=True).last()
    since = sent.filter(resets_run=False, pk__gt=last_reset.pk if last_reset else 0)
    RetryRun.objects.filter(pk=chunk.run_id).update(hanging=since.exists())
