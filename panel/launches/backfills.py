"""What people do with backfills: request one, pause, resume and cancel it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
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
from panel.airflow import Conflict, Unreachable
from panel.launches.audit import record
from panel.launches.backfill_looks import check_asked, check_form, named_ours, why_not_approved, why_not_without_form
from panel.launches.backfill_orders import Asked
from panel.launches.backfill_selectors import backfill_of_key, open_backfill
from panel.launches.backfill_states import UNFINISHED, BackfillState
from panel.launches.conf import secret_names
from panel.launches.dag_forms import FormReading, read_form
from panel.launches.guard_rails import check_active, check_freeze, protection_of
from panel.launches.models import Backfill
from panel.launches.selectors import dag_is_known
from panel.locks import hold_until_commit
from panel.problems import Conflicting, Unprocessable
from panel.servers.client import open_client
from panel.servers.models import Server
from panel.wake import wake

TAGS: Final = 999_999


class RequestedBackfill(NamedTuple):
    """A backfill, and whether this request made it (false: an earlier one with the same key did)."""

    backfill: Backfill
    created: bool


def request_backfill(
    *,
    user: User,
    server: Server,
    dag_id: str,
    asked: Asked,
    idempotency_key: str = "",
    confirm: str | None = None,
    reading: FormReading | None = None,
) -> RequestedBackfill:
    """Store a backfill that the worker will submit. The same key from the same user with the same body gives the same.

    Raises Unprocessable (``fields``; ``confirm``), Conflicting (the key with another body; a Dag that cannot run or be
    backfilled; another backfill of it; a freeze; approval needed), and the AirflowError when the Dag is unknown and
    Airflow cannot be asked.
    """
    authorize(user, Action.LAUNCH)
    check_asked(asked, server, dag_id, idempotency_key)
    body_hash = asked.digest(server, dag_id)
    if earlier := backfill_of_key(user, idempotency_key):
        return _same(earlier, body_hash)
    reading = _checked_form(server, dag_id, asked, reading)
    check_freeze(server, dag_id)
    protection = protection_of(server, dag_id, reading.fields if reading else None, asked.params)
    if said := why_not_approved(user, protection):
        raise Conflicting(said, code="approval_needed")
    if said := why_not_without_form(user, server, dag_id):
        raise Conflicting(said, code="form_needed")
    if protection is not None and (confirm or "").strip() != protection.word:
        said = _("%(why)s Type %(word)s to confirm it.") % {"why": protection.why, "word": protection.word}
        raise Unprocessable(said, {"confirm": [said]}, code="confirmation_needed")
    backfill = _new(user, server, dag_id, asked, reading)
    backfill.protected = protection is not None
    backfill.idempotency_key, backfill.body_hash = idempotency_key or None, body_hash
    try:
        with transaction.atomic():
            hold_until_commit([f"launches.bounds:{server.pk}:{dag_id}"])
            if other := open_backfill(server, dag_id):
                raise Conflicting(named_ours(other), code="backfill_active")
            check_active(server, dag_id)
            backfill.to_date = _tagged(backfill)
            backfill.save(force_insert=True)
            record(user, "launches.request_backfill", backfill, **_trace(backfill))
            wake("launches.submit_backfill", str(backfill.pk))
    except Conflicting:
        # A double click: the first one is the other.
        if winner := backfill_of_key(user, idempotency_key):
            return _same(winner, body_hash)
        raise
    except IntegrityError:
        winner = backfill_of_key(user, idempotency_key)
        if winner is None:
            raise
        return _same(winner, body_hash)
    return RequestedBackfill(backfill, created=True)


def pause_backfill(*, user: User, backfill: Backfill) -> Backfill:
    """Start no further runs; those that run go on. Raises Conflicting, AirflowError."""
    return _steer(user, backfill, "pause")


def resume_backfill(*, user: User, backfill: Backfill) -> Backfill:
    """Start runs again. Raises Conflicting, AirflowError; also while nothing may start."""
    authorize(user, Action.LAUNCH)
    if backfill.server is not None:
        check_freeze(backfill.server, backfill.dag_id)
    return _steer(user, backfill, "unpause")


def cancel_backfill(*, user: User, backfill: Backfill) -> Backfill:
    """Take it back while nothing was sent; else end it in Airflow: its queued runs fail without having run, and those
    that run go on. Raises Conflicting, AirflowError."""
    authorize(user, Action.LAUNCH)
    with transaction.atomic():
        # Conditional: the worker marks sent_at the same way before it sends, and only one of the two finds the row.
        waiting = Backfill.objects.filter(pk=backfill.pk, state=BackfillState.SUBMITTING, sent_at=None)
        taken_back = waiting.update(
            state=BackfillState.CANCELLED,
            message=_("Cancelled by %(name)s before anything was sent.") % {"name": user.get_username()},
            finished_at=timezone.now(),
            version=F("version") + 1,
        )
        if taken_back:
            record(user, "launches.cancel_backfill", backfill)
    if not taken_back:
        return _steer(user, backfill, "cancel")
    backfill.refresh_from_db()
    return backfill


_DONE: Final = {
    "pause": (BackfillState.PAUSED, "launches.pause_backfill"),
    "unpause": (BackfillState.RUNNING, "launches.resume_backfill"),
    "cancel": (BackfillState.CANCELLED, "launches.cancel_backfill"),
}


def _steer(user: User, backfill: Backfill, verb: str) -> Backfill:
    """Ask Airflow for it now; the row follows, and the worker reads what became of the runs."""
    authorize(user, Action.LAUNCH)
    if backfill.server is None:
        raise Conflicting(_("This Airflow server was removed from Mapboard."))
    if backfill.airflow_id is None or backfill.state not in UNFINISHED:
        raise Conflicting(
            _("This backfill is on its way to Airflow. Wait until Airflow has taken it.")
            if backfill.state == BackfillState.SUBMITTING
            else _("This backfill is over; there is nothing to change."),
            code="not_active",
        )
    try:
        with open_client(backfill.server) as airflow:
            getattr(airflow.backfills, verb)(backfill.airflow_id)
    except Conflict as error:
        Backfill.objects.filter(pk=backfill.pk).update(watched_at=None, read_whole_at=None)
        wake("launches.watch_backfill", str(backfill.pk))
        raise Conflicting(_("Airflow says that this backfill is completed already."), code="not_active") from error
    state, action = _DONE[verb]
    with transaction.atomic():
        changes: dict[str, Any] = {"state": state, "message": "", "watched_at": None, "version": F("version") + 1}
        if verb == "cancel":
            changes |= {
                "message": _("Cancelled by %(name)s.") % {"name": user.get_username()},
                "finished_at": timezone.now(),
                "read_whole_at": None,
            }
        Backfill.objects.filter(pk=backfill.pk, state__in=UNFINISHED).update(**changes)
        record(user, action, backfill, airflow_id=backfill.airflow_id)
        wake("launches.watch_backfill", str(backfill.pk))
    backfill.refresh_from_db()
    return backfill


def _checked_form(server: Server, dag_id: str, asked: Asked, reading: FormReading | None) -> FormReading | None:
    """The form that the params fit; ``None`` when Airflow is away and the Dag's params were never read."""
    try:
        reading = reading or read_form(server=server, dag_id=dag_id)
    except Unreachable:
        if not dag_is_known(server, dag_id):
            raise
        return None
    check_form(reading, server, dag_id, asked)
    return reading


def _new(user: User, server: Server, dag_id: str, asked: Asked, reading: FormReading | None) -> Backfill:
    now = timezone.now()
    return Backfill(
        id=uuid4(),
        server=server,
        server_slug=server.slug,
        dag_id=dag_id,
        from_date=asked.from_date.replace(microsecond=0),
        to_date=asked.to_date.replace(microsecond=0),
        reprocess=asked.reprocess,
        max_active_runs=asked.max_active_runs,
        run_backwards=asked.run_backwards,
        params_json=json.dumps(dict(asked.params)),
        # Which are secret is not known without the form: none is shown until it was read (submission).
        secret_params=secret_names(reading.fields) if reading else list(asked.params),
        note=asked.note,
        user=user,
        username=user.get_username(),
        checked=reading is not None and reading.trouble is None,
        next_attempt_at=now,
        deadline_at=now + timedelta(seconds=settings.LAUNCH_DEADLINE_SECONDS),
        created_at=now,
    )


def _tagged(backfill: Backfill) -> datetime:
    """The last moment with microseconds that no other backfill of the Dag has."""
    taken = Backfill.objects.filter(server_slug=backfill.server_slug, dag_id=backfill.dag_id)
    tag = backfill.id.int % TAGS
    while True:
        moment = backfill.to_date.replace(microsecond=1 + tag)
        if not taken.filter(to_date=moment).exists():
            return moment
        tag = (tag + 1) % TAGS


def _trace(backfill: Backfill) -> dict[str, Any]:
    return {
        "from_date": backfill.from_date.isoformat(),
        "to_date": backfill.until.isoformat(),
        "reprocess": str(backfill.reprocess),
        "max_active_runs": backfill.max_active_runs,
        "note": backfill.note,
    }


def _same(earlier: Backfill, body_hash: str) -> RequestedBackfill:
    if earlier.body_hash != body_hash:
        raise Conflicting(
            _("This key has already started a backfill with other values. Use a new key for a new one."),
            {"idempotency_key": [_("Used for backfill %(id)s.") % {"id": earlier.pk}]},
            code="idempotency_key_reused",
        )
    return RequestedBackfill(earlier, created=False)
