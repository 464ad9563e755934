"""Yielding to an Airflow that answers slowly: smaller chunks, and a pause as long as the answer took."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from panel.retries.models import FIRST_CHUNK, RetryChunk, RetryJob
from panel.retries.states import ChunkState

SLOW_SECONDS: Final = 10.0
"""A full chunk takes about 3 s (AIRFLOW.md §5); one that takes so long keeps everybody else waiting."""
QUICK_SECONDS: Final = 4.0
SMALLEST: Final = 10
LONGEST_PAUSE: Final = 60.0


def chunk_size(job: RetryJob) -> int:
    """How many instances the next request may clear."""
    size = min(job.chunk_size, job.chunk_now or job.chunk_size)
    return size if job.last_chunk_at or job.chunks_per_minute else min(size, FIRST_CHUNK)


def answered_in(job: RetryJob, chunk: RetryChunk, seconds: float) -> None:
    """Learn from an answer: halve after a slow one, double after a quick one until the job's own size is reached."""
    if seconds > SLOW_SECONDS:
        too_slow(job, chunk)
    elif seconds < QUICK_SECONDS and job.chunk_now is not None:
        more = job.chunk_now * 2
        _store(job, more if more < job.chunk_size else None)


def too_slow(job: RetryJob, chunk: RetryChunk) -> None:
    _store(job, min(chunk_size(job), max(SMALLEST, min(chunk.instances, chunk_size(job)) // 2)))


def pause_until(job: RetryJob) -> datetime | None:
    """When the next request may go after a slow answer."""
    last = RetryChunk.objects.filter(run__job=job, state=ChunkState.SENT).order_by("-pk").first()
    if last is None or last.sent_at is None or (last.seconds or 0) <= SLOW_SECONDS:
        return None
    return last.sent_at + timedelta(seconds=min(last.seconds or 0, LONGEST_PAUSE))


def _store(job: RetryJob, size: int | None) -> None:
    RetryJob.objects.filter(pk=job.pk).update(chunk_now=size)
    job.chunk_now = size
