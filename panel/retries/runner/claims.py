"""Which worker works on a job: a claim by conditional update, with an owner and an end.

The end lets the next worker go on when one was killed. The owner is what every write of a worker is fenced by: one
that was too slow, and whose job another has by now, finds out before it changes anything.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from panel.clock import database_now
from panel.retries.models import RetryJob
from panel.retries.selectors import unclaimed


class ClaimLost(Exception):
    """Another worker has the job: this one was too slow. Nothing more may be sent or written."""


def lease() -> timedelta:
    """Longer than one request to Airflow takes; a killed worker's job waits at most so long for the next one."""
    return timedelta(seconds=settings.RETRY_LEASE_SECONDS)


@dataclass(frozen=True, slots=True)
class Claim:
    """``owner`` is told to nobody else, so whoever finds it in the row has the job."""

    job_id: UUID
    owner: str

    @classmethod
    def take(cls, job_id: UUID) -> Claim | None:
        """``None`` when another worker has it, or there is no such job."""
        now = database_now()
        owner = f"{socket.gethostname()[:50]}:{os.getpid()}:{uuid.uuid4().hex}"
        free = RetryJob.objects.filter(unclaimed(now), pk=job_id)
        return cls(job_id, owner) if free.update(claimed_until=now + lease(), claimed_by=owner) else None

    def keep(self) -> None:
        """Renew for another lease. Raises ClaimLost."""
        ours = RetryJob.objects.filter(pk=self.job_id, claimed_by=self.owner)
        if not ours.update(claimed_until=database_now() + lease()):
            raise ClaimLost

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """A transaction in which the job is ours from beginning to end: nobody can take it meanwhile. Raises ClaimLost.

        Begins with the job's row, as everything does that changes a job and its items: two that meet wait for each
        other and do not dead-lock.
        """
        with transaction.atomic():
            self.keep()
            yield

    def release(self, next_at: datetime | None, *, seen: datetime | None) -> None:
        """Let go. A job that a person moved meanwhile (``next_at`` is no longer what was ``seen``) is due at once."""
        ours = RetryJob.objects.filter(pk=self.job_id, claimed_by=self.owner)
        untouched = ours.filter(next_at=seen) if seen is not None else ours.filter(next_at=None)
        if not untouched.update(claimed_until=None, claimed_by="", next_at=next_at):
            ours.update(claimed_until=None, claimed_by="", next_at=database_now())
