"""What happened to a launch, one line a step, from the rows that the steps left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _

from panel.launches.board import Board
from panel.launches.models import Launch, LaunchStop
from panel.launches.states import State, StopState
from panel.retries.selectors import jobs_of_mapped_tasks


@dataclass(frozen=True, slots=True)
class Step:
    """``comment`` is what the person said; ``url`` leads to more."""

    at: datetime
    text: str
    comment: str = ""
    url: str = ""


def timeline_of(board: Board) -> list[Step]:
    """Newest last."""
    steps = [*_before_the_run(board.launch), *_of_the_run(board.launch), *_stops(board.launch), *_retries(board)]
    return sorted(steps, key=lambda step: step.at)


def _before_the_run(launch: Launch) -> Iterator[Step]:
    yield Step(launch.created_at, _("%(name)s asked for it") % {"name": launch.username}, launch.note)
    if launch.decided_at:
        words = _("%(name)s rejected it") if launch.state == State.REJECTED else _("%(name)s approved it")
        yield Step(launch.decided_at, words % {"name": launch.decided_by_name}, launch.decision_comment)
    if launch.sent_at:
        yield Step(launch.sent_at, _("Sent to Airflow"))
    if launch.state in {State.EXPIRED, State.CANCELLED, State.REFUSED} and launch.finished_at:
        yield Step(launch.finished_at, launch.message or str(State(launch.state).label))


def _of_the_run(launch: Launch) -> Iterator[Step]:
    if launch.accepted_at:
        yield Step(launch.accepted_at, _("Airflow took it; the run waits in its queue"))
    if not launch.has_run:
        return
    if launch.started_at:
        yield Step(launch.started_at, _("The run started"))
    if launch.finished_at:
        words = _("The run ended: success") if launch.state == State.SUCCESS else _("The run ended: failed")
        yield Step(launch.finished_at, words, launch.message)


def _stops(launch: Launch) -> Iterator[Step]:
    for stop in launch.stops.all():
        yield Step(stop.asked_at, _("%(name)s asked to stop it") % {"name": stop.username}, stop.reason)
        if stop.ended_at:
            yield Step(stop.ended_at, _outcome_of(stop), stop.message)


def _outcome_of(stop: LaunchStop) -> str:
    if stop.state == StopState.DONE:
        return _("Stopped: Airflow marked the run as failed")
    return _("There was nothing to stop") if stop.state == StopState.NEEDLESS else _("It was not stopped")


def _retries(board: Board) -> Iterator[Step]:
    for job in jobs_of_mapped_tasks([task.mapped_task.pk for task in board.tasks]):
        words = _("%(name)s asked for a retry of its targets: job %(job)s")
        if job.marks_as:
            words = _("%(name)s asked to mark its targets: job %(job)s")
        url = reverse("retries:job_detail", args=[job.pk])
        yield Step(job.created_at, words % {"name": job.username, "job": job.short_id}, job.reason, url)
