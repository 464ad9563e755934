"""Setting guard rails and freezes: admins only, each change with a trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.access.actions import Action
from panel.access.authorization import authorize
from panel.access.services import record_event
from panel.launches.models import FreezeWindow, GuardRails
from panel.launches.selectors import dag_is_known
from panel.launches.validation import unsendable
from panel.problems import Unprocessable
from panel.servers.models import Server

MOST_VALUES: Final = 50
MOST_HOURS: Final = 24 * 14
MOST_AN_HOUR: Final = 10_000
REASON_LENGTH: Final = 300
LONGEST_FREEZE: Final = timedelta(days=366)


def set_guard_rails(  # noqa: PLR0913 - the columns of one row
    *,
    user: User,
    server: Server,
    dag_id: str,
    protects: str,
    values: Sequence[tuple[str, Any]] = (),
    needs_approval: bool = True,
    approval_hours: int = 24,
    launches_an_hour: int | None = None,
    active_runs: int | None = None,
    unknown_params: bool = False,
) -> GuardRails:
    """Have these hold from now on, also for what was asked for and not sent. Raises Unprocessable."""
    authorize(user, Action.SET_GUARD_RAILS)
    _check_dag(server, dag_id)
    fields: dict[str, list[str]] = {}
    if protects not in GuardRails.Protects.values:
        fields["protects"] = [_("One of %(known)s.") % {"known": ", ".join(GuardRails.Protects.values)}]
    if protects == GuardRails.Protects.VALUES and not values:
        fields["values"] = [_("Say which values protect a launch, such as env = prod.")]
    if len(values) > MOST_VALUES:
        fields["values"] = [_("At most %(n)s values.") % {"n": MOST_VALUES}]
    if any(problem := unsendable([name, value]) for name, value in values):
        fields["values"] = [problem]
    bounds = {"approval_hours": (approval_hours, MOST_HOURS), "launches_an_hour": (launches_an_hour, MOST_AN_HOUR),
              "active_runs": (active_runs, MOST_AN_HOUR)}  # fmt: skip
    for name, (number, most) in bounds.items():
        if number is not None and not 1 <= number <= most:
            fields[name] = [_("From 1 to %(most)s.") % {"most": most}]
    if fields:
        raise Unprocessable(_("These guard rails cannot be set."), fields)
    columns = {
        "protects": protects,
        "values_json": json.dumps([[name, value] for name, value in values]),
        "needs_approval": needs_approval,
        "approval_hours": approval_hours,
        "launches_an_hour": launches_an_hour,
        "active_runs": active_runs,
        "unknown_params": unknown_params,
    }
    with transaction.atomic():
        rails, _created = GuardRails.objects.update_or_create(
            server=server,
            dag_id=dag_id,
            defaults=columns | {"updated_at": timezone.now(), "username": user.get_username()},
        )
        _record(user, "launches.set_guard_rails", server, dag_id, columns)
    return rails


def add_freeze(
    *, user: User, server: Server, dag_id: str = "", starts_at: datetime, ends_at: datetime, reason: str
) -> FreezeWindow:
    """Nothing of the Dag (of the whole server without one) starts in between. Raises Unprocessable."""
    authorize(user, Action.SET_GUARD_RAILS)
    if dag_id:
        _check_dag(server, dag_id)
    fields: dict[str, list[str]] = {}
    if not starts_at < ends_at <= starts_at + LONGEST_FREEZE:
        fields["ends_at"] = [_("After its beginning, and within a year.")]
    elif ends_at <= timezone.now():
        fields["ends_at"] = [_("This is over already.")]
    if not reason.strip() or len(reason) > REASON_LENGTH or unsendable(reason):
        fields["reason"] = [_("Say why, in at most %(n)s plain characters.") % {"n": REASON_LENGTH}]
    if fields:
        raise Unprocessable(_("This freeze cannot be set."), fields)
    with transaction.atomic():
        freeze = FreezeWindow.objects.create(
            server=server,
            dag_id=dag_id,
            starts_at=starts_at,
            ends_at=ends_at,
            reason=reason.strip(),
            username=user.get_username(),
            created_at=timezone.now(),
        )
        detail = {"starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat(), "reason": freeze.reason}
        _record(user, "launches.add_freeze", server, dag_id, detail)
    return freeze


def end_freeze(*, user: User, freeze: FreezeWindow) -> None:
    """Let launches through again, from now on; one that has not begun is taken away."""
    authorize(user, Action.SET_GUARD_RAILS)
    now = timezone.now()
    with transaction.atomic():
        if freeze.starts_at > now:
            FreezeWindow.objects.filter(pk=freeze.pk).delete()
        else:
            FreezeWindow.objects.filter(pk=freeze.pk, ends_at__gt=now).update(ends_at=now)
        _record(user, "launches.end_freeze", freeze.server, freeze.dag_id, {"reason": freeze.reason})


def _check_dag(server: Server, dag_id: str) -> None:
    """A misspelt name would never hold anything up."""
    if not dag_is_known(server, dag_id):
        raise Unprocessable(_("Mapboard knows no such Dag."), {"dag_id": [_("Not known.")]})


def _record(user: User, action: str, server: Server, dag_id: str, detail: dict[str, Any]) -> None:
    record_event(
        user=user, action=action, target_kind="dag", target_id=dag_id or "*", server_slug=server.slug, detail=detail
    )
