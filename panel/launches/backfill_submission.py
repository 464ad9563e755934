"""Bringing a stored backfill into Airflow: exactly one, whatever happens in between.

Airflow takes no id of ours, but gives back ``to_date`` to the microsecond, and ours has microseconds that no other has
(models.Backfill). So before anything is sent, after a lost answer and after a 409, Airflow's list of the Dag's
backfills is looked through for that moment: it says whether ours is there. What somebody else made is named.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.access.actions import Action
from panel.access.authorization import allowed_actions
from panel.airflow import Airflow, AirflowError, Conflict, Rejected, Unsupported
from panel.airflow import Backfill as AirflowBackfill
from panel.launches.approvals import may_launch
from panel.launches.audit import record
from panel.launches.backfill_looks import active_backfill, named, planned_dates, why_not_without_form
from panel.launches.backfill_orders import order_of, why_no_backfills
from panel.launches.backfill_states import WAITING, BackfillState
from panel.launches.conf import secret_names
from panel.launches.dag_forms import FormReading, fetch_form, known_fields
from panel.launches.forecast_history import forecast_for, pools_of
from panel.launches.guard_rails import freeze_words, protection_of
from panel.launches.models import Backfill, BackfillRun
from panel.launches.selectors import unclaimed
from panel.launches.submission import CLAIM, LONGEST_PAUSE, Later, Refused, refusal_of, storable, too_late
from panel.problems import Problem
from panel.servers.client import open_client
from panel.servers.models import Server
from panel.wake import wake

logger = logging.getLogger(__name__)

LOOKED_THROUGH = 1_000
"""Of a Dag's backfills, the newest: ours is as old as its sending."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Airflow has it."""

    found: AirflowBackfill


Verdict = Taken | Refused | Later


def submit_backfill(*, backfill_id: UUID) -> None:
    """One attempt, unless another worker is at it or there is nothing to submit."""
    backfill = _claim(backfill_id)
    if backfill is None:
        return
    if backfill.server is None:
        verdict: Verdict | None = Refused(_("This Airflow server was removed from Mapboard. Nothing was started."))
    else:
        verdict = _attempt(backfill, backfill.server)
    if verdict is not None:
        _settle(backfill, verdict)


def _claim(backfill_id: UUID) -> Backfill | None:
    now, claim = timezone.now(), uuid4()
    mine = Backfill.objects.filter(
        unclaimed(now), pk=backfill_id, state=BackfillState.SUBMITTING, next_attempt_at__lte=now
    )
    if not mine.update(claim=claim, claimed_until=now + CLAIM, attempts=F("attempts") + 1):
        return None
    return Backfill.objects.select_related("server", "user").get(pk=backfill_id)


def _attempt(backfill: Backfill, server: Server) -> Verdict | None:
    """What came of one attempt; ``None`` when it was cancelled, or taken over, before anything was sent."""
    try:
        if backfill.sent_at is None and (refusal := _refused_before_sending(backfill, server)):
            return refusal
        with open_client(server) as airflow:
            return _find_or_send(airflow, backfill, server)
    except AirflowError as error:
        if backfill.sent_at is not None:
            return Later(str(error))  # only Airflow knows whether there is one
        if isinstance(error, Rejected | Unsupported) and not error.retryable:
            return refusal_of(error)
        return too_late(error) if timezone.now() >= backfill.deadline_at else Later(str(error))


def _find_or_send(airflow: Airflow, backfill: Backfill, server: Server) -> Verdict | None:
    if found := _ours(airflow, backfill):
        return Taken(found)
    if timezone.now() >= backfill.deadline_at:
        return too_late()
    if active := active_backfill(airflow, backfill.dag_id):
        return Refused(f"{named(server, active)} {_('Nothing was started.')}")
    try:
        dates = planned_dates([row.logical_date for row in airflow.backfills.dry_run(order_of(backfill))])
    except Problem as problem:
        return Refused(f"{problem.message} {_('Nothing was started.')}")
    if not dates:
        return _nothing(_("Airflow has nothing to run: every date of this range has a run already, or there is none."))
    pools = pools_of(airflow) if backfill.sent_at is None else {}
    return _send(airflow, backfill, server) if _mark_sent(backfill, server, dates, pools) else None


def _refused_before_sending(backfill: Backfill, server: Server) -> Refused | None:
    """Rights, freezes, guard rails and the Dag may have changed since it was asked for."""
    rights = "" if may_launch(backfill.user) else _("%(name)s may no longer launch.") % {"name": backfill.username}
    rights = rights or why_not_without_form(backfill.user, server, backfill.dag_id)
    if said := rights or freeze_words(server, backfill.dag_id) or why_no_backfills(server, backfill.dag_id):
        return _nothing(said)
    guarded = protection_of(server, backfill.dag_id, None, backfill.params) is not None
    if backfill.checked and not guarded:
        return None
    reading = fetch_form(server=server, dag_id=backfill.dag_id)
    return _check(backfill, reading) or _not_passed(backfill, server, reading)


def _check(backfill: Backfill, reading: FormReading) -> Refused | None:
    """The check that could not be made while Airflow was away."""
    if reading.obstacle:
        return Refused(reading.obstacle)
    if backfill.checked:
        return None
    backfill.secret_params = secret_names(reading.fields)
    Backfill.objects.filter(pk=backfill.pk).update(secret_params=backfill.secret_params)
    if errors := reading.errors(backfill.params):
        return Refused(_("Some values do not fit what the Dag asks for. Nothing was started."), errors)
    return None


def _not_passed(backfill: Backfill, server: Server, reading: FormReading) -> Refused | None:
    protection = protection_of(server, backfill.dag_id, reading.fields, backfill.params)
    is_admin = backfill.user is not None and Action.SET_GUARD_RAILS in allowed_actions(backfill.user)
    if protection and (not backfill.protected or (protection.needs_approval and not is_admin)):
        said = _("Since it was asked for, guard rails were set that it did not pass. %(why)s Ask for it again.")
        return _nothing(said % {"why": protection.why})
    return None


def _nothing(said: str) -> Refused:
    return Refused(f"{said} {_('Nothing was started.')}")


def _ours(airflow: Airflow, backfill: Backfill) -> AirflowBackfill | None:
    """Ours in Airflow's list, by the moment that only ours has."""
    found = airflow.backfills.list(backfill.dag_id, limit=LOOKED_THROUGH)
    return next((one for one in found if (one.from_date, one.to_date) == (backfill.from_date, backfill.to_date)), None)


def _mark_sent(backfill: Backfill, server: Server, dates: list[datetime], pools: Mapping[str, int]) -> bool:
    """Keep that it may have been sent, the runs it will make, and what they were foreseen to be."""
    now = timezone.now()
    mine = Backfill.objects.filter(pk=backfill.pk, claim=backfill.claim, state=BackfillState.SUBMITTING)
    kept: dict[str, Any] = {"claimed_until": now + CLAIM, "planned": len(dates), "counts": {WAITING: len(dates)}}
    if backfill.sent_at is None:
        mine = mine.filter(sent_at=None)
        kept |= {"sent_at": now, "forecast": _foreseen(backfill, server, len(dates), pools)}
    with transaction.atomic():
        if not mine.update(**kept):
            return False
        BackfillRun.objects.filter(backfill=backfill).delete()  # what is sent again may be other dates by now
        BackfillRun.objects.bulk_create(
            BackfillRun(backfill=backfill, position=position, logical_date=date, state=WAITING)
            for position, date in enumerate(dates)
        )
    backfill.sent_at = backfill.sent_at or now
    return True


def _foreseen(backfill: Backfill, server: Server, runs: int, pools: Mapping[str, int]) -> dict[str, Any]:
    told = forecast_for(
        server=server,
        dag_id=backfill.dag_id,
        runs=runs,
        max_active_runs=backfill.max_active_runs,
        fields=known_fields(server, backfill.dag_id),
        params=backfill.params,
        pools=pools,
    )
    return told.as_dict()


def _send(airflow: Airflow, backfill: Backfill, server: Server) -> Verdict:
    try:
        return Taken(airflow.backfills.create(order_of(backfill)))
    except Conflict as error:
        if found := _ours(airflow, backfill):
            return Taken(found)
        active = active_backfill(airflow, backfill.dag_id)
        return _nothing(named(server, active)) if active else refusal_of(error)
    except Rejected as error:
        if error.retryable:
            raise
        return refusal_of(error)


def _settle(backfill: Backfill, verdict: Verdict) -> None:
    """Write down what came of it, unless another worker has taken over."""
    with transaction.atomic():
        mine = Backfill.objects.filter(pk=backfill.pk, claim=backfill.claim, state=BackfillState.SUBMITTING)
        changes = _changes(backfill, verdict)
        if not mine.update(**changes, claim=None, claimed_until=None, version=F("version") + 1):
            return
        if isinstance(verdict, Taken):
            record(backfill.user, "launches.start_backfill", backfill, airflow_id=verdict.found.id)
            wake("launches.watch_backfill", str(backfill.pk))
        elif isinstance(verdict, Refused):
            record(backfill.user, "launches.refuse_backfill", backfill, message=changes["message"])
        else:
            logger.info("Backfill %s is tried again", backfill.pk)


def _changes(backfill: Backfill, verdict: Verdict) -> dict[str, Any]:
    now = timezone.now()
    if isinstance(verdict, Taken):
        state = BackfillState.PAUSED if verdict.found.is_paused else BackfillState.RUNNING
        took = {"airflow_id": verdict.found.id, "accepted_at": now, "checked": True}
        return {"state": state, "message": "", "fields": {}, **took}
    if isinstance(verdict, Refused):
        fields = {
            storable(backfill, name): [storable(backfill, said) for said in all_said]
            for name, all_said in verdict.fields.items()
        }
        said = storable(backfill, verdict.message)
        return {"state": BackfillState.REFUSED, "message": said, "fields": fields, "counts": {}, "finished_at": now}
    pause = min(LONGEST_PAUSE, 2 ** min(backfill.attempts, 10))
    return {"message": storable(backfill, verdict.message), "next_attempt_at": now + timedelta(seconds=pause)}
