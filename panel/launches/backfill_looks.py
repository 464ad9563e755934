"""What a backfill would be, and what stands in its way: said before anything is started."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from panel.access.actions import Action
from panel.access.authorization import allowed_actions, authorize
from panel.airflow import Airflow, Invalid
from panel.airflow import Backfill as AirflowBackfill
from panel.launches.backfill_orders import KEY_LENGTH, MOST_RUNS, Asked, problems_of, why_no_backfills
from panel.launches.backfill_selectors import known_in_airflow
from panel.launches.conf import secret_names
from panel.launches.dag_forms import FormReading, read_form
from panel.launches.forecast_history import forecast_for, pools_of
from panel.launches.forecasting import Forecast
from panel.launches.form_rights import may_use_bare_form
from panel.launches.guard_rails import Protection, freeze_words, protection_of
from panel.launches.models import Backfill
from panel.launches.submission import storable
from panel.launches.validation import unsendable
from panel.problems import Conflicting, Unprocessable
from panel.servers.client import open_client
from panel.servers.models import Server

LOOKED_THROUGH: Final = 20
"""Of a Dag's backfills, the newest: only one of them can be active."""


@dataclass(frozen=True, slots=True)
class BackfillLook:
    """What a backfill would be. ``obstacles``: why it cannot start now; ``protection``: what it has to be confirmed
    for."""

    dates: list[datetime]
    forecast: Forecast
    obstacles: list[str]
    protection: Protection | None


def look_at_backfill(
    *, user: User, server: Server, dag_id: str, asked: Asked, reading: FormReading | None = None
) -> BackfillLook:
    """Ask Airflow which runs it would make, and tell from the past what that comes to. Nothing is started.

    Raises Unprocessable (``fields``), Conflicting for a Dag that cannot run, AirflowError.
    """
    authorize(user, Action.LAUNCH)
    check_asked(asked, server, dag_id)
    reading = reading or read_form(server=server, dag_id=dag_id)
    check_form(reading, server, dag_id, asked)
    try:
        with open_client(server) as airflow:
            dates = dates_of(airflow, asked, dag_id)
            active = active_backfill(airflow, dag_id)
            pools = pools_of(airflow)
    except Invalid as error:
        raise _refused(error, reading, asked) from error
    told = forecast_for(
        server=server,
        dag_id=dag_id,
        runs=len(dates),
        max_active_runs=asked.max_active_runs,
        fields=reading.fields,
        params=asked.params,
        pools=pools,
    )
    protection = protection_of(server, dag_id, reading.fields, asked.params)
    obstacles = [
        "" if dates else _("There is nothing to run: every date of this range has a run already, or there is none."),
        named(server, active) if active else "",
        freeze_words(server, dag_id),
        why_not_without_form(user, server, dag_id),
        why_not_approved(user, protection),
    ]
    return BackfillLook(dates, told, [said for said in obstacles if said], protection)


def dates_of(airflow: Airflow, asked: Asked, dag_id: str) -> list[datetime]:
    """The logical dates that Airflow would run, in its order. Raises Unprocessable for too many, AirflowError."""
    return planned_dates([row.logical_date for row in airflow.backfills.dry_run(asked.order(dag_id))])


def planned_dates(found: Sequence[datetime | None]) -> list[datetime]:
    """Raises Conflicting for runs without dates, Unprocessable for too many."""
    dates = [date for date in found if date is not None]
    if len(dates) < len(found):
        raise Conflicting(_("The runs of this Dag have no dates but partitions: backfill it in Airflow."))
    if len(dates) > MOST_RUNS:
        said = _("%(n)s runs: at most %(most)s at once. Choose a shorter range.")
        raise Unprocessable(_("This is too much at once."), {"to_date": [said % {"n": len(dates), "most": MOST_RUNS}]})
    return dates


def active_backfill(airflow: Airflow, dag_id: str) -> AirflowBackfill | None:
    """The one that Airflow has not completed, whoever started it. Raises AirflowError."""
    found = airflow.backfills.list(dag_id, limit=LOOKED_THROUGH)
    return next((one for one in found if one.completed_at is None), None)


def named(server: Server, active: AirflowBackfill) -> str:
    """Which backfill stands in the way, and whose it is."""
    if ours := known_in_airflow(server, active.id, active.to_date):
        return named_ours(ours)
    return _(
        "Airflow has an active backfill of this Dag already, started outside of Mapboard: number %(id)s, from "
        "%(start)s to %(end)s. It takes one at a time: wait until that one has completed, or cancel it in Airflow."
    ) % {"id": active.id, "start": f"{active.from_date:%Y-%m-%d %H:%M}", "end": f"{active.to_date:%Y-%m-%d %H:%M} UTC"}


def named_ours(backfill: Backfill) -> str:
    return _(
        "%(name)s started a backfill of this Dag that is not over yet: from %(start)s to %(end)s. Airflow takes one at "
        "a time: wait until it is done, or cancel it."
    ) % {
        "name": backfill.username,
        "start": f"{backfill.from_date:%Y-%m-%d %H:%M}",
        "end": f"{backfill.to_date:%Y-%m-%d %H:%M} UTC",
    }


def why_not_without_form(user: User | None, server: Server, dag_id: str) -> str:
    """A backfill gives the params as it likes: where the launch forms are to fix some, only an admin starts one."""
    if may_use_bare_form(user, server, dag_id):
        return ""
    return _("This Dag is launched through its launch forms only, and a backfill has none: ask an admin to start it.")


def why_not_approved(user: User, protection: Protection | None) -> str:
    """A backfill cannot wait for approval: where launches need it, only an admin starts one."""
    if protection is None or not protection.needs_approval or Action.SET_GUARD_RAILS in allowed_actions(user):
        return ""
    return _("%(why)s Its launches need approval, and a backfill cannot wait for one: ask an admin to start it.") % {
        "why": protection.why
    }


def check_asked(asked: Asked, server: Server, dag_id: str, idempotency_key: str = "") -> None:
    """Raises Unprocessable for what makes no sense, whatever the Dag is."""
    fields = problems_of(asked, server, dag_id)
    if len(idempotency_key) > KEY_LENGTH or unsendable(idempotency_key):
        fields["idempotency_key"] = [_("At most %(n)s plain characters.") % {"n": KEY_LENGTH}]
    if fields:
        raise Unprocessable(_("Some values are not right. Nothing was started."), fields)


def check_form(reading: FormReading, server: Server, dag_id: str, asked: Asked) -> None:
    """Raises Conflicting for a Dag that cannot be backfilled, Unprocessable for params that do not fit it."""
    if said := reading.obstacle or why_no_backfills(server, dag_id):
        raise Conflicting(said, code="dag_not_launchable")
    if errors := reading.errors(asked.params):
        raise Unprocessable(_("Some values do not fit what the Dag asks for. Nothing was started."), errors)


def _refused(error: Invalid, reading: FormReading, asked: Asked) -> Unprocessable:
    """Airflow's no to the dry run, without the secrets that it may quote."""
    holder = Backfill(params_json=json.dumps(dict(asked.params)), secret_params=secret_names(reading.fields))
    fields = {name: [storable(holder, said) for said in all_said] for name, all_said in error.fields.items()}
    return Unprocessable(storable(holder, error.detail or str(error)), fields)
