"""What people do with launches: request one, take one back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.access.actions import Action
from panel.access.authorization import authorize
from panel.access.services import record_event
from panel.airflow import Unreachable
from panel.launches.board import Board
from panel.launches.conf import conf_errors, digest, unsendable_params
from panel.launches.dag_forms import FormReading, read_form
from panel.launches.models import Launch
from panel.launches.selectors import dag_is_known, launch_of_key
from panel.launches.states import State
from panel.launches.validation import unsendable
from panel.launches.watching import asked_again
from panel.mirror.services import request_run_refresh
from panel.problems import Conflicting, Unprocessable
from panel.servers.models import Server
from panel.wake import wake

NOTE_LENGTH: Final = 800
"""Airflow takes notes of 1,000 characters; ours also says who launched."""
KEY_LENGTH: Final = 200


class Requested(NamedTuple):
    """A launch, and whether this request made it (false: an earlier one with the same key did)."""

    launch: Launch
    created: bool


def request_launch(
    *,
    user: User,
    server: Server,
    dag_id: str,
    params: Mapping[str, Any],
    note: str = "",
    idempotency_key: str = "",
    reading: FormReading | None = None,
) -> Requested:
    """Store a launch that the worker will submit.

    The same key from the same user with the same body gives the same launch. ``reading`` spares a caller who has just
    read the Dag's form a second read. Raises Unprocessable (``fields`` by param), Conflicting (the key with another
    body; a Dag that cannot run), and the AirflowError when the Dag is unknown and Airflow cannot be asked.
    """
    authorize(user, Action.LAUNCH)
    _check_request(params, note, idempotency_key)
    body_hash = digest(server.slug, dag_id, dict(params), note)
    if earlier := launch_of_key(user, idempotency_key):
        return _same(earlier, body_hash)
    checked = _check_params(server, dag_id, params, reading)
    launch = _new(user, server, dag_id, checked=checked)
    launch.params_json, launch.note = json.dumps(dict(params)), note
    launch.idempotency_key, launch.body_hash = idempotency_key or None, body_hash
    try:
        with transaction.atomic():
            launch.save(force_insert=True)
            _record(user, "launches.request", launch, dag_run_id=launch.dag_run_id, note=note)
            wake("launches.submit", str(launch.pk))
    except IntegrityError:
        # A second request with the same key came in between: it has made the launch.
        winner = launch_of_key(user, idempotency_key)
        if winner is None:
            raise
        return _same(winner, body_hash)
    return Requested(launch, created=True)


def cancel_launch(*, user: User, launch: Launch) -> Launch:
    """Take back a launch of which nothing was sent. Raises Conflicting when it may have reached Airflow already."""
    authorize(user, Action.LAUNCH)
    with transaction.atomic():
        # Conditional: the worker marks sent_at the same way before it sends, and only one of the two finds the row.
        cancelled = Launch.objects.filter(pk=launch.pk, state=State.SUBMITTING, sent_at=None).update(
            state=State.CANCELLED,
            message=_("Cancelled by %(name)s before anything was sent.") % {"name": user.get_username()},
            finished_at=timezone.now(),
            version=F("version") + 1,
        )
        if cancelled:
            _record(user, "launches.cancel", launch)
    launch.refresh_from_db()
    if not cancelled and launch.state != State.CANCELLED:
        raise Conflicting(
            _("This launch was sent to Airflow already and cannot be taken back here. Stop its run in Airflow.")
            if launch.sent_at
            else _("This launch is over; there is nothing to cancel.")
        )
    return launch


def request_board(*, board: Board) -> None:
    """Somebody looks at a launch: have its run and targets read when what is known is older than a few seconds."""
    launch, now = board.launch, timezone.now()
    if board.run is not None:
        request_run_refresh(dag=board.run.dag, run_id=board.run.run_id)
    elif launch.has_run and asked_again(launch, now):
        wake("launches.mirror_run", str(launch.pk))


def _check_request(params: Mapping[str, Any], note: str, idempotency_key: str) -> None:
    fields = unsendable_params(params)
    if len(note) > NOTE_LENGTH:
        fields["note"] = [_("At most %(n)s characters.") % {"n": NOTE_LENGTH}]
    elif problem := unsendable(note):
        fields["note"] = [problem]
    if len(idempotency_key) > KEY_LENGTH or unsendable(idempotency_key):
        fields["idempotency_key"] = [_("At most %(n)s plain characters.") % {"n": KEY_LENGTH}]
    if fields:
        raise Unprocessable(_("Some values cannot be sent. Nothing was started."), fields)


def _check_params(server: Server, dag_id: str, params: Mapping[str, Any], reading: FormReading | None) -> bool:
    """Whether the params could be checked; when Airflow is away and its params were never read they cannot."""
    try:
        reading = reading or read_form(server=server, dag_id=dag_id)
    except Unreachable:
        if not dag_is_known(server, dag_id):
            raise
        return False
    if reading.obstacle:
        raise Conflicting(reading.obstacle, code="dag_not_launchable")
    if errors := conf_errors(reading.fields, params):
        raise Unprocessable(_("Some values do not fit what the Dag asks for. Nothing was started."), errors)
    return reading.trouble is None


def _new(user: User, server: Server, dag_id: str, *, checked: bool) -> Launch:
    now, key = timezone.now(), uuid4()
    return Launch(
        id=key,
        server=server,
        server_slug=server.slug,
        dag_id=dag_id,
        dag_run_id=f"mapboard__{now:%Y-%m-%dT%H:%M:%SZ}__{key.hex[:8]}",
        user=user,
        username=user.get_username(),
        checked=checked,
        next_attempt_at=now,
        deadline_at=now + timedelta(seconds=settings.LAUNCH_DEADLINE_SECONDS),
        created_at=now,
    )


def _same(earlier: Launch, body_hash: str) -> Requested:
    if earlier.body_hash != body_hash:
        raise Conflicting(
            _("This key has already started a launch with other values. Use a new key for a new launch."),
            {"idempotency_key": [_("Used for launch %(id)s.") % {"id": earlier.pk}]},
            code="idempotency_key_reused",
        )
    return Requested(earlier, created=False)


def _record(user: User, action: str, launch: Launch, **detail: Any) -> None:
    record_event(
        user=user,
        action=action,
        target_kind="launch",
        target_id=str(launch.pk),
        server_slug=launch.server_slug,
        detail={"dag_id": launch.dag_id, **detail},
    )
