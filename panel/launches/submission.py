"""Bringing a stored launch into Airflow: exactly one run, whatever happens in between.

The run id is ours and Airflow takes each id once; before anything is sent, Airflow is asked whether it has the run
already. So a worker that was killed, a time-out after Airflow did the work, or two workers at once end in one run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import Airflow, AirflowError, Conflict, DagRun, Forbidden, Invalid, NotFound, Rejected, Unsupported
from panel.launches.approvals import objection
from panel.launches.audit import record
from panel.launches.conf import secret_names, secret_texts
from panel.launches.dag_forms import fetch_form
from panel.launches.models import Backfill, Launch, LaunchStop
from panel.launches.models.launches import searchable
from panel.launches.selectors import open_stop, unclaimed
from panel.launches.states import RUN_STATES, State
from panel.mirror.models import MASKED
from panel.servers.client import open_client
from panel.servers.models import Server
from panel.wake import wake

logger = logging.getLogger(__name__)

CLAIM: Final = timedelta(minutes=5)
"""Longer than the few bounded requests of one attempt; a killed worker's launch goes on after it."""
LONGEST_PAUSE: Final = 60
NOTE_LENGTH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Accepted:
    run: DagRun


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was started, and trying again will not help."""

    message: str
    fields: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Later:
    message: str


Verdict = Accepted | Refused | Later


def submit_launch(*, launch_id: UUID) -> None:
    """One attempt, unless another worker is at it or there is nothing to submit."""
    launch = _claim(launch_id)
    if launch is None:
        return
    if launch.server is None:
        verdict: Verdict | None = Refused(_("This Airflow server was removed from Mapboard. Nothing was started."))
    else:
        verdict = _attempt(launch, launch.server)
    if verdict is not None:
        _settle(launch, verdict)


def _claim(launch_id: UUID) -> Launch | None:
    now, claim = timezone.now(), uuid4()
    mine = Launch.objects.filter(unclaimed(now), pk=launch_id, state=State.SUBMITTING, next_attempt_at__lte=now)
    if not mine.update(claim=claim, claimed_until=now + CLAIM, attempts=F("attempts") + 1):
        return None
    return Launch.objects.select_related("server", "user").get(pk=launch_id)


def _attempt(launch: Launch, server: Server) -> Verdict | None:
    """What came of one attempt; ``None`` when the launch was cancelled, or taken over, before anything was sent."""
    try:
        if launch.sent_at is None and (refusal := _refused_before_sending(launch, server)):
            return refusal
        with open_client(server) as airflow:
            return _find_or_send(airflow, launch)
    except AirflowError as error:
        if launch.sent_at is not None:
            return Later(str(error))  # only Airflow knows whether there is a run
        if isinstance(error, Rejected | Unsupported) and not error.retryable:
            return refusal_of(error)
        return too_late(error) if timezone.now() >= launch.deadline_at else Later(str(error))


def _find_or_send(airflow: Airflow, launch: Launch) -> Verdict | None:
    if run := _run_of(airflow, launch):
        return Accepted(run)
    if timezone.now() >= launch.deadline_at:
        return too_late()
    if stop := open_stop(launch):
        return _stopped(stop)
    return _send(airflow, launch) if _mark_sent(launch) else None


def _stopped(stop: LaunchStop) -> Verdict:
    """Somebody wants it stopped, and Airflow does not have it: nothing is sent again, but what was may still arrive."""
    if timezone.now() < stop.asked_at + timedelta(seconds=settings.RETRY_UNSURE_SECONDS):
        return Later(_("It is to be stopped; whether what was sent still reaches Airflow is waited for."))
    said = _("It was stopped by %(name)s before Airflow had it. Nothing was started.") % {"name": stop.username}
    return Refused(said)


def _refused_before_sending(launch: Launch, server: Server) -> Refused | None:
    if not launch.checked and (refusal := _check(launch, server)):
        return refusal
    if said := objection(launch, server):
        return Refused(f"{said} {_('Nothing was started.')}")
    return None


def _check(launch: Launch, server: Server) -> Refused | None:
    """The check that could not be made while Airflow was away."""
    reading = fetch_form(server=server, dag_id=launch.dag_id)
    launch.secret_params = secret_names(reading.fields)
    found = searchable(launch.note, launch.params, launch.secret_params)
    Launch.objects.filter(pk=launch.pk).update(secret_params=launch.secret_params, search_text=found)
    if reading.obstacle:
        return Refused(reading.obstacle)
    if errors := reading.errors(launch.params):
        return Refused(_("Some values do not fit what the Dag asks for. Nothing was started."), errors)
    return None


def _run_of(airflow: Airflow, launch: Launch) -> DagRun | None:
    try:
        return airflow.runs.find(launch.dag_id, launch.dag_run_id)
    except NotFound:
        return None


def _mark_sent(launch: Launch) -> bool:
    now = timezone.now()
    mine = Launch.objects.filter(pk=launch.pk, claim=launch.claim, state=State.SUBMITTING)
    if launch.sent_at is None:
        launch.sent_at = now
        return bool(mine.filter(sent_at=None).update(sent_at=now, claimed_until=now + CLAIM))
    return bool(mine.update(claimed_until=now + CLAIM))


def _send(airflow: Airflow, launch: Launch) -> Verdict:
    try:
        run = airflow.runs.trigger(
            launch.dag_id, run_id=launch.dag_run_id, conf=launch.params, note=airflow_note(launch)
        )
    except Conflict as error:
        found = _run_of(airflow, launch)
        return Accepted(found) if found else refusal_of(error)
    except Rejected as error:
        if error.retryable:
            raise
        return refusal_of(error)
    return Accepted(run)


def airflow_note(launch: Launch) -> str:
    """The note in Airflow says who launched: there the run's user is Mapboard's login."""
    who = _("Launched by %(name)s with Mapboard.") % {"name": launch.username}
    return f"{launch.note}\n\n{who}"[:NOTE_LENGTH] if launch.note else who[:NOTE_LENGTH]


def too_late(error: AirflowError | None = None) -> Refused:
    why = f" {error}" if error else ""
    return Refused(
        _(
            "Airflow could not be brought to take this launch in time, and a late start might surprise. Nothing was "
            "started. Launch again when Airflow is well."
        )
        + why
    )


def refusal_of(error: AirflowError) -> Refused:
    """Airflow's no, in words that say what it means; its own words follow."""
    fields = error.fields if isinstance(error, Rejected) else {}
    if isinstance(error, NotFound):
        meaning = _("Airflow does not know this Dag any more: it was removed, or its file no longer loads.")
    elif isinstance(error, Forbidden):
        meaning = _("Mapboard's login on this Airflow may not start runs of this Dag.")
    elif isinstance(error, Invalid) and fields:
        meaning = _("Airflow did not accept the values.")
    elif isinstance(error, Invalid):
        meaning = _("Airflow did not accept this launch.")
    else:
        meaning = ""
    parts = [meaning, _("Nothing was started."), str(error)]
    return Refused(" ".join(part for part in parts if part), _by_param(fields))


def _by_param(fields: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Airflow names a param, or the place in the body it was in."""
    return {name.removeprefix("conf."): messages for name, messages in fields.items()}


def _settle(launch: Launch, verdict: Verdict) -> None:
    """Write down what came of it, unless another worker has taken over."""
    with transaction.atomic():
        mine = Launch.objects.filter(pk=launch.pk, claim=launch.claim, state=State.SUBMITTING)
        written = mine.update(**_changes(launch, verdict), claim=None, claimed_until=None, version=F("version") + 1)
        if not written:
            return
        if isinstance(verdict, Accepted):
            _record(launch, "launches.start")
            wake("launches.mirror_run", str(launch.pk))
        elif isinstance(verdict, Refused):
            _record(launch, "launches.refuse", message=storable(launch, verdict.message))
        else:
            logger.info("Launch %s is tried again: %s", launch.pk, type(verdict).__name__)


def _changes(launch: Launch, verdict: Verdict) -> dict[str, Any]:
    now = timezone.now()
    if isinstance(verdict, Accepted):
        run = verdict.run
        state = run.state if run.state in RUN_STATES else State.QUEUED
        times = {"started_at": run.start_date, "finished_at": run.end_date}
        return {"state": state, "message": "", "fields": {}, "accepted_at": now, "checked": True, **times}
    if isinstance(verdict, Refused):
        fields = {
            storable(launch, name): [storable(launch, said) for said in all_said]
            for name, all_said in verdict.fields.items()
        }
        return {
            "state": State.REFUSED,
            "message": storable(launch, verdict.message),
            "fields": fields,
            "finished_at": now,
        }
    pause = min(LONGEST_PAUSE, 2 ** min(launch.attempts, 10))
    return {"message": storable(launch, verdict.message), "next_attempt_at": now + timedelta(seconds=pause)}


def storable(launch: Launch | Backfill, text: str) -> str:
    """PostgreSQL takes no NUL; what Airflow says may hold one, or the secret value that it did not like."""
    for secret in secret_texts(launch):
        text = text.replace(secret, MASKED)
    return text.replace("\x00", "")


def _record(launch: Launch, action: str, **detail: Any) -> None:
    record(launch.user, action, launch, dag_run_id=launch.dag_run_id, **detail)
