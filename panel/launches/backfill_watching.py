"""A backfill and its runs follow Airflow, at one rhythm whether somebody looks or not."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import Airflow, AirflowError, DagRun, NotFound
from panel.airflow import Backfill as AirflowBackfill
from panel.domain.states import FAILED, FINISHED_RUN, QUEUED
from panel.launches.backfill_orders import MOST_RUNS
from panel.launches.backfill_selectors import ASK_EVERY, backfills_to_ask_about, due_backfills
from panel.launches.backfill_states import LEFT_OUT, MOVING, NEVER_RAN, WAITING, BackfillState
from panel.launches.models import Backfill, BackfillRun
from panel.servers.client import open_client
from panel.wake import wake

logger = logging.getLogger(__name__)

WAKES_A_SWEEP: Final = 50
MARGIN: Final = timedelta(seconds=60)
"""Changes are asked for from so long before the last look on: Airflow's rows appear later than they say (§3)."""
WHOLE_EVERY: Final = timedelta(minutes=5)
_OVER: Final = (BackfillState.DONE, BackfillState.CANCELLED)


def sweep_backfills() -> None:
    """Wake whoever has something to do."""
    now = timezone.now()
    for backfill_id in due_backfills(now, WAKES_A_SWEEP):
        wake("launches.submit_backfill", str(backfill_id))
    for backfill_id in backfills_to_ask_about(now).values_list("pk", flat=True)[:WAKES_A_SWEEP]:
        wake("launches.watch_backfill", str(backfill_id))


def watch_backfill(*, backfill_id: UUID) -> None:
    """Read what became of it, one worker at a time and not more often than every few seconds.

    When the server cannot be asked, that is noted on the server and a later sweep tries again.
    """
    backfill = Backfill.objects.select_related("server").filter(pk=backfill_id, airflow_id__isnull=False).first()
    now = timezone.now()
    if backfill is None or backfill.server is None or not _asked_again(backfill, now):
        return
    try:
        with open_client(backfill.server) as airflow:
            _follow(airflow, backfill, now)
    except AirflowError as error:
        logger.info("Backfill %s cannot be followed now: %s", backfill.pk, error.code)


def _asked_again(backfill: Backfill, now: datetime) -> bool:
    due = Q(watched_at=None) | Q(watched_at__lt=now - ASK_EVERY)
    return bool(Backfill.objects.filter(due, pk=backfill.pk).update(watched_at=now))


def _follow(airflow: Airflow, backfill: Backfill, now: datetime) -> None:
    try:
        found = airflow.backfills.get(backfill.airflow_id or 0)
        over = found.completed_at is not None
        whole = over or backfill.read_whole_at is None or backfill.read_whole_at < now - WHOLE_EVERY
        rows = _rows(airflow, backfill, whole=whole)
    except NotFound:
        _gone(backfill, now)
        return
    if found.to_date != backfill.to_date:  # an Airflow that was set up anew counts from 1 again
        _gone(backfill, now)
        return
    with transaction.atomic():
        changed = _store_runs(backfill, rows, over=over)
        counts = dict(Counter(BackfillRun.objects.filter(backfill=backfill).values_list("state", flat=True)))
        state = _state(backfill, found, counts)
        changes: dict[str, Any] = {"synced_at": now, "counts": counts}
        if whole:
            changes["read_whole_at"] = now
        if changed or state != backfill.state or counts != backfill.counts:
            changes |= {"state": state, "version": F("version") + 1}
        if over and backfill.finished_at is None:
            changes["finished_at"] = found.completed_at
        # Conditional: who cancelled it meanwhile is not overruled by what was read before.
        Backfill.objects.filter(pk=backfill.pk, state=backfill.state).update(**changes)


def _rows(airflow: Airflow, backfill: Backfill, *, whole: bool) -> list[DagRun]:
    """Its runs in Airflow, and those of earlier backfills of the range; all, or what changed since the last look."""
    since = None if whole or backfill.synced_at is None else backfill.synced_at + airflow.clock_ahead - MARGIN
    return airflow.runs.list(
        backfill.dag_id,
        dates=(backfill.from_date, backfill.to_date),
        run_type="backfill",
        updated_after=since,
        order_by="logical_date",
        limit=2 * MOST_RUNS,
    )


def _gone(backfill: Backfill, now: datetime) -> None:
    said = _("Airflow no longer has this backfill, or its Dag: it was deleted there.")
    state = BackfillState.DONE if backfill.state not in _OVER else backfill.state
    ended = {name: count for name, count in backfill.counts.items() if name not in MOVING}
    Backfill.objects.filter(pk=backfill.pk).update(
        state=state, message=said, counts=ended, finished_at=backfill.finished_at or now, version=F("version") + 1
    )


def _state(backfill: Backfill, found: AirflowBackfill, counts: dict[str, int]) -> str:
    if found.completed_at is None:
        return BackfillState.PAUSED if found.is_paused else BackfillState.RUNNING
    if backfill.state == BackfillState.CANCELLED or counts.get(NEVER_RAN):
        return BackfillState.CANCELLED
    return BackfillState.DONE


def _store_runs(backfill: Backfill, rows: list[DagRun], *, over: bool) -> bool:
    """Bring the planned runs up to date; whether any changed. Runs of other dates are another backfill's."""
    planned = {run.logical_date: run for run in BackfillRun.objects.filter(backfill=backfill)}
    changed = []
    version = backfill.version + 1
    seen = set()
    for row in rows:
        run = planned.get(row.logical_date) if row.logical_date else None
        if run is None:
            continue
        seen.add(run.pk)
        values = _columns(row)
        if any(getattr(run, name) != value for name, value in values.items()):
            for name, value in {**values, "version": version}.items():
                setattr(run, name, value)
            changed.append(run)
    if over:
        for run in planned.values():
            if run.pk not in seen and run.state == WAITING:
                run.state, run.version = LEFT_OUT, version
                changed.append(run)
    names = ["run_id", "state", "start_date", "end_date", "version"]
    BackfillRun.objects.bulk_update(changed, names, batch_size=200)
    return bool(changed)


def _columns(row: DagRun) -> dict[str, Any]:
    """A queued run has a start already, that of its making; one that was cancelled while queued has no end."""
    began = row.state != QUEUED
    state = NEVER_RAN if row.state == FAILED and row.end_date is None else row.state
    return {
        "run_id": row.dag_run_id[:250],
        "state": state[:20],
        "start_date": row.start_date if began and state != NEVER_RAN else None,
        "end_date": row.end_date if row.state in FINISHED_RUN else None,
    }
