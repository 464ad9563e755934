"""What came of a launch, in one sentence that can be pasted, and the targets that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import FAILURES, Outcome
from panel.domain.selection import Selection
from panel.domain.states import FINISHED_RUN
from panel.launches.board import Board, TaskBoard
from panel.launches.comparison import Row, compared
from panel.launches.dag_forms import known_fields
from panel.launches.expected import MOST_TARGETS, listing_param
from panel.launches.models import Launch, LaunchStop
from panel.launches.rollback import ENV_NAMES
from panel.launches.states import State
from panel.mirror import selectors as mirror
from panel.mirror.filters import query_of
from panel.mirror.models import Instance
from panel.ui.words import grouped_words

MOST_NAMED: Final = 5
"""Failed targets that the sentence names."""
MOST_LISTED: Final = 20
LONGEST_VALUE: Final = 60
LONGEST_EXPRESSION: Final = 1_500
"""What an address has room for."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A failed target of one mapped task."""

    task: TaskBoard
    instance: Instance

    @property
    def name(self) -> str:
        return self.instance.label or f"{self.task.mapped_task.task_id} {self.instance.map_index}"

    @property
    def words(self) -> str:
        """``eu-west-3 failed (TimeoutError)``"""
        if self.instance.outcome == Outcome.UPSTREAM_FAILED:
            return _("%(target)s did not run (upstream failed)") % {"target": self.name}
        if self.instance.error_type:
            return _("%(target)s failed (%(error)s)") % {"target": self.name, "error": self.instance.error_type}
        return _("%(target)s failed") % {"target": self.name}


@dataclass(frozen=True, slots=True)
class Retry:
    """The retry of what failed of one mapped task; ``query`` is ``""`` where it is too long for an address."""

    task: TaskBoard
    count: int
    query: str


@dataclass(frozen=True, slots=True)
class FinalCheck:
    """``more``: failed targets that are not listed. ``marked_along``: targets that had succeeded before a stop, and
    which Airflow shows as failed because of it; they are not among the failed."""

    sentence: str
    failed: list[Failed]
    more: int
    retries: list[Retry]
    marked_along: int


@dataclass(frozen=True, slots=True)
class _Failures:
    """What failed of one mapped task, by itself or because it was stopped."""

    task: TaskBoard
    indices: IndexExpression
    marked_along: int

    @property
    def rows(self) -> list[Instance]:
        rows = mirror.instances(self.task.mapped_task).filter(outcome__in=FAILURES)
        if not self.marked_along:
            return list(rows[:MOST_LISTED])
        return [row for row in rows if row.map_index in self.indices][:MOST_LISTED]

    @property
    def retry(self) -> Retry:
        if not self.marked_along:
            return Retry(self.task, len(self.indices), self.task.failures_query)
        expression = str(self.indices)
        query = query_of(Selection(indices=self.indices)) if len(expression) <= LONGEST_EXPRESSION else ""
        return Retry(self.task, len(self.indices), query)


def final_check(board: Board) -> FinalCheck | None:
    """``None`` while the run, or the reading of its results, goes on."""
    if board.launch.state not in FINISHED_RUN or board.is_live:
        return None
    stop = _stop_that_ended(board)
    failures = [_failures(task, stop) for task in board.tasks if task.failing]
    failing = sum(len(one.indices) for one in failures)
    failed = [Failed(one.task, row) for one in failures for row in one.rows][:MOST_LISTED]
    along = sum(one.marked_along for one in failures)
    sentence = f"{_title(board.launch)}: {_result(board, failed, failing, along, stop)}"
    retries = [one.retry for one in failures if one.indices]
    return FinalCheck(" ".join(sentence.split()), failed, failing - len(failed), retries, along)


def _stop_that_ended(board: Board) -> LaunchStop | None:
    """The stop that ended the run as it is shown; a retry since then has given it another end."""
    stop, run = board.launch.ended_by_stop, board.run
    return None if stop and run and run.end_date and run.end_date != stop.run_ended_at else stop


def _failures(task: TaskBoard, stop: LaunchStop | None) -> _Failures:
    indices = mirror.instances(task.mapped_task).filter(outcome__in=FAILURES).values_list("map_index", flat=True)
    ranges = stop.succeeded.get(task.mapped_task.task_id, []) if stop else []
    before = IndexExpression(tuple((first, last) for first, last in ranges))
    found = list(indices)
    kept = [index for index in found if index not in before]
    return _Failures(task, IndexExpression.of(kept), len(found) - len(kept))


def _title(launch: Launch) -> str:
    """``deploy 1.2.3 to prod``: with the params of these names, where the Dag has them and they are no secret."""
    rows: dict[str, Row] = {}
    if launch.server is not None:
        fields = known_fields(launch.server, launch.dag_id)
        rows = {row.name: row for row in compared(fields, launch.params, None, secrets=launch.secret_params).rows}
    hidden = set(launch.secret_params)
    version = _said(rows.get("version"), hidden)
    place = next((said for name in ENV_NAMES if (said := _said(rows.get(name), hidden))), "")
    title = f"{launch.dag_id} {version}".strip()
    return _("%(what)s to %(place)s") % {"what": title, "place": place} if place else title


def _said(row: Row | None, hidden: set[str]) -> str:
    if row is None or row.name in hidden or not isinstance(row.value, str | int) or isinstance(row.value, bool):
        return ""
    return str(row.value)[:LONGEST_VALUE]


def _result(board: Board, failed: list[Failed], failing: int, along: int, stop: LaunchStop | None) -> str:
    """After a stop only what failed by itself, with an error, is named."""
    named = [one for one in failed if one.instance.error_type] if stop else failed
    parts = [_successes(board, along, stop), *(one.words for one in named[:MOST_NAMED])]
    if failing > MOST_NAMED and not stop:
        more = failing - MOST_NAMED
        parts.append(ngettext("and %(n)s more failed", "and %(n)s more failed", more) % {"n": grouped_words(more)})
    skipped = sum(task.mapped_task.counts.get(Outcome.SKIPPED.value, 0) for task in board.tasks)
    if skipped and not stop:
        parts.append(_("%(n)s skipped") % {"n": grouped_words(skipped)})
    parts.append(_of_the_run(board, failing, stop))
    return f"{', '.join(part for part in parts if part)}."


def _successes(board: Board, along: int, stop: LaunchStop | None) -> str:
    total = sum(task.mapped_task.total for task in board.tasks)
    if not total:
        return ""
    good = along + sum(task.mapped_task.counts.get(Outcome.SUCCESS.value, 0) for task in board.tasks)
    said = {"good": grouped_words(good), "total": grouped_words(total), "targets": _noun(board, total)}
    if stop:
        words = _("%(good)s of %(total)s %(targets)s had succeeded when %(name)s stopped it")
        return words % {**said, "name": stop.username}
    words = (
        _("all %(total)s %(targets)s succeeded") if good == total else _("%(good)s of %(total)s %(targets)s succeeded")
    )
    return words % said


def _noun(board: Board, total: int) -> str:
    """The name of the param that lists the targets, as ``regions``, where one does."""
    if 1 < total <= MOST_TARGETS and len(board.tasks) == 1:
        labels = [row.label for row in mirror.instances(board.tasks[0].mapped_task) if row.label]
        if name := listing_param(board.launch.params, labels, board.launch.secret_params):
            return name
    return ngettext("target", "targets", total)


def _of_the_run(board: Board, failing: int, stop: LaunchStop | None) -> str:
    launch, has_targets = board.launch, any(task.mapped_task.total for task in board.tasks)
    if stop:
        return "" if has_targets else _("stopped by %(name)s") % {"name": stop.username}
    if launch.state == State.FAILED and not failing:
        return _("but the run failed") if has_targets else _("the run failed")
    return "" if has_targets else _("the run succeeded")
