"""Which worker works on a job: a claim by conditional update, which expires when its worker is killed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from panel.retries.models import RetryJob

LEASE: Final = timedelta(seconds=90)
"""Longer than one request to Airflow takes; a killed worker's job waits at most so long for the next one."""


class ClaimLost(Exception):
    """Another worker has the job: this one was too slow. Nothing more may be sent."""


@dataclass(slots=True)
class Claim:
    """``until`` is what marks the claim as ours, so every renewal is compared with it."""

    job_id: UUID
    until: datetime

    @classmethod
    def take(cls, job_id: UUID) -> Claim | None:
        """``None`` when another worker has it, or there is no such job."""
        now = timezone.now()
        free = Q(claimed_until=None) | Q(claimed_until__lte=now)
        until = now + LEASE
        taken = RetryJob.objects.filter(free, pk=job_id).update(claimed_until=until)
        return cls(job_id, until) if taken else None

    def keep(self) -> None:
        """Renew for another LEASE. Raises ClaimLost."""
        until = timezone.now() + LEASE
        if not RetryJob.objects.filter(pk=self.job_id, claimed_until=self.until).update(claimed_until=until):
            raise ClaimLost
        self.until = until

    def release(self, next_at: datetime | None, *, state: str) -> None:
        """Let go. A job that a person moved meanwhile (it is no longer in ``state``) is due at once."""
        ours = RetryJob.objects.filter(pk=self.job_id, claimed_until=self.until)
        if not ours.filter(state=state).update(claimed_until=None, next_at=next_at):
            ours.update(claimed_until=None, next_at=timezone.now())
