"""The yes or no of somebody else, before a protected launch is sent.

A yes holds for one Dag, one version of it and one set of values: the hash of all three is kept when the launch is asked
for, and compared when somebody says yes and once more before anything is sent.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.access.actions import Action
from panel.access.authorization import allowed_actions, authorize
from panel.launches.audit import record
from panel.launches.conf import digest
from panel.launches.dag_forms import FormReading, fetch_form
from panel.launches.form_rights import changed_form, definition, form_objection
from panel.launches.guard_rails import check_active, check_freeze, freeze_words, protection_of
from panel.launches.mail_orders import order_decision_mail
from panel.launches.models import FormDefinition, Launch
from panel.launches.states import State
from panel.launches.validation import unsendable
from panel.problems import Conflicting, Unprocessable
from panel.servers.models import Server
from panel.wake import wake

COMMENT_LENGTH: Final = 500
EXPIRED_A_SWEEP: Final = 100


def approval_hash(launch: Launch, reading: FormReading) -> str:
    """Over all that a yes is for."""
    form = reading.form
    return digest(launch.server_slug, launch.dag_id, form.version, form.params_json, launch.params_json)


def why_not_decide(user: Any, launch: Launch) -> str:
    """Why this person can neither approve nor reject this launch; ``""`` when they can."""
    if launch.state == State.EXPIRED or (launch.state == State.AWAITING_APPROVAL and _is_over(launch)):
        return _("Nobody approved this launch in time. Launch it again.")
    if launch.state != State.AWAITING_APPROVAL:
        return _("This launch does not wait for approval any more.")
    if launch.user_id is None or launch.user_id == user.pk:
        return _("A launch is approved by somebody else than the one who asked for it.")
    return form_objection(launch, launch.server, user) if launch.server else ""


def approve_launch(*, user: User, launch: Launch, comment: str = "") -> Launch:
    """Say yes: the worker sends it. Raises Conflicting, Unprocessable, AirflowError (the Dag is read again)."""
    authorize(user, Action.LAUNCH)
    _check_comment(comment)
    _check_decision(user, launch)
    if launch.server is None:
        raise Conflicting(_("This Airflow server was removed from Mapboard. Nothing can be started."))
    if not may_launch(launch.user):
        raise Conflicting(_("%(name)s may no longer launch. Reject this launch.") % {"name": launch.username})
    if said := form_objection(launch, launch.server, launch.user) or changed_form(launch, launch.server):
        raise Conflicting(said, code="changed_since")
    check_freeze(launch.server, launch.dag_id)
    check_active(launch.server, launch.dag_id)
    if said := _changed(launch, fetch_form(server=launch.server, dag_id=launch.dag_id)):
        raise Conflicting(said, code="changed_since")
    now = timezone.now()
    return _decide(
        user,
        launch,
        "launches.approve",
        comment,
        state=State.SUBMITTING,
        next_attempt_at=now,
        deadline_at=now + timedelta(seconds=settings.LAUNCH_DEADLINE_SECONDS),
    )


def reject_launch(*, user: User, launch: Launch, comment: str) -> Launch:
    """Say no; the comment says why. Raises Conflicting, Unprocessable."""
    authorize(user, Action.LAUNCH)
    _check_comment(comment)
    if not comment.strip():
        raise Unprocessable(_("Say why, for the one who asked."), {"comment": [_("Say why.")]})
    _check_decision(user, launch)
    said = _("Rejected by %(name)s: %(why)s") % {"name": user.get_username(), "why": comment}
    return _decide(
        user, launch, "launches.reject", comment, state=State.REJECTED, message=said, finished_at=timezone.now()
    )


def expire_launches() -> int:
    """End what nobody approved in time, and tell those who asked; how many."""
    now = timezone.now()
    over = Launch.objects.filter(state=State.AWAITING_APPROVAL, expires_at__lte=now)
    return sum(_expire(launch, now) for launch in over.select_related("user").order_by("expires_at")[:EXPIRED_A_SWEEP])


def _expire(launch: Launch, now: datetime) -> bool:
    with transaction.atomic():
        expired = Launch.objects.filter(pk=launch.pk, state=State.AWAITING_APPROVAL, expires_at__lte=now).update(
            state=State.EXPIRED,
            message=_("Nobody approved it in time. Nothing was started."),
            finished_at=now,
            version=F("version") + 1,
        )
        if expired:
            order_decision_mail(launch)
    return bool(expired)


def objection(launch: Launch, server: Server) -> str:
    """Why this launch may not be sent any more, in a sentence; ``""`` when it may. Raises AirflowError.

    Asked before the first thing is sent: rights, freezes and guard rails may have changed since it was asked for.
    """
    if not may_launch(launch.user):
        return _("%(name)s may no longer launch.") % {"name": launch.username}
    if said := freeze_words(server, launch.dag_id):
        return said
    if said := form_objection(launch, server, launch.user) or changed_form(launch, server):
        return said
    if launch.approval_hash:
        return _objection_to_approval(launch, server)
    form = definition(server, launch.dag_id, launch.form_slug) if launch.form_slug else None
    reading = _read_if_guarded(launch, server, form)
    protection = protection_of(server, launch.dag_id, reading.fields, launch.params, form) if reading else None
    if protection and (protection.needs_approval or not launch.protected):
        return _("Since it was asked for, guard rails were set that it did not pass. %(why)s Launch it again.") % {
            "why": protection.why
        }
    return ""


def _objection_to_approval(launch: Launch, server: Server) -> str:
    if launch.decided_by is None or not may_launch(launch.decided_by):
        return _("%(name)s, who approved it, may no longer do so.") % {"name": launch.decided_by_name or _("Nobody")}
    if launch.decided_by_id == launch.user_id:
        return _("A launch is approved by somebody else than the one who asked for it.")
    if said := form_objection(launch, server, launch.decided_by):
        return said
    return _changed(launch, fetch_form(server=server, dag_id=launch.dag_id))


def _read_if_guarded(launch: Launch, server: Server, form: FormDefinition | None) -> FormReading | None:
    """The form, asked of Airflow only where guard rails could protect this launch."""
    if protection_of(server, launch.dag_id, None, launch.params, form) is None:
        return None
    return fetch_form(server=server, dag_id=launch.dag_id)


def _changed(launch: Launch, reading: FormReading) -> str:
    if reading.obstacle:
        return reading.obstacle
    if approval_hash(launch, reading) == launch.approval_hash:
        return ""
    return _("The Dag or the values are not those that approval was asked for. Launch it again.")


def may_launch(user: Any) -> bool:
    """Whether this person (``None``: removed) may launch by now."""
    return user is not None and Action.LAUNCH in allowed_actions(user)


def _check_comment(comment: str) -> None:
    if len(comment) > COMMENT_LENGTH or unsendable(comment):
        said = _("At most %(n)s plain characters.") % {"n": COMMENT_LENGTH}
        raise Unprocessable(said, {"comment": [said]})


def _check_decision(user: User, launch: Launch) -> None:
    if said := why_not_decide(user, launch):
        raise Conflicting(said, code="not_awaiting" if launch.state != State.AWAITING_APPROVAL else "not_yours")


def _decide(user: User, launch: Launch, action: str, comment: str, **changes: Any) -> Launch:
    now = timezone.now()
    with transaction.atomic():
        # Conditional: of two who decide at once, or one who decides while it expires, the first wins.
        decided = Launch.objects.filter(pk=launch.pk, state=State.AWAITING_APPROVAL, expires_at__gt=now).update(
            **changes,
            decided_by=user,
            decided_by_name=user.get_username(),
            decided_at=now,
            decision_comment=comment,
            version=F("version") + 1,
        )
        if decided:
            record(user, action, launch, comment=comment)
            order_decision_mail(launch)
            if changes["state"] == State.SUBMITTING:
                wake("launches.submit", str(launch.pk))
    launch.refresh_from_db()
    if not decided:
        raise Conflicting(why_not_decide(user, launch), code="not_awaiting")
    return launch


def _is_over(launch: Launch) -> bool:
    return launch.expires_at is not None and launch.expires_at <= timezone.now()
