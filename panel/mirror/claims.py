"""Claims: one worker at a time at one row of the mirror, over all processes, without row locks.

A claim is a time in ``claimed_until`` that only its holder knows exactly: a conditional update takes it, renews it and
gives it back. One whose holder died simply expires.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from panel.airflow import AirflowError
from panel.mirror.models import Synced

Row = TypeVar("Row", bound=Synced)

CLAIM_SECONDS: Final = 120.0
"""Longer than the slowest single call; work that takes longer renews its claim between calls."""
FIRST_BACKOFF_SECONDS: Final = 5.0
MOST_BACKOFF_SECONDS: Final = 300.0
MESSAGE_LENGTH: Final = 1_000
WAKE_AGAIN: Final = timedelta(seconds=60)
"""What was woken is not woken again so soon: the message is in the broker's queue, or it got lost."""


class ClaimLost(Exception):
    """The claim expired and somebody else has the row: stop, and write nothing more."""


class Claim(Generic[Row]):
    """A row that is ours for a while."""

    def __init__(self, row: Row, until: datetime) -> None:
        self.row = row
        self._until = until
        self.started_at = timezone.now()

    def renew(self) -> None:
        """Hold it for the full time again. Raises ClaimLost."""
        until = _until()
        if not self._ours().update(claimed_until=until):
            raise ClaimLost
        self._until = until

    def succeed(self, *, due_at: datetime | None, **values: Any) -> None:
        """Give it back after a read that went well; without ``due_at`` no change is expected. Raises ClaimLost."""
        self._give_back(
            due_at=due_at, synced_at=timezone.now(), failed_reads=0, last_error="", last_error_code="", **values
        )

    def fail(self, error: AirflowError, *, most_seconds: float = MOST_BACKOFF_SECONDS) -> None:
        """Give it back after a read that failed: what is known stays, the next try comes later each time.

        Raises ClaimLost.
        """
        failed = self.row.failed_reads + 1
        seconds = min(most_seconds, FIRST_BACKOFF_SECONDS * 2 ** min(failed - 1, 10))
        self._give_back(
            due_at=timezone.now() + timedelta(seconds=seconds),
            failed_reads=failed,
            last_error=str(error)[:MESSAGE_LENGTH],
            last_error_code=error.code,
        )

    def release(self) -> None:
        """Give it back unchanged, to be taken up again by the next sweep."""
        self._ours().update(claimed_until=None)

    def _give_back(self, **values: Any) -> None:
        if not self._ours().update(claimed_until=None, **values):
            raise ClaimLost
        for name, value in values.items():
            setattr(self.row, name, value)

    def _ours(self) -> Any:
        return type(self.row)._default_manager.filter(pk=self.row.pk, claimed_until=self._until)


def claim(row: Row) -> Claim[Row] | None:
    """The claim on this row, read afresh; ``None`` while somebody else has it or when it is gone."""
    rows = type(row)._default_manager.filter(pk=row.pk)
    until = _until()
    if not rows.filter(unclaimed()).update(claimed_until=until):
        return None
    row.refresh_from_db()
    return Claim(row, until)


def unclaimed() -> Q:
    return Q(claimed_until=None) | Q(claimed_until__lt=timezone.now())


def due() -> Q:
    """Rows whose time has come and that nobody is at."""
    return unclaimed() & Q(due_at__lte=timezone.now())


def take_due(rows: QuerySet[Any], most: int) -> list[Any]:
    """The rows that are due longest, to be woken; put off so that nobody wakes them again at once.

    Two who take at the same time share: each takes what the other has not, by a conditional update.
    """
    later = timezone.now() + WAKE_AGAIN
    waiting = rows.filter(due()).order_by(F("due_at").asc(), "pk")[:most]
    model = rows.model._default_manager
    return [row for row in waiting if model.filter(pk=row.pk, due_at=row.due_at).update(due_at=later)]


def bring_forward(rows: Any, moment: datetime) -> int:
    """Make these rows due at ``moment`` unless they are due earlier; how many that changed."""
    changed: int = rows.filter(Q(due_at=None) | Q(due_at__gt=moment)).update(due_at=moment)
    return changed


def _until() -> datetime:
    return timezone.now() + timedelta(seconds=CLAIM_SECONDS)
