"""Ending a launched run: asked for once, done once, whatever happens in between.

Before anything is sent, Airflow is asked what the run is doing. The request that ends it writes its mark into the run's
note in the same transaction; so after a lost answer, or a killed worker, the run itself tells whether it was done. It
is never repeated while an earlier one may still arrive: a run that somebody has restarted meanwhile would be hit twice.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import Airflow, AirflowError, DagRun, Forbidden, NotFound, Rejected, Unsupported
from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import Outcome
from panel.domain.states import FINISHED_RUN
from panel.launches.approvals import may_launch
from panel.launches.audit import record
from panel.launches.models import Launch, LaunchStop
from panel.launches.selectors import unclaimed
from panel.launches.states import RUN_STATES, State, StopState
from panel.launches.submission import CLAIM, LONGEST_PAUSE, NOTE_LENGTH, Later, storable
from panel.mirror.models import DagRun as MirroredRun
from panel.mirror.models import Instance
from panel.mirror.services import request_run_refresh
from panel.servers.client import open_client
from panel.servers.models import Server

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """It is known what became of it; ``run`` is the run as Airflow has it, where it was read."""

    state: StopState
    message: str = ""
    run: DagRun | None = None


Verdict = Ended | Later


def stop_run(*, stop_id: UUID) -> None:
    """One attempt, unless another worker is at it or there is nothing left to do."""
    stop = _claim(stop_id)
    if stop is None:
        return
    verdict = _attempt(stop)
    if verdict is not None:
        _settle(stop, verdict)


def _claim(stop_id: UUID) -> LaunchStop | None:
    now, claim = timezone.now(), uuid4()
    mine = LaunchStop.objects.filter(unclaimed(now), pk=stop_id, state=StopState.ASKED, next_attempt_at__lte=now)
    if not mine.update(claim=claim, claimed_until=now + CLAIM, attempts=F("attempts") + 1):
        return None
    return LaunchStop.objects.select_related("launch__server", "user").get(pk=stop_id)


def _attempt(stop: LaunchStop) -> Verdict | None:
    """What came of one attempt; ``None`` when another worker has taken over."""
    launch, server = stop.launch, stop.launch.server
    if launch.state == State.SUBMITTING:
        return Later(_("Whether Airflow has taken the launch is being found out first."))
    if launch.state not in RUN_STATES:
        return Ended(StopState.NEEDLESS, _("Airflow never had a run of this launch: there was nothing to stop."))
    if server is None:
        return Ended(StopState.REFUSED, _("This Airflow server was removed from Mapboard: its run was left alone."))
    if stop.sent_at is None and not may_launch(stop.user):
        said = _("%(name)s may no longer stop runs: it was left alone.") % {"name": stop.username}
        return Ended(StopState.REFUSED, said)
    return _asked_of(server, stop)


def _asked_of(server: Server, stop: LaunchStop) -> Verdict | None:
    try:
        with open_client(server) as airflow:
            return _look_and_stop(airflow, stop)
    except AirflowError as error:
        if stop.sent_at is not None:
            return Later(str(error))  # only the run knows whether it was done
        if isinstance(error, Rejected | Unsupported) and not error.retryable:
            return _refusal(error)
        return _too_late(str(error)) if timezone.now() >= stop.deadline_at else Later(str(error))


def _look_and_stop(airflow: Airflow, stop: LaunchStop) -> Verdict | None:
    launch, now = stop.launch, timezone.now()
    try:
        run = airflow.runs.find(launch.dag_id, launch.dag_run_id)
    except NotFound:
        return Ended(StopState.NEEDLESS, _("Airflow no longer has this run: it was deleted there."))
    if stop.sent_at is not None and stop.mark in (run.note or ""):
        return _done(run)
    if run.state in FINISHED_RUN:
        said = _("The run had ended by itself before (%(state)s): there was nothing to stop.") % {"state": run.state}
        return Ended(StopState.NEEDLESS, said, run)
    if stop.sent_at is not None and now < stop.sent_at + timedelta(seconds=settings.RETRY_UNSURE_SECONDS):
        return Later(_("Airflow's answer was lost, and it may still be at it: the run is looked at again."))
    if now >= stop.deadline_at:
        return _too_late()
    return _send(airflow, stop, run) if _mark_sent(stop) else None


def _mark_sent(stop: LaunchStop) -> bool:
    now = timezone.now()
    stop.sent_at = now
    mine = LaunchStop.objects.filter(pk=stop.pk, claim=stop.claim, state=StopState.ASKED)
    stop.succeeded = _succeeded(stop.launch)
    return bool(mine.update(sent_at=now, succeeded=stop.succeeded, claimed_until=now + CLAIM))


def _succeeded(launch: Launch) -> dict[str, list[list[int]]]:
    """By task, what Airflow may mark as failed along with what runs; soft failures have not succeeded."""
    good = Instance.objects.filter(
        mapped_task__run__dag__server=launch.server,
        mapped_task__run__dag__dag_id=launch.dag_id,
        mapped_task__run__run_id=launch.dag_run_id,
        outcome=Outcome.SUCCESS,
    )
    indices: dict[str, list[int]] = {}
    for task_id, index in good.values_list("mapped_task__task_id", "map_index"):
        indices.setdefault(task_id, []).append(index)
    ranges = {task_id: IndexExpression.of(found).ranges for task_id, found in indices.items()}
    return {task_id: [list(pair) for pair in found] for task_id, found in ranges.items()}


def _send(airflow: Airflow, stop: LaunchStop, run: DagRun) -> Verdict:
    try:
        stopped = airflow.runs.mark_failed(run.dag_id, run.dag_run_id, note=_note(stop, run.note or ""))
    except NotFound:
        return Ended(StopState.NEEDLESS, _("Airflow no longer has this run: it was deleted there."))
    except Rejected as error:
        if error.retryable:
            raise
        return _refusal(error)
    return _done(stopped)


def _done(run: DagRun) -> Ended:
    if run.state in FINISHED_RUN:
        return Ended(StopState.DONE, run=run)
    return Ended(StopState.DONE, _("It was stopped; since then somebody has started it again in Airflow."), run)


def _note(stop: LaunchStop, before: str) -> str:
    """What stood there, and who stopped it and why; the latter is never cut away."""
    who = _("Stopped by %(name)s with Mapboard (%(mark)s): %(reason)s") % {
        "name": stop.username,
        "mark": stop.mark,
        "reason": stop.reason,
    }
    room = NOTE_LENGTH - len(who) - 2
    return f"{before[:room]}\n\n{who}" if before and room > 0 else who[:NOTE_LENGTH]


def _too_late(error: str = "") -> Ended:
    said = _(
        "Airflow could not be brought to stop it in time, and a late stop might surprise. The run goes on; stop it "
        "again when Airflow is well."
    )
    return Ended(StopState.REFUSED, f"{said} {error}".strip())


def _refusal(error: AirflowError) -> Ended:
    meaning = _("Airflow did not stop the run; it goes on.")
    if isinstance(error, Forbidden):
        meaning = _("Mapboard's login on this Airflow may not change runs of this Dag; the run goes on.")
    return Ended(StopState.REFUSED, f"{meaning} {error}")


def _settle(stop: LaunchStop, verdict: Verdict) -> None:
    """Write down what came of it, unless another worker has taken over."""
    now, launch = timezone.now(), stop.launch
    with transaction.atomic():
        mine = LaunchStop.objects.filter(pk=stop.pk, claim=stop.claim, state=StopState.ASKED)
        changes = _changes(stop, verdict)
        if not mine.update(**changes, claim=None, claimed_until=None):
            return
        followed = _followed(verdict.run) if isinstance(verdict, Ended) and verdict.run else {}
        if followed:
            # What the mirror has read before this is older: it must not bring the old state back.
            followed["watched_at"] = now
        Launch.objects.filter(pk=launch.pk).update(**followed, version=F("version") + 1)
        if isinstance(verdict, Later):
            logger.info("The stop of launch %s is tried again: %s", launch.pk, type(verdict).__name__)
            return
        told = {"outcome": verdict.state.value, "message": changes["message"], "reason": stop.reason}
        record(stop.user, "launches.stopped", launch, dag_run_id=launch.dag_run_id, asked_by=stop.username, **told)
        _have_the_board_read(launch)


def _changes(stop: LaunchStop, verdict: Verdict) -> dict[str, Any]:
    now, message = timezone.now(), storable(stop.launch, verdict.message)
    if isinstance(verdict, Ended):
        done = verdict.run if verdict.state == StopState.DONE else None
        ended = done.end_date if done and done.state in FINISHED_RUN else None
        return {"state": verdict.state, "message": message, "ended_at": now, "run_ended_at": ended}
    pause = min(LONGEST_PAUSE, 2 ** min(stop.attempts, 10))
    return {"message": message, "next_attempt_at": now + timedelta(seconds=pause)}


def _followed(run: DagRun) -> dict[str, Any]:
    if run.state not in RUN_STATES:
        return {}
    return {"state": run.state, "message": "", "started_at": run.start_date, "finished_at": run.end_date}


def _have_the_board_read(launch: Launch) -> None:
    mirrored = MirroredRun.objects.select_related("dag__server").filter(
        dag__server=launch.server, dag__dag_id=launch.dag_id, run_id=launch.dag_run_id
    )
    if run := mirrored.first():
        request_run_refresh(dag=run.dag, run_id=run.run_id)
