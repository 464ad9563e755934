"""What happens next with a job: the one place that says what it waits for now, and until when.

``_SAYINGS`` are asked in order, and the first that has something to say is shown: on the job's page, by REST and in no
other words anywhere else. A policy that makes a job wait adds its saying here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.clock import database_now
from panel.retries import selectors
from panel.retries.models import RetryJob
from panel.retries.states import SENDING_JOBS, ItemState, JobState, WaitsFor
from panel.retries.waiting import waiting_words
from panel.ui.words import grouped_words

FORGOTTEN: Final = timedelta(seconds=90)
"""A job that is due for so long and that nobody works on: no worker runs, or all are busy. Longer than a lease."""
FAR: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Outlook:
    """``until``: when that ends, where it is known, and ``left`` how long that is from now. ``needs_person``: nothing
    goes on by itself.
    """

    text: str
    until: datetime | None = None
    needs_person: bool = False
    left: timedelta | None = None

    @property
    def is_ahead(self) -> bool:
        return self.left is not None and self.left > timedelta(0)

    @property
    def is_far(self) -> bool:
        """One wants the time by the clock, too."""
        return self.left is not None and self.left > FAR


@dataclass(frozen=True, slots=True)
class Standing:
    """A job as it stands at this ``moment`` of the database's clock, with its items by state."""

    job: RetryJob
    counts: Mapping[str, int]
    moment: datetime


Saying = Callable[[Standing], Outlook | None]


def outlook_of(job: RetryJob, counts: Mapping[str, int]) -> Outlook | None:
    """``None`` for a job that is over. ``counts`` are its items by state."""
    if job.finished_at is not None:
        return None
    now = Standing(job, counts, database_now())
    found = next((found for saying in _SAYINGS if (found := saying(now)) is not None), None)
    if found is None or found.until is None:
        return found
    return replace(found, left=found.until - now.moment)


def _forgotten(now: Standing) -> Outlook | None:
    job, moment = now.job, now.moment
    held = job.claimed_until is not None and job.claimed_until > moment
    if held or job.next_at is None or moment - job.next_at < FORGOTTEN:
        return None
    words = _("No worker has looked after this job for a while. Is one running? Nothing is lost: the next one goes on.")
    return Outlook(words, needs_person=True)


def _paused(now: Standing) -> Outlook | None:
    job, counts = now.job, now.counts
    if job.state != JobState.PAUSED:
        return None
    pending, sent = counts[ItemState.PENDING], counts[ItemState.SENT]
    words = ngettext(
        "Nothing more is sent until somebody resumes it: %(shown)s index waits.",
        "Nothing more is sent until somebody resumes it: %(shown)s indices wait.",
        pending,
    ) % {"shown": grouped_words(pending)}
    if sent:
        words += " " + _results(sent)
    return Outlook(words, needs_person=True)


def _airflow_away(now: Standing) -> Outlook | None:
    job = now.job
    if not job.failures_in_a_row:
        return None
    return Outlook(_("Airflow is asked again; until then nothing is sent and nothing is lost."), job.next_at)


def _planned(now: Standing) -> Outlook | None:
    job = now.job
    if job.state != JobState.PLANNED:
        return None
    return Outlook(_("The first chunk is sent as soon as a worker is free."))


def _unsure(now: Standing) -> Outlook | None:
    job, counts = now.job, now.counts
    if not counts[ItemState.SENDING]:
        return None
    unsure_until = selectors.unsure_until(job)
    if unsure_until is None:
        return None
    words = _(
        "Airflow's answer to a chunk was lost: its rows are read to see whether it was done, before anything else."
    )
    return Outlook(words, unsure_until)


def _waits(now: Standing) -> Outlook | None:
    """What its policy makes it wait for; a task downstream that runs at the moment is the worker's to tell."""
    job = now.job
    words = waiting_words(job)
    if not words or (job.waiting_for == WaitsFor.DOWNSTREAM and job.state_reason):
        return None
    if job.waiting_until is not None and job.waiting_until <= now.moment:
        return None
    return Outlook(words, job.waiting_until)


def _sending(now: Standing) -> Outlook | None:
    job, counts = now.job, now.counts
    left = counts[ItemState.PENDING] + counts[ItemState.SENDING]
    if job.state not in SENDING_JOBS or not left:
        return None
    chunks = -(-left // max(1, job.chunk_size))
    words = ngettext("Sends the last chunk.", "Sends %(shown)s more chunks, one after the other.", chunks)
    return Outlook(words % {"shown": grouped_words(chunks)})


def _hindered(now: Standing) -> Outlook | None:
    """The worker's own words: a paused Dag, an Airflow that is away, a task downstream that runs."""
    job = now.job
    return Outlook(job.state_reason, job.next_at) if job.state_reason and job.state in _WATCHERS else None


def _watching(now: Standing) -> Outlook | None:
    counts = now.counts
    sent = counts[ItemState.SENT]
    return Outlook(_results(sent)) if sent else Outlook(_("Starts what comes after the retried indices."))


def _results(sent: int) -> str:
    words = ngettext(
        "Waits for the result of %(shown)s index that Airflow has.",
        "Waits for the results of %(shown)s indices that Airflow has.",
        sent,
    )
    return words % {"shown": grouped_words(sent)}


_WATCHERS: Final = frozenset({JobState.RUNNING, JobState.WATCHING})
_SAYINGS: Final[tuple[Saying, ...]] = (
    _forgotten,
    _paused,
    _airflow_away,
    _unsure,
    _planned,
    _waits,
    _sending,
    _hindered,
    _watching,
)
