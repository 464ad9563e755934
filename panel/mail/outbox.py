"""Sending what a room has ordered: once, by the worker, again while the mail server is away, in the end given up.

Nothing is sent inside a transaction. A worker that is killed between the mail server's "accepted" and its own note of
that sends again, under the same Message-ID, by which mail programs know a double.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from django.core.mail import EmailMessage
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from panel.clock import database_now
from panel.mail.outgoing import Outgoing
from panel.wake import wake

LEASE: Final = timedelta(minutes=5)
FIRST_WAIT: Final = timedelta(seconds=15)
LONGEST_WAIT: Final = timedelta(hours=1)
GIVEN_UP_AFTER: Final = timedelta(days=2)
DUE_A_SWEEP: Final = 50

M = TypeVar("M", bound=Outgoing)


class Unwanted(Exception):
    """Nothing is to be sent (any more); its text says why, in our own words."""


@dataclass(frozen=True, slots=True)
class Outbox(Generic[M]):
    """The mails of one kind of row.

    ``task`` is the Celery task that calls ``send``. ``compose`` makes the mail when it is about to be sent, or raises
    Unwanted; ``since`` is when it could have been sent first, from which its patience counts. ``ready``: what else must
    be true before it is due. ``related``: what ``compose`` reads, beside the user.
    """

    model: type[M]
    task: str
    compose: Callable[[M], EmailMessage]
    since: Callable[[M], datetime | None]
    ready: Q = Q()
    related: tuple[str, ...] = ()

    def wake(self, mail_ids: Iterable[int]) -> int:
        """Wake a worker for each of these; how many."""
        found = list(mail_ids)
        for mail_id in found:
            wake(self.task, mail_id)
        return len(found)

    def wake_due(self) -> int:
        """Wake every mail that is due; how many."""
        return self.wake(self._due().order_by("next_at").values_list("pk", flat=True)[:DUE_A_SWEEP])

    def send(self, mail_id: int) -> None:
        """Send this mail if it is due and nobody else is at it."""
        until = database_now() + LEASE
        if not self._due().filter(pk=mail_id).update(claimed_until=until):
            return
        rows = self.model._default_manager
        mail = rows.select_related("user", *self.related).get(pk=mail_id)
        ours = rows.filter(pk=mail_id, claimed_until=until)
        try:
            self.compose(mail).send()
        except Unwanted as why:
            ours.update(claimed_until=None, next_at=None, last_error=str(why)[:300])
        except (smtplib.SMTPException, OSError) as error:
            self._put_off(mail, ours, error)
        else:
            ours.update(claimed_until=None, next_at=None, sent_at=database_now(), last_error="")

    def _due(self) -> QuerySet[M]:
        now = database_now()
        free = Q(claimed_until=None) | Q(claimed_until__lte=now)
        return self.model._default_manager.filter(free, self.ready, next_at__lte=now)

    def _put_off(self, mail: M, ours: QuerySet[M], error: Exception) -> None:
        """The server's own words stay out: they may quote what we sent."""
        now = database_now()
        code = getattr(error, "smtp_code", "")
        said = _("The mail server did not take it (%(error)s).") % {"error": f"{type(error).__name__} {code}".strip()}
        wait: timedelta = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(mail.attempts, 12))
        refused = isinstance(error, smtplib.SMTPRecipientsRefused)
        hopeless = refused or now - (self.since(mail) or now) > GIVEN_UP_AFTER
        changes: dict[str, Any] = {"last_error": said[:300], "next_at": None if hopeless else now + wait}
        ours.update(claimed_until=None, attempts=F("attempts") + 1, **changes)
