"""The careful first part of a job: a few indices go first, the rest only if few enough of them failed again."""

from __future__ import annotations

from enum import Enum, auto

from django.db.models import F
from django.utils.translation import gettext as _

from panel.retries.models import RetryItem, RetryJob
from panel.retries.runner.claims import Claim
from panel.retries.states import OPEN_ITEMS, SENDING_JOBS, ItemState, JobState


class CanaryGate(Enum):
    OPEN = auto()  # send on
    WAIT = auto()  # the first indices have no results yet
    STOP = auto()  # too many failed again: the job was paused


def canary_gate(job: RetryJob, claim: Claim) -> CanaryGate:
    """Whether the next chunk may go; pauses the job when too many of the first indices failed again."""
    if job.canary is None or job.canary_passed:
        return CanaryGate.OPEN
    first = RetryItem.objects.filter(job=job, canary=True)
    if first.filter(state=ItemState.PENDING).exists():
        return CanaryGate.OPEN
    if first.filter(state__in=OPEN_ITEMS).exists():
        return CanaryGate.WAIT
    sent = first.exclude(sent_at=None).count()
    bad = first.filter(state__in=[ItemState.FAILED_AGAIN, ItemState.LOST]).exclude(sent_at=None).count()
    allowed = job.canary_max_failure_rate or 0.0
    if sent and bad / sent > allowed:
        return _stopped(job, claim, bad, sent, allowed)
    with claim.fenced():
        RetryJob.objects.filter(pk=job.pk).update(canary_passed=True)
    job.canary_passed = True
    return CanaryGate.OPEN


def _stopped(job: RetryJob, claim: Claim, bad: int, sent: int, allowed: float) -> CanaryGate:
    reason = _("%(bad)s of the first %(sent)s failed again, more than %(allowed)s%%. Resume to retry the rest anyway.")
    words = reason % {"bad": bad, "sent": sent, "allowed": f"{allowed * 100:g}"}
    with claim.fenced():
        RetryJob.objects.filter(pk=job.pk, state__in=SENDING_JOBS).update(
            state=JobState.PAUSED, state_reason=words, version=F("version") + 1
        )
    return CanaryGate.STOP
