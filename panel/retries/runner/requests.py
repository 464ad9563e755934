"""The requests to Airflow that a job is made of, and how far to trust their answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import AirflowError, BadPayload, ServerFault, TaskInstance, Unreachable
from panel.domain import states
from panel.retries.models import LONGEST_WHY, RetryChunk, RetryItem, RetryJob, RetryRun
from panel.retries.states import ChunkState, ItemState

Key = tuple[str, int]
Rows = dict[Key, TaskInstance]

LONGEST_NOTE: Final = 1_000
UNSURE_AFTER_KILL: Final = timedelta(seconds=180)
"""Longer than a request may take from the moment it was written down: until then a killed worker's may still arrive."""
UNSURE_AFTER_ERROR: Final = timedelta(seconds=60)
"""Our request has ended without an answer; Airflow may still be committing it."""
MAY_HAVE_WORKED: Final = (Unreachable, ServerFault, BadPayload)
"""Errors of a clear after which only Airflow's rows tell whether it happened."""
CALM: Final = states.CLEARABLE | {None, states.REMOVED}
"""States in which a downstream instance may be cleared without racing its process or burning a try."""


class RefusedForGood(AirflowError):
    """Airflow will not do this however often it is asked; a person must look."""

    code = "retry_refused"


def note_of(job: RetryJob) -> str:
    """What Airflow shows beside the instances: who retried them, and why."""
    return f"Mapboard retry {job.short_id} by {job.username}: {job.reason}"[:LONGEST_NOTE]


def by_key(rows: list[TaskInstance]) -> Rows:
    return {(row.task_id, row.map_index): row for row in rows}


def mark_sent(chunk: RetryChunk, items: list[RetryItem]) -> None:
    """Airflow has cleared the chunk; ``items`` are those of its own that it has."""
    now = timezone.now()
    with transaction.atomic():
        RetryItem.objects.filter(pk__in=[item.pk for item in items], state=ItemState.SENDING).update(
            state=ItemState.SENT, sent_at=now
        )
        RetryItem.objects.filter(chunk=chunk, state=ItemState.SENDING).update(
            state=ItemState.REFUSED, why=_("Airflow did not clear it"), settled_at=now
        )
        RetryChunk.objects.filter(pk=chunk.pk).update(state=ChunkState.SENT, sent_at=now)
        if chunk.resets_run:
            RetryRun.objects.filter(pk=chunk.run_id).update(hanging=False)
        RetryJob.objects.filter(pk=chunk.run.job_id).update(
            last_chunk_at=now, progress_at=now, version=F("version") + 1
        )


def mark_unsent(chunk: RetryChunk, message: str) -> None:
    """Airflow certainly did nothing: the items wait for another chunk."""
    with transaction.atomic():
        RetryItem.objects.filter(chunk=chunk, state=ItemState.SENDING).update(state=ItemState.PENDING, chunk=None)
        RetryChunk.objects.filter(pk=chunk.pk).update(state=ChunkState.UNSENT, message=message)
        _restore_hanging(chunk)


def mark_unsure(chunk: RetryChunk, error: AirflowError) -> None:
    """Our request ended without a usable answer: look at Airflow's rows before anything else is sent."""
    RetryChunk.objects.filter(pk=chunk.pk).update(message=str(error), unsure_until=timezone.now() + UNSURE_AFTER_ERROR)


def settle_items(job: RetryJob, why_by_item: dict[int, str], state: ItemState) -> None:
    """Give unsent items of the job their final state, each with its reason."""
    by_why: dict[str, list[int]] = {}
    for pk, why in why_by_item.items():
        by_why.setdefault(why[:LONGEST_WHY], []).append(pk)
    with transaction.atomic():
        for why, pks in by_why.items():
            for start in range(0, len(pks), 500):
                RetryItem.objects.filter(pk__in=pks[start : start + 500], state=ItemState.PENDING).update(
                    state=state, why=why, settled_at=timezone.now()
                )
        RetryJob.objects.filter(pk=job.pk).update(progress_at=timezone.now(), version=F("version") + 1)


def _restore_hanging(chunk: RetryChunk) -> None:
    """A run hangs only while something sent without restarting it waits."""
    sent = RetryChunk.objects.filter(run=chunk.run_id, state=ChunkState.SENT).order_by("pk")
    last_reset = sent.filter(resets_run=True).last()
    since = sent.filter(resets_run=False, pk__gt=last_reset.pk if last_reset else 0)
    RetryRun.objects.filter(pk=chunk.run_id).update(hanging=since.exists())
