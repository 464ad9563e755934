"""What stands between a form and a run: what protects a launch, when nothing may start, how much may.

Judged when a launch is asked for, and again before it is sent: somebody may have set a guard rail in between.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.domain.budgets import PERIOD, seconds_until_room
from panel.domain.states import FINISHED_RUN
from panel.launches.conf import digest
from panel.launches.fields import Field
from panel.launches.models import FormDefinition, FreezeWindow, GuardRails, Launch
from panel.launches.states import OCCUPYING, State
from panel.mirror.models import DagRun
from panel.problems import Conflicting, TooMany
from panel.servers.models import Server

_NEVER_STARTED: Final = (State.REJECTED, State.EXPIRED, State.REFUSED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Protection:
    """How a launch is protected. ``word`` is what one types to confirm it; ``why`` says what protects it."""

    word: str
    why: str
    needs_approval: bool
    approval_hours: int


def guard_rails_of(server: Server, dag_id: str) -> GuardRails | None:
    return GuardRails.objects.filter(server=server, dag_id=dag_id).first()


def protection_of(
    server: Server,
    dag_id: str,
    fields: Sequence[Field] | None,
    params: Mapping[str, Any],
    form: FormDefinition | None = None,
) -> Protection | None:
    """The protection of a launch with these params through this launch form, ``None`` where there is none.

    Params that are not given count with their defaults. ``fields`` are ``None`` when the Dag's params are not known:
    then a param that is not given may be anything, and protects.
    """
    rails = guard_rails_of(server, dag_id) or GuardRails(server=server, dag_id=dag_id)
    if rails.protects == GuardRails.Protects.EVERYTHING:
        return _protection(rails, dag_id, _("Every launch of this Dag is protected."))
    if rails.protects == GuardRails.Protects.VALUES and (found := _protected_value(rails, fields, params)):
        return found
    if form is not None and form.is_protected:
        said = _("Whatever is launched through the form “%(form)s” is protected.") % {"form": form.title}
        return _protection(rails, dag_id, said)
    return None


def _protected_value(rails: GuardRails, fields: Sequence[Field] | None, params: Mapping[str, Any]) -> Protection | None:
    defaults = None if fields is None else {field.name: field.default for field in fields}
    for name, protecting in rails.values:
        if name in params:
            hit = _holds(params[name], protecting)
        else:
            hit = defaults is None or _holds(defaults.get(name), protecting)
        if hit:
            said = as_typed(protecting)
            return _protection(rails, said, _("%(name)s = %(value)s is protected.") % {"name": name, "value": said})
    return None


def as_typed(value: Any) -> str:
    """A protecting value as one types it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _protection(rails: GuardRails, word: str, why: str) -> Protection:
    return Protection(word.strip(), why, rails.needs_approval, rails.approval_hours)


def _holds(value: Any, protecting: Any) -> bool:
    """Whether the value is the protecting one, or a list that holds it. Texts are compared without case and outer
    blanks: a Dag may forgive what is typed."""
    if isinstance(value, list):
        return any(_holds(item, protecting) for item in value)
    if isinstance(value, str) and isinstance(protecting, str):
        return value.strip().casefold() == protecting.strip().casefold()
    return digest(value) == digest(protecting)


def freeze_windows(server: Server, dag_id: str, *, since: datetime) -> QuerySet[FreezeWindow]:
    """Those of the Dag and of its server that have not ended by then."""
    concerns = Q(dag_id="") | Q(dag_id=dag_id)
    return FreezeWindow.objects.filter(concerns, server=server, ends_at__gt=since)


def freeze_at(server: Server, dag_id: str, moment: datetime) -> FreezeWindow | None:
    """The freeze that holds then, the one that lasts longest."""
    return freeze_windows(server, dag_id, since=moment).filter(starts_at__lte=moment).order_by("-ends_at").first()


def check_freeze(server: Server, dag_id: str) -> None:
    """Raises Conflicting while nothing may start."""
    if said := freeze_words(server, dag_id):
        raise Conflicting(said, code="frozen")


def freeze_words(server: Server, dag_id: str) -> str:
    """Why nothing may start now; ``""`` when it may."""
    freeze = freeze_at(server, dag_id, timezone.now())
    if freeze is None:
        return ""
    until = date_format(timezone.localtime(freeze.ends_at), "Y-m-d H:i T")
    return _("Launches are frozen until %(until)s by %(name)s: %(reason)s") % {
        "until": until,
        "name": freeze.username,
        "reason": freeze.reason,
    }


def check_bounds(server: Server, dag_id: str) -> None:
    """Raises TooMany for more launches than an hour has room for, Conflicting for more runs than may be active."""
    rails = guard_rails_of(server, dag_id)
    if rails is not None and rails.launches_an_hour:
        _check_hour(server, dag_id, rails.launches_an_hour)
    check_active(server, dag_id)


def check_active(server: Server, dag_id: str) -> None:
    """Raises Conflicting for more runs than may be active."""
    rails = guard_rails_of(server, dag_id)
    if rails is None or not rails.active_runs:
        return
    active = len(_active_runs(server, dag_id))
    if active >= rails.active_runs:
        said = ngettext(
            "%(n)s run of this Dag is active, and no more may be at once. Wait until it has ended.",
            "%(n)s runs of this Dag are active, and no more may be at once. Wait until one has ended.",
            active,
        )
        raise Conflicting(said % {"n": active}, code="too_many_active")


def _check_hour(server: Server, dag_id: str, most: int) -> None:
    now = timezone.now()
    recent = Launch.objects.filter(server_slug=server.slug, dag_id=dag_id, created_at__gt=now - PERIOD)
    moments = sorted(recent.exclude(state__in=_NEVER_STARTED).values_list("created_at", flat=True))
    seconds = seconds_until_room(moments, most, now)
    if not seconds:
        return
    minutes = math.ceil(seconds / 60)
    said = ngettext(
        "This Dag may be launched once an hour, and was.",
        "This Dag may be launched %(n)s times an hour, and was.",
        most,
    ) % {"n": most}
    todo = ngettext("Try again in %(n)s minute.", "Try again in %(n)s minutes.", minutes) % {"n": minutes}
    raise TooMany(f"{said} {todo}", code="too_many_launches", retry_after_seconds=seconds)


def _active_runs(server: Server, dag_id: str) -> set[str]:
    """Run ids: those of launches on their way, and what the mirror knows to go on, whoever started it."""
    ours = Launch.objects.filter(server_slug=server.slug, dag_id=dag_id, state__in=OCCUPYING)
    mirrored = DagRun.objects.filter(dag__server=server, dag__dag_id=dag_id, deleted_at=None)
    return {
        *ours.values_list("dag_run_id", flat=True),
        *mirrored.exclude(state__in=FINISHED_RUN).values_list("run_id", flat=True),
    }
