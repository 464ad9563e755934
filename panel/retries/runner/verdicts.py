"""When too many failed again: of the careful first part, or of everything so far. A person then decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db.models import Count, F, Q
from django.utils.translation import ngettext

from panel.retries.models import RetryItem, RetryJob
from panel.retries.runner.claims import Claim
from panel.retries.states import OPEN_ITEMS, SENDING_JOBS, ItemState, JobState
from panel.ui.words import limit_words

FEWEST_RESULTS: Final = 10
"""Fewer results stop no job, unless they are all of a wave."""


@dataclass(frozen=True, slots=True)
class FirstPart:
    """The careful first part of a job: how many of it are still to be sent, have not ended, were sent, and failed
    again or were lost.
    """

    pending: int
    open: int
    sent: int
    bad: int

    @classmethod
    def of(cls, job: RetryJob) -> FirstPart | None:
        """``None`` where there is none, or where it is over."""
        if not job.is_careful or job.canary_passed:
            return None
        was_sent = Q(sent_at__isnull=False)
        return cls(
            **RetryItem.objects.filter(job=job, canary=True).aggregate(
                pending=Count("pk", filter=Q(state=ItemState.PENDING)),
                open=Count("pk", filter=Q(state__in=OPEN_ITEMS)),
                sent=Count("pk", filter=was_sent),
                bad=Count("pk", filter=was_sent & Q(state__in=[ItemState.FAILED_AGAIN, ItemState.LOST])),
            )
        )

    @property
    def is_under_way(self) -> bool:
        """All of it was sent, and not all of it has ended."""
        return self.open > 0 and not self.pending


def pause_when_too_many_failed(job: RetryJob, first: FirstPart | None, claim: Claim) -> bool:
    """Judge the results there are. True when the job was paused; what was sent is not affected."""
    return (first is not None and _too_many_first(job, first, claim)) or _too_many_so_far(job, claim)


def _too_many_first(job: RetryJob, first: FirstPart, claim: Claim) -> bool:
    if first.open:
        return False
    allowed = job.canary_max_failure_rate or 0.0
    if first.sent and first.bad / first.sent > allowed:
        reason = ngettext(
            "The first index failed again. Resume to retry the rest anyway.",
            "%(bad)s of the first %(sent)s failed again, more than %(allowed)s. Resume to retry the rest anyway.",
            first.sent,
        )
        numbers = {"bad": first.bad, "sent": first.sent, "allowed": limit_words(allowed)}
        return _pause(job, claim, reason % numbers)
    with claim.fenced():
        RetryJob.objects.filter(pk=job.pk).update(canary_passed=True)
    job.canary_passed = True
    return False


def _too_many_so_far(job: RetryJob, claim: Claim) -> bool:
    allowed = job.stop_failure_rate
    if allowed is None or not RetryItem.objects.filter(job=job, state=ItemState.PENDING).exists():
        return False
    sent = RetryItem.objects.filter(job=job, canary=False).exclude(sent_at=None)
    ended = sent.exclude(state__in=OPEN_ITEMS)
    if job.counts_from is not None:
        ended = ended.filter(settled_at__gt=job.counts_from)
    results = ended.count()
    bad = ended.filter(state__in=[ItemState.FAILED_AGAIN, ItemState.LOST]).count()
    wave_is_over = bool(job.wave_size) and not sent.filter(state__in=OPEN_ITEMS).exists()
    if not results or bad / results <= allowed or not (results >= FEWEST_RESULTS or wave_is_over):
        return False
    reason = ngettext(
        "The only index that ended failed again, more than %(allowed)s. "
        "Resume to retry the rest anyway; counting then begins anew.",
        "%(bad)s of the %(results)s indices that ended failed again, more than %(allowed)s. "
        "Resume to retry the rest anyway; counting then begins anew.",
        results,
    )
    return _pause(job, claim, reason % {"bad": bad, "results": results, "allowed": limit_words(allowed)})


def _pause(job: RetryJob, claim: Claim, reason: str) -> bool:
    sending = RetryJob.objects.filter(pk=job.pk, state__in=SENDING_JOBS)
    with claim.fenced():
        return bool(sending.update(state=JobState.PAUSED, state_reason=reason, version=F("version") + 1))
