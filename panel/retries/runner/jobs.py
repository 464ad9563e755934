"""One job, step by step: find out what became of unsure requests, send, close, watch, finish."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import F
from django.utils.translation import gettext as _

from panel.airflow import Airflow, AirflowError, Forbidden, Unauthorized, Unsupported
from panel.clock import database_now
from panel.retries import selectors
from panel.retries.models import RetryItem, RetryJob, RetryRun
from panel.retries.runner.claims import Claim, ClaimLost
from panel.retries.runner.closing import close_run, release_run, runs_to_close
from panel.retries.runner.finishing import finish
from panel.retries.runner.gates import Wait, note_wait, sendable, what_to_wait_for
from panel.retries.runner.marking import mark_next
from panel.retries.runner.requests import RefusedForGood, settle_items
from panel.retries.runner.resolving import resolve_chunks
from panel.retries.runner.sending import send_next
from panel.retries.runner.verdicts import FirstPart, pause_when_too_many_failed
from panel.retries.runner.watching import watch
from panel.retries.states import SENDING_JOBS, ItemState, JobState, WaitsFor
from panel.servers.client import open_client
from panel.wake import wake

SLICE_SECONDS: Final = 30.0
"""A worker goes on to other tasks after this long; the job is woken again at once."""
LONGEST_BACKOFF_SECONDS: Final = 60
DUE_A_SWEEP: Final = 100
NEVER_FORGOTTEN: Final = timedelta(minutes=1)
"""How soon a job that is not over is looked at again when nothing names a moment."""
OVER_FOR_ITEMS: Final = frozenset({JobState.CANCELLED, JobState.FAILED})
ON_ITS_OWN: Final = [*SENDING_JOBS, JobState.WATCHING]
"""States whose reason is the worker's to say; in the others it tells what a person did."""


def wake_due_jobs() -> int:
    """Wake every job that is due; how many."""
    due = [str(job_id) for job_id in selectors.due_jobs().values_list("pk", flat=True)[:DUE_A_SWEEP]]
    for job_id in due:
        wake("retries.run_job", job_id)
    return len(due)


def run_job(job_id: UUID) -> None:
    """Work on this job as long as there is something to do now. Returns at once when another worker does."""
    claim = Claim.take(job_id)
    if claim is None:
        return
    started = time.monotonic()
    try:
        while True:
            claim.keep()
            job = selectors.job(job_id)
            next_at = _step(job, claim)
            due_now = next_at is not None and next_at <= database_now()
            if not due_now or time.monotonic() - started > SLICE_SECONDS:
                break
    except ClaimLost:
        return
    claim.release(next_at, seen=job.next_at)
    if due_now:
        wake("retries.run_job", str(job_id))


def _step(job: RetryJob, claim: Claim) -> datetime | None:
    """Do the next thing; when to look again, ``None`` for never."""
    if job.state == JobState.SCHEDULED and job.not_before and job.not_before > database_now():
        return job.not_before
    try:
        with open_client(job.server) as airflow:
            next_at = _next(job, claim, airflow)
    except (Unauthorized, Forbidden, Unsupported, RefusedForGood) as error:
        return _stop(job, claim, str(error))
    except AirflowError as error:
        return _look_later(
            job, claim, _("Airflow could not be asked; this goes on by itself. %(error)s") % {"error": error}
        )
    if job.failures_in_a_row:
        answered = RetryJob.objects.filter(pk=job.pk)
        with claim.fenced():
            answered.update(failures_in_a_row=0, version=F("version") + 1)
            answered.filter(state__in=ON_ITS_OWN).update(state_reason="")
    return next_at


def _next(job: RetryJob, claim: Claim, airflow: Airflow) -> datetime | None:
    if unsure_until := resolve_chunks(job, airflow, claim):
        return unsure_until
    if job.state in OVER_FOR_ITEMS:
        _give_up_the_rest(job, claim)
    wait: Wait | None = None
    goes_on_at = None
    if job.state in {JobState.SCHEDULED, *SENDING_JOBS}:
        _start(job)
        if job.starts_at_once:
            watch(job, airflow, claim)  # the results so far decide whether and when more is sent
        first = FirstPart.of(job)
        if pause_when_too_many_failed(job, first, claim):
            return database_now()
        wait = what_to_wait_for(job, first)
        run = _run_to_send(job)
        if run is not None:
            _close(job, airflow, claim)  # one that has to wait, or is refused, is closed later: the next goes meanwhile
        if run is not None and wait is None:
            note_wait(job, None, claim)
            goes_on_at = (mark_next if job.marks_as else send_next)(job, run, airflow, claim)
            if goes_on_at is None:
                return database_now()
    closing, refusals = _close(job, airflow, claim)
    refusals += _release(job, airflow, claim, held_up=goes_on_at is not None)
    closes_at = min((moment for moment in closing if moment is not None), default=None)
    note_wait(job, wait or (Wait(WaitsFor.DOWNSTREAM) if closes_at and job.starts_at_once else None), claim)
    moments = [goes_on_at, closes_at, wait.look_at if wait else None, watch(job, airflow, claim)]
    if refusals:
        raise refusals[0]
    finish(job, claim)
    return min((moment for moment in moments if moment is not None), default=None) or _not_forgotten(job)


def _close(job: RetryJob, airflow: Airflow, claim: Claim) -> tuple[list[datetime | None], list[AirflowError]]:
    """When to go on with runs that have to wait, and what was refused: no run holds up another."""
    waits: list[datetime | None] = []
    refusals: list[AirflowError] = []
    for run in runs_to_close(job):
        try:
            waits.append(close_run(job, run, airflow, claim))
        except AirflowError as error:
            refusals.append(error)
    return waits, refusals


def _release(job: RetryJob, airflow: Airflow, claim: Claim, *, held_up: bool) -> list[AirflowError]:
    """Start what waits in a finished run, where no further request of this job will do so soon; what was refused."""
    hanging = RetryRun.objects.filter(job=job, hanging=True)
    refusals = []
    for run in hanging if held_up or job.state == JobState.PAUSED else hanging.exclude(closed_at=None):
        try:
            release_run(job, run, airflow, claim)
        except AirflowError as error:
            refusals.append(error)
    return refusals


def _give_up_the_rest(job: RetryJob, claim: Claim) -> None:
    """Items whose request was under way when the job was cancelled, and never arrived."""
    pending = RetryItem.objects.filter(job=job, state=ItemState.PENDING).values_list("pk", flat=True)
    if unsent := dict.fromkeys(pending, job.state_reason):
        settle_items(claim, job, unsent, ItemState.CANCELLED)


def _not_forgotten(job: RetryJob) -> datetime | None:
    unfinished = RetryJob.objects.filter(pk=job.pk, finished_at=None).exclude(state=JobState.PAUSED)
    return database_now() + NEVER_FORGOTTEN if unfinished.exists() else None


def _start(job: RetryJob) -> None:
    now = database_now()
    RetryJob.objects.filter(pk=job.pk, started_at=None).update(started_at=now, progress_at=now)
    started = RetryJob.objects.filter(pk=job.pk, state__in=[JobState.PLANNED, JobState.SCHEDULED]).update(
        state=JobState.RUNNING, version=F("version") + 1
    )
    if started:
        job.state = JobState.RUNNING


def _run_to_send(job: RetryJob) -> RetryRun | None:
    first = sendable(job).select_related("target__run").first()
    return first.target.run if first else None


def _stop(job: RetryJob, claim: Claim, problem: str) -> datetime:
    """Airflow will not do it until a person changes something: wait for that person, losing nothing."""
    reason = _("Airflow refused. Put that right, then resume the job. %(problem)s") % {"problem": problem}
    sending = RetryJob.objects.filter(pk=job.pk, state__in=SENDING_JOBS)
    with claim.fenced():
        stopped = sending.update(state=JobState.PAUSED, state_reason=reason, version=F("version") + 1)
    return database_now() if stopped else _look_later(job, claim, reason)


def _look_later(job: RetryJob, claim: Claim, reason: str) -> datetime:
    """Note why it does not go on, and wait longer each time. Such time is none in which nothing happened."""
    failures = job.failures_in_a_row + 1
    changed = RetryJob.objects.filter(pk=job.pk)
    with claim.fenced():
        changed.update(failures_in_a_row=failures, progress_at=database_now(), version=F("version") + 1)
        changed.filter(state__in=ON_ITS_OWN).update(state_reason=reason)
    return database_now() + timedelta(seconds=min(2**failures, LONGEST_BACKOFF_SECONDS))
