"""When the next chunk may go, and which items it may take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F, Max, Min, QuerySet

from panel.clock import database_now
from panel.retries.models import RetryItem, RetryJob
from panel.retries.policies import Policy
from panel.retries.runner.claims import Claim
from panel.retries.runner.speed import pause_until
from panel.retries.runner.verdicts import FirstPart
from panel.retries.states import OPEN_ITEMS, ItemState, WaitsFor

LOOK_EVERY: Final = timedelta(seconds=3)
"""How soon to look again for results that are waited for."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What the job waits for, and until when; ``None`` where only results tell."""

    reason: WaitsFor
    until: datetime | None = None

    @property
    def look_at(self) -> datetime:
        return self.until or database_now() + LOOK_EVERY


def what_to_wait_for(job: RetryJob, first: FirstPart | None) -> Wait | None:
    """``None`` when the next chunk may go now, or nothing is left to send."""
    if not RetryItem.objects.filter(job=job, state=ItemState.PENDING).exists():
        return None
    if first is not None and first.is_under_way:
        return Wait(WaitsFor.CANARY)
    return _wave(job) or _window(job) or _pace(job) or _slow_answer(job)


def sendable(job: RetryJob) -> QuerySet[RetryItem]:
    """The pending items that may go next, in their order: the careful first part, then wave by wave."""
    pending = RetryItem.objects.filter(job=job, state=ItemState.PENDING).order_by("pk")
    if job.is_careful and not job.canary_passed:
        return pending.filter(canary=True)
    if job.wave_size:
        return pending.filter(wave=_next_wave(job))
    return pending


def note_wait(job: RetryJob, wait: Wait | None, claim: Claim) -> None:
    """Keep for the pages what the job waits for. Raises ClaimLost."""
    reason, until = (wait.reason.value, wait.until) if wait else ("", None)
    if (job.waits_for, job.waits_until) != (reason, until):
        job.waits_for, job.waits_until = reason, until
        with claim.fenced():
            RetryJob.objects.filter(pk=job.pk).update(waits_for=reason, waits_until=until, version=F("version") + 1)


def _next_wave(job: RetryJob) -> int:
    pending = RetryItem.objects.filter(job=job, state=ItemState.PENDING)
    return int(pending.aggregate(wave=Min("wave"))["wave"] or 0)


def _wave(job: RetryJob) -> Wait | None:
    """The wave before must have its results, then comes the pause; one in which nothing was sent needs none."""
    if not job.wave_size:
        return None
    before = RetryItem.objects.filter(job=job, canary=False, wave__lt=_next_wave(job))
    if before.filter(state__in=OPEN_ITEMS).exists():
        return Wait(WaitsFor.WAVE)
    ended = before.exclude(sent_at=None).aggregate(at=Max("settled_at"))["at"]
    return _later(WaitsFor.WAVE_PAUSE, ended, job.wave_pause_seconds or 0)


def _window(job: RetryJob) -> Wait | None:
    hours = Policy.of(job).hours
    opens_at = hours.opens_at(database_now()) if hours else None
    return Wait(WaitsFor.WINDOW, opens_at) if opens_at else None


def _pace(job: RetryJob) -> Wait | None:
    if not job.chunks_per_minute:
        return None
    return _later(WaitsFor.PACE, job.last_chunk_at, 60 / job.chunks_per_minute)


def _slow_answer(job: RetryJob) -> Wait | None:
    rested = pause_until(job)
    return Wait(WaitsFor.SLOW_ANSWER, rested) if rested and rested > database_now() else None


def _later(reason: WaitsFor, since: datetime | None, seconds: float) -> Wait | None:
    until = since + timedelta(seconds=seconds) if since else None
    return Wait(reason, until) if until and until > database_now() else None
