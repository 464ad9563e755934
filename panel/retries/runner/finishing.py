"""The ends of a job's life: everything sent, every item settled."""

from __future__ import annotations

from django.db.models import F
from django.utils.translation import gettext as _

from panel.clock import database_now
from panel.retries import selectors
from panel.retries.mailing import mail_at_end
from panel.retries.models import RetryItem, RetryJob, RetryRun
from panel.retries.runner.claims import Claim
from panel.retries.runner.rounds import plan_next_round
from panel.retries.states import OPEN_ITEMS, SENDING_JOBS, ItemState, JobState


def finish(job: RetryJob, claim: Claim) -> None:
    """Move the job on: watching once everything is sent, done (or failed) once every item has its final state."""
    with claim.fenced():
        _finish(job)


def _finish(job: RetryJob) -> None:
    items = RetryItem.objects.filter(job=job)
    if items.filter(state__in=[ItemState.PENDING, ItemState.SENDING]).exists():
        return
    if RetryRun.objects.filter(job=job, closed_at=None).exists():
        return
    _move(job, JobState.WATCHING, "", [*SENDING_JOBS, JobState.PAUSED])
    if items.filter(state__in=OPEN_ITEMS).exists():
        return
    state, reason = _ending(job)
    if _move(job, state, reason, [JobState.WATCHING]) and state == JobState.DONE:
        RetryJob.objects.filter(pk=job.pk).update(state_reason=plan_next_round(job))
    unfinished = RetryJob.objects.filter(pk=job.pk, finished_at=None)
    if unfinished.update(finished_at=database_now(), version=F("version") + 1):
        mail_at_end(job)


def _move(job: RetryJob, to: JobState, reason: str, from_states: list[JobState]) -> bool:
    moved = RetryJob.objects.filter(pk=job.pk, state__in=from_states).update(
        state=to, state_reason=reason, version=F("version") + 1
    )
    return bool(moved)


def _ending(job: RetryJob) -> tuple[JobState, str]:
    """Failed is a job of which nothing could be sent because Airflow would not have it."""
    counts = selectors.counts(job)
    sent = RetryItem.objects.filter(job=job).exclude(sent_at=None).exists()
    if sent or not (counts[ItemState.LOST] or counts[ItemState.REFUSED]):
        return JobState.DONE, ""
    why = next(
        (why for state, why, _count in selectors.reasons(job) if state in {ItemState.LOST, ItemState.REFUSED}), ""
    )
    return JobState.FAILED, _("Nothing could be sent. %(why)s") % {"why": why}
