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
from panel.airflow import Unreachable
from panel.launches.approvals import approval_hash
from panel.launches.audit import record
from panel.launches.board import Board
from panel.launches.conf import digest, secret_names, unsendable_params
from panel.launches.dag_forms import FormReading, read_form
from panel.launches.dependent_options import option_errors
from panel.launches.form_rights import form_to_use
from panel.launches.guard_rails import Protection, check_bounds, check_freeze, protection_of
from panel.launches.mail_orders import order_approval_mails
from panel.launches.models import FormDefinition, Launch
from panel.launches.selectors import dag_is_known, launch_of_key
from panel.launches.shaped_fields import shaped
from panel.launches.states import State
from panel.launches.validation import unsendable
from panel.launches.watching import asked_again
from panel.locks import hold_until_commit
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
    confirm: str | None = None,
    reading: FormReading | None = None,
    form: str = "",
) -> Requested:
    """Store a launch that the worker will submit, at once or when somebody else has approved it.

    The same key from the same user with the same body gives the same launch. ``reading`` spares a caller who has just
    read the Dag's form a second read. ``confirm`` is what was typed to confirm a protected launch; a program (``None``)
    need not where a person approves it. ``form`` is the short name of the launch form it comes through: what that fixes
    and hides holds, whatever was given.

    Raises Unprocessable (``fields`` by param; ``confirm``; ``form``), Conflicting (the key with another body; a Dag
    that cannot run; a form that does not fit it; a freeze; too many active runs), TooMany, and the AirflowError when
    the Dag is unknown and Airflow cannot be asked.
    """
    authorize(user, Action.LAUNCH)
    _check_request(params, note, idempotency_key)
    body_hash = digest(server.slug, dag_id, dict(params), note, *([form] if form else []))
    if earlier := launch_of_key(user, idempotency_key):
        return _same(earlier, body_hash)
    definition = form_to_use(user, server, dag_id, form)
    reading = _launchable(server, dag_id, reading)
    params = _checked_params(definition, reading, params)
    check_freeze(server, dag_id)
    launch = _new(user, server, dag_id, checked=reading is not None and reading.trouble is None)
    launch.params_json, launch.note = json.dumps(dict(params)), note
    launch.idempotency_key, launch.body_hash = idempotency_key or None, body_hash
    if definition is not None:
        launch.form_slug, launch.form_version = definition.slug, definition.version
    # Which are secret is not known without the form: none is shown until it was read (submission).
    launch.secret_params = secret_names(reading.fields) if reading else list(params)
    protection = protection_of(server, dag_id, reading.fields if reading else None, params, definition)
    if protection is not None:
        _protect(launch, protection, reading, confirm)
    try:
        with transaction.atomic():
            hold_until_commit([f"launches.bounds:{server.pk}:{dag_id}"])
            check_bounds(server, dag_id)
            launch.save(force_insert=True)
            record(user, "launches.request", launch, dag_run_id=launch.dag_run_id, note=note, state=launch.state)
            if launch.state == State.SUBMITTING:
                wake("launches.submit", str(launch.pk))
            elif launch.state == State.AWAITING_APPROVAL:
                order_approval_mails(launch)
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
        taken_back = Launch.objects.filter(pk=launch.pk, state__in=[State.SUBMITTING, State.AWAITING_APPROVAL])
        cancelled = taken_back.filter(sent_at=None).update(
            state=State.CANCELLED,
            message=_("Cancelled by %(name)s before anything was sent.") % {"name": user.get_username()},
            finished_at=timezone.now(),
            version=F("version") + 1,
        )
        if cancelled:
            record(user, "launches.cancel", launch)
    launch.refresh_from_db()
    if not cancelled and launch.state != State.CANCELLED:
        if launch.can_be_stopped:
            said = _("This launch was sent to Airflow already and cannot be taken back here. Stop its run instead.")
            raise Conflicting(said, code="use_stop")
        raise Conflicting(_("This launch is over; there is nothing to cancel."))
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


def _launchable(server: Server, dag_id: str, reading: FormReading | None) -> FormReading | None:
    """The form as it is; ``None`` when Airflow is away and the Dag's params were never read."""
    try:
        reading = reading or read_form(server=server, dag_id=dag_id)
    except Unreachable:
        if not dag_is_known(server, dag_id):
            raise
        return None
    if reading.obstacle:
        raise Conflicting(reading.obstacle, code="dag_not_launchable")
    return reading


def _checked_params(
    definition: FormDefinition | None, reading: FormReading | None, params: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What is sent: the params with what the launch form adds, all of which fit the Dag."""
    if reading is None:
        if definition is not None:
            raise Conflicting(
                _("Airflow cannot be asked now whether this launch form still fits its Dag. Try again later."),
                code="dag_not_readable",
            )
        return params
    shape = shaped(reading.fields, definition)
    if shape.obstacles:
        said = _("This launch form does not fit its Dag any more. Ask an administrator to mend it.")
        raise Conflicting(" ".join([said, *shape.obstacles]), code="form_outdated")
    errors = shape.mistakes(params)
    sent = shape.sent(params)
    for name, messages in {**reading.errors(sent), **option_errors(shape, sent)}.items():
        errors.setdefault(name, messages)
    if errors:
        raise Unprocessable(_("Some values do not fit what the Dag asks for. Nothing was started."), errors)
    return sent


def _protect(launch: Launch, protection: Protection, reading: FormReading | None, confirm: str | None) -> None:
    """Raises Unprocessable while it is not confirmed."""
    waits = protection.needs_approval
    if (confirm is not None or not waits) and (confirm or "").strip() != protection.word:
        said = _("%(why)s Type %(word)s to confirm it.") % {"why": protection.why, "word": protection.word}
        raise Unprocessable(said, {"confirm": [said]}, code="confirmation_needed")
    launch.protected = True
    if not waits:
        return
    if reading is None:
        raise Conflicting(
            _("This launch needs approval, and Airflow cannot be asked now what it would be for. Try again later."),
            code="dag_not_readable",
        )
    launch.state = State.AWAITING_APPROVAL
    launch.approval_hash = approval_hash(launch, reading)
    launch.expires_at = launch.created_at + timedelta(hours=protection.approval_hours)


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
