"""What stopping a run would do, said before: the numbers are the mirror's, as fresh as the page says."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.domain.outcomes import Outcome
from panel.launches.board import Board
from panel.launches.states import State
from panel.mirror.models import MappedTask
from panel.retries.models import RetryJob
from panel.retries.selectors import unfinished_jobs_of_mapped_tasks
from panel.ui.words import grouped_words


@dataclass(frozen=True, slots=True)
class StopPage:
    """``consequences`` in the order in which they happen; ``jobs`` would start the run again."""

    consequences: list[str]
    warnings: list[str]
    jobs: list[RetryJob]


def stop_page(board: Board) -> StopPage:
    tasks = [task.mapped_task for task in board.tasks]
    jobs = list(unfinished_jobs_of_mapped_tasks([task.pk for task in tasks]))
    return StopPage([*_consequences(board, tasks)], [*_marked_along(tasks)], jobs)


def _consequences(board: Board, tasks: list[MappedTask]) -> list[str]:
    if board.launch.state == State.SUBMITTING:
        return [
            _("Nothing is sent to Airflow again. If what was sent has reached it, its run is ended once it is found."),
        ]
    running = sum(task.counts.get(Outcome.RUNNING.value, 0) for task in tasks)
    waiting = sum(task.counts.get(name.value, 0) for task in tasks for name in (Outcome.WAITING, Outcome.RETRYING))
    return [
        _("Airflow marks the run as failed, and every task that runs in it."),
        _joined(_("Processes that run end at their next heartbeat, as a rule within seconds."), _running(running)),
        _joined(
            _("What waits never starts. Airflow marks it as skipped; in a task of which something runs, as failed."),
            _waiting(waiting),
        ),
        _("What was done stays done: nothing is undone or rolled back."),
    ]


def _marked_along(tasks: list[MappedTask]) -> list[str]:
    """Airflow marks whole tasks: of one in which something runs, those that succeeded as well."""
    warnings = []
    for task in tasks:
        done = task.counts.get(Outcome.SUCCESS.value, 0) + task.counts.get(Outcome.SOFT_FAILURE.value, 0)
        if done and task.counts.get(Outcome.RUNNING.value, 0):
            words = ngettext(
                "%(task)s still runs, and Airflow marks all of its indices as failed, also the %(n)s that has ended "
                "well. It will look failed here and in Airflow: mind that before you retry everything that failed.",
                "%(task)s still runs, and Airflow marks all of its indices as failed, also the %(n)s that have ended "
                "well. They will look failed here and in Airflow: mind that before you retry everything that failed.",
                done,
            )
            warnings.append(words % {"task": task.task_id, "n": grouped_words(done)})
    return warnings


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _running(count: int) -> str:
    said = ngettext("%(n)s index runs now.", "%(n)s indices run now.", count)
    return said % {"n": grouped_words(count)} if count else ""


def _waiting(count: int) -> str:
    said = ngettext("%(n)s index waits now.", "%(n)s indices wait now.", count)
    return said % {"n": grouped_words(count)} if count else ""
