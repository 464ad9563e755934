"""One pass over one mapped task: its run, its instances, their results, their errors."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from panel.airflow import Airflow, AirflowError, NotFound
from panel.domain.outcomes import SETTLED, Outcome
from panel.mirror.claims import Claim
from panel.mirror.models import DagRun, MappedTask
from panel.mirror.sync.errors import read_errors
from panel.mirror.sync.instances import RunGone, TaskGone, read_instances
from panel.mirror.sync.outcome_rules import keep_rule
from panel.mirror.sync.resolutions import resolve_results
from panel.mirror.sync.results import read_results
from panel.mirror.sync.runs import is_finished, mark_deleted, plan_mapped_task, store_run
from panel.mirror.sync.store import finish
from panel.servers.client import open_client

QUIET_SECONDS: Final = 15.0
"""The longest interval while the run goes on: of a map that has settled, or in which nothing happens."""
LEFTOVER_SECONDS: Final = (60.0, 900.0)
"""The interval, at first and at most, for a finished run with instances that have not settled."""
LEFTOVERS_GIVEN_UP: Final = timedelta(days=2)
RUN_TOLD: Final = 2.5
"""More than the time between two passes over a server, in terms of MIRROR_FRESH_SECONDS."""
SHARE: Final = 3.0
"""A pass rests at least so many times as long as it took, so that a slow Airflow is asked less often."""


def sync_claimed(claim: Claim[MappedTask], *, full: bool) -> bool:
    """Do one pass and give the claim back. Whether it went well; what went wrong stands in ``last_error``.

    Raises ClaimLost.
    """
    mapped_task = claim.row
    run = mapped_task.run
    try:
        with open_client(run.dag.server) as airflow:
            try:
                left = _pass(airflow, claim, full=full)
            except RunGone:
                mark_deleted(DagRun.objects.filter(pk=run.pk))
                claim.succeed(due_at=None, complete=False)
                return True
            except TaskGone:
                _plan_what_is_there(airflow, run)
                mapped_task.delete()
                return True
    except AirflowError as error:
        MappedTask.objects.filter(pk=mapped_task.pk).update(complete=False)
        claim.fail(error)
        return False
    claim.succeed(due_at=_due_at(claim, left=left), complete=mapped_task.unread_results == 0)
    if not left:
        _note_reconciled(run)
    return True


def _pass(airflow: Airflow, claim: Claim[MappedTask], *, full: bool) -> bool:
    """Whether something is left to read at once."""
    mapped_task = claim.row
    _refresh_run(airflow, mapped_task.run, thoroughly=full)
    keep_rule(claim)
    try:
        read_instances(airflow, claim, full=full)
        results_left = read_results(airflow, claim)
        held_elsewhere_left = resolve_results(claim)
        errors_left = read_errors(airflow, claim)
    except AirflowError:
        finish(claim)  # rows were written before it went wrong, perhaps
        raise
    finish(claim)
    return results_left or held_elsewhere_left or errors_left


def _refresh_run(airflow: Airflow, run: DagRun, *, thoroughly: bool) -> None:
    """The state of the run decides how instances and results are read. That it finished must not be older than they:
    somebody may have cleared some since. That it goes on is told by the passes over its server, every few seconds, with
    one request for all runs; here it is asked when they have not told it for a while, or when somebody waits for all
    there is to know."""
    told = not (thoroughly or is_finished(run) or run.deleted_at)
    fresh = timedelta(seconds=settings.MIRROR_FRESH_SECONDS * (RUN_TOLD if told else 0.5))
    if run.synced_at is not None and run.synced_at > timezone.now() - fresh:
        return
    try:
        row = airflow.runs.find(run.dag.dag_id, run.run_id)
    except NotFound as error:
        raise RunGone from error
    store_run(run, row)


def _plan_what_is_there(airflow: Airflow, run: DagRun) -> None:
    """The run belongs to another version of the Dag than the one that is known: its own rows tell what was mapped."""
    rows = airflow.instances.bulk(run.dag.dag_id, run.run_id)
    for task_id in dict.fromkeys(row.task_id for row in rows if row.map_index >= 0):
        plan_mapped_task(run, task_id)


def _due_at(claim: Claim[MappedTask], *, left: bool) -> datetime | None:
    mapped_task, now = claim.row, timezone.now()
    if left:
        return now
    unsettled = any(outcome not in SETTLED and outcome != Outcome.UNKNOWN_RESULT for outcome in mapped_task.counts)
    if not is_finished(mapped_task.run):
        idle = (now - (mapped_task.changed_at or now)).total_seconds()
        at_work = unsettled or not mapped_task.counts
        seconds = min(QUIET_SECONDS, max(settings.MIRROR_FRESH_SECONDS, idle / 10)) if at_work else QUIET_SECONDS
        return now + timedelta(seconds=max(seconds, SHARE * (now - claim.started_at).total_seconds()))
    since = now - (mapped_task.changed_at or now)
    if not unsettled or since > LEFTOVERS_GIVEN_UP:
        return None
    first, most = LEFTOVER_SECONDS
    return now + timedelta(seconds=min(most, max(first, since.total_seconds() / 4)))


def _note_reconciled(run: DagRun) -> None:
    """The run is reconciled once each of its mapped tasks was read in full after the run's last change."""
    if not is_finished(run) or run.reconciled_at is not None or run.changed_at is None:
        return
    open_tasks = run.mapped_tasks.exclude(complete=True, full_synced_at__gte=run.changed_at)
    with transaction.atomic():
        if not open_tasks.exists():
            same = DagRun.objects.filter(pk=run.pk, changed_at=run.changed_at)
            same.update(reconciled_at=timezone.now(), due_at=None)
