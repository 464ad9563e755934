"""Asking for a launched run to be ended. The worker does it (``stop_sending``)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.access.actions import Action
from panel.access.authorization import authorize
from panel.launches.audit import record
from panel.launches.models import Launch, LaunchStop
from panel.launches.selectors import open_stop
from panel.launches.states import UNFINISHED_RUN, State
from panel.launches.validation import unsendable
from panel.problems import Conflicting, Unprocessable
from panel.wake import wake

REASON_LENGTH: Final = 500
_STOPPABLE: Final = Q(state__in=UNFINISHED_RUN) | Q(state=State.SUBMITTING, sent_at__isnull=False)


class Asked(NamedTuple):
    """A stop, and whether this request made it (false: somebody had asked for it already)."""

    stop: LaunchStop
    created: bool


def why_not_stop(launch: Launch) -> str:
    """Why there is nothing to stop; ``""`` when there is, or may be, a run that goes on."""
    if launch.can_be_stopped:
        return ""
    if launch.can_be_cancelled:
        return _("Nothing of this launch was sent to Airflow yet. Cancel it instead: then nothing starts.")
    if launch.has_run:
        return _("The run is over already; there is nothing to stop.")
    return _("This launch has no run; there is nothing to stop.")


def request_stop(*, user: User, launch: Launch, reason: str) -> Asked:
    """Have the worker end the run of this launch, whoever launched it. Asked for again while it is open, it is the
    same stop.

    Raises Unprocessable (``reason``), Conflicting when there is nothing to stop.
    """
    authorize(user, Action.LAUNCH)
    reason = reason.strip()
    _check_reason(reason)
    if earlier := open_stop(launch):
        return Asked(earlier, created=False)
    try:
        with transaction.atomic():
            # Conditional: of a stop and the end of the run, whichever comes first is what the other finds.
            if not Launch.objects.filter(_STOPPABLE, pk=launch.pk).update(version=F("version") + 1):
                launch.refresh_from_db()
                raise Conflicting(why_not_stop(launch), code=_code(launch))
            stop = _new(user, launch, reason)
            stop.save(force_insert=True)
            record(user, "launches.stop", launch, dag_run_id=launch.dag_run_id, reason=reason)
            wake("launches.stop", str(stop.pk))
    except IntegrityError:
        # A second tab, or a second person, came in between.
        winner = open_stop(launch)
        if winner is None:
            raise
        return Asked(winner, created=False)
    return Asked(stop, created=True)


def _check_reason(reason: str) -> None:
    if not reason:
        raise Unprocessable(_("Say why it is stopped, for those who find it."), {"reason": [_("Say why.")]})
    if len(reason) > REASON_LENGTH or unsendable(reason):
        said = _("At most %(n)s plain characters.") % {"n": REASON_LENGTH}
        raise Unprocessable(said, {"reason": [said]})


def _code(launch: Launch) -> str:
    return "use_cancel" if launch.can_be_cancelled else "not_running"


def _new(user: User, launch: Launch, reason: str) -> LaunchStop:
    now = timezone.now()
    return LaunchStop(
        launch=launch,
        user=user,
        username=user.get_username(),
        reason=reason,
        next_attempt_at=now,
        deadline_at=now + timedelta(seconds=settings.LAUNCH_DEADLINE_SECONDS),
        asked_at=now,
    )
