"""Going back: the values of the last launch that went well, to the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse

from panel.launches.comparison import Row, compared
from panel.launches.conf import digest
from panel.launches.dag_forms import known_fields
from panel.launches.fields import Field
from panel.launches.models import Launch
from panel.launches.states import State

ENV_NAMES: Final = ("env", "environment")
"""The param that says where to; the first of these that a Dag has."""
LOOKED_AT: Final = 50
"""Earlier successes that are looked through for one with the same place and other values."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """From ``of`` to the values of ``to``. ``place`` is the name and value of the param that both share, ``None`` where
    the Dag has no such param. ``changes`` are the params that would change, as they may be shown."""

    of: Launch
    to: Launch
    place: tuple[str, Any] | None
    changes: list[Row]

    @property
    def url(self) -> str:
        """The launch form, filled in."""
        form = reverse("launches:launch_form", args=[self.to.server_slug, self.to.dag_id])
        query = {"from": self.to.pk, "rollback": self.of.pk}
        return f"{form}?{urlencode(query | ({'form': self.to.form_slug} if self.to.form_slug else {}))}"


def rollback_of(launch: Launch) -> Rollback | None:
    """Where one would go back to from this launch, ``None`` where there is nowhere: an earlier launch of the Dag that
    succeeded, the last one to the same place whose values differ."""
    if launch.server is None or not launch.has_run:
        return None
    fields = known_fields(launch.server, launch.dag_id)
    name, now = place_name(fields, launch), effective(fields, launch.params)
    for earlier in _successes_before(launch):
        then = effective(fields, earlier.params)
        same_place = not name or digest(then.get(name)) == digest(now.get(name))
        if same_place and digest(then) != digest(now):
            return _rollback(fields, launch, earlier, name)
    return None


def rollback_asked_for(of: str, to: Launch | None) -> Rollback | None:
    """What the form page was opened for, by the id in its address; ``None`` when that makes no sense."""
    if to is None or to.server is None:
        return None
    try:
        launch = Launch.objects.get(pk=UUID(of), server_slug=to.server_slug, dag_id=to.dag_id)
    except (ValueError, Launch.DoesNotExist):
        return None
    fields = known_fields(to.server, to.dag_id)
    return _rollback(fields, launch, to, place_name(fields, launch))


def place_name(fields: Sequence[Field], launch: Launch) -> str:
    """The param that says where to; ``""`` without one, or where its value is a secret."""
    known = {*launch.params, *(field.name for field in fields)}
    secret = {*launch.secret_params, *(field.name for field in fields if field.is_secret)}
    return next((name for name in ENV_NAMES if name in known and name not in secret), "")


def effective(fields: Sequence[Field], params: Mapping[str, Any]) -> dict[str, Any]:
    """What the Dag saw: params that were not given have their defaults."""
    return {field.name: field.default for field in fields} | dict(params)


def _successes_before(launch: Launch) -> QuerySet[Launch]:
    earlier = Launch.objects.filter(server_slug=launch.server_slug, dag_id=launch.dag_id, state=State.SUCCESS)
    return earlier.filter(created_at__lt=launch.created_at).select_related("server").order_by("-created_at")[:LOOKED_AT]


def _rollback(fields: Sequence[Field], of: Launch, to: Launch, name: str) -> Rollback:
    rows = compared(fields, to.params, of, secrets=to.secret_params).rows
    place = (name, effective(fields, of.params).get(name)) if name else None
    return Rollback(of, to, place, [row for row in rows if row.changed])
