"""The filters of the history, alike on the page, in the REST API and in exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from panel.launches import selectors
from panel.launches.models import Launch
from panel.launches.states import State
from panel.problems import BadRequest

NAMES: Final = ("server", "dag_id", "state", "requested_by", "from", "to", "q", "protected")
"""``state`` may be repeated."""
TEXT_LENGTH: Final = 250


@dataclass(frozen=True, slots=True)
class Filters:
    """``since`` and ``until`` bound when it was asked for, ``until`` left out. ``query`` is in note or values."""

    server: str = ""
    dag_id: str = ""
    states: tuple[str, ...] = ()
    requested_by: str = ""
    since: datetime | None = None
    until: datetime | None = None
    query: str = ""
    protected: bool | None = None

    @property
    def chosen(self) -> QuerySet[Launch]:
        """Newest first."""
        return selectors.launches(
            server=self.server,
            dag_id=self.dag_id,
            states=self.states,
            requested_by=self.requested_by,
            since=self.since,
            until=self.until,
            query=self.query,
            protected=self.protected,
        )


def filters_from(params: QueryDict) -> Filters:
    """What these parameters mean; others are none of its business, empty ones do not filter. Raises BadRequest.

    ``from`` and ``to`` are days, both of them included, or moments as ISO 8601.
    """
    since, until = _moment(params, "from"), _moment(params, "to", whole_day=True)
    if since and until and since >= until:
        said = _("The end lies before the beginning.")
        raise BadRequest(said, {"to": [said]})
    return Filters(
        server=_text(params, "server"),
        dag_id=_text(params, "dag_id"),
        states=_states(params.getlist("state")),
        requested_by=_text(params, "requested_by"),
        since=since,
        until=until,
        query=_text(params, "q"),
        protected=_protected(params.get("protected", "")),
    )


def _text(params: Mapping[str, str], name: str) -> str:
    text = params.get(name, "").strip()
    if len(text) > TEXT_LENGTH:
        said = _("At most %(n)s characters.") % {"n": TEXT_LENGTH}
        raise BadRequest(said, {name: [said]})
    return text.replace("\x00", "\ufffd")  # PostgreSQL cannot be asked for it


def _states(given: list[str]) -> tuple[str, ...]:
    states = tuple(dict.fromkeys(state for state in given if state))
    if unknown := set(states) - set(State.values):
        raise BadRequest(
            _("There is no such state: %(names)s.") % {"names": ", ".join(sorted(unknown))[:200]},
            {"state": [_("One of %(known)s.") % {"known": ", ".join(State.values)}]},
        )
    return states


def _protected(given: str) -> bool | None:
    if given not in {"", "true", "false"}:
        raise BadRequest(_("This filter is either true or false."), {"protected": [_("true or false.")]})
    return None if not given else given == "true"


def _moment(params: Mapping[str, str], name: str, *, whole_day: bool = False) -> datetime | None:
    given = params.get(name, "").strip()
    if not given:
        return None
    try:
        if day := parse_date(given):
            moment = datetime.combine(day + timedelta(days=whole_day), time(), timezone.get_current_timezone())
        elif (found := parse_datetime(given)) is not None:
            moment = found if found.tzinfo else timezone.make_aware(found)
        else:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        said = _("A day such as 2026-11-22, or a moment such as 2026-11-22T10:00:00Z.")
        raise BadRequest(_("This is no day."), {name: [said]}) from error
