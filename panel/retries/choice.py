"""What of a selection may be retried, and why the rest is left out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from django.utils.translation import gettext as _

from panel.domain.index_expression import MAX_INDEX, IndexExpression
from panel.domain.outcomes import FAILURES, Outcome


@dataclass(frozen=True, slots=True)
class Candidate:
    """One instance as it was when the plan was made; ``map_index`` is -1 for an unmapped task."""

    map_index: int
    ti_id: str
    try_number: int
    outcome: Outcome
    label: str = ""
    error_type: str = ""
    error_message: str = ""
    error_group: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Indices of one task that the retry does not take on, all for the same reason."""

    why: str
    task_id: str
    indices: IndexExpression
    count: int

    def as_json(self) -> dict[str, object]:
        return {"why": self.why, "task_id": self.task_id, "count": self.count, "indices": str(self.indices)}


@dataclass(slots=True)
class TaskChoice:
    """What is retried of one task of one run. ``as_upstream``: not asked for, but needed by indices below it.

    ``pool_slots`` is what one instance takes of ``pool``, which is "" where Airflow did not say.
    """

    task_id: str
    mapped_task_id: UUID
    position: int
    chosen: list[Candidate]
    as_upstream: bool = False
    pool: str = ""
    pool_slots: int = 1

    @property
    def indices(self) -> IndexExpression:
        return IndexExpression.of(candidate.map_index for candidate in self.chosen if candidate.map_index >= 0)

    def add(self, candidates: Iterable[Candidate]) -> None:
        known = {candidate.map_index for candidate in self.chosen}
        self.chosen += [candidate for candidate in candidates if candidate.map_index not in known]
        self.chosen.sort(key=lambda candidate: candidate.map_index)

    def drop(self, indices: frozenset[int]) -> None:
        self.chosen = [candidate for candidate in self.chosen if candidate.map_index not in indices]


@dataclass(slots=True)
class RunChoice:
    """What is retried in one Dag run. ``downstream`` and ``followers`` as in RetryRun."""

    dag_id: str
    run_id: str
    tasks: list[TaskChoice]
    downstream: list[str] = field(default_factory=list)
    followers: dict[str, list[str]] = field(default_factory=dict)

    def task(self, task_id: str) -> TaskChoice | None:
        return next((task for task in self.tasks if task.task_id == task_id), None)

    @property
    def count(self) -> int:
        return sum(len(task.chosen) for task in self.tasks)


@dataclass(slots=True)
class Plan:
    """Everything a retry would do.

    ``unread`` counts instances whose result is not known to Mapboard, ``notes`` those whose note in Airflow will be
    replaced; ``outdated``: a run is of an older version of its Dag than the latest. ``picked`` is the digest of what
    the mirror alone chose, ``left_out_by_airflow`` what Airflow's answers took away from that (it is part of
    ``left_out``), and ``seen_at`` the time (by the clock that is behind) as of which Airflow's rows are known.
    """

    runs: list[RunChoice]
    left_out: list[LeftOut] = field(default_factory=list)
    left_out_by_airflow: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unread: int = 0
    notes: int = 0
    outdated: bool = False
    picked: str = ""
    seen_at: datetime | None = None

    @property
    def tasks(self) -> list[TaskChoice]:
        return [task for run in self.runs for task in run.tasks]

    @property
    def count(self) -> int:
        return sum(run.count for run in self.runs)

    @property
    def downstream(self) -> list[str]:
        """The ids of all tasks that run again below the chosen instances."""
        found: dict[str, None] = {}
        for run in self.runs:
            for below in run.followers.values():
                found.update(dict.fromkeys(below))
            found.update(dict.fromkeys(run.downstream))
        return list(found)


_NEVER: Final = {
    Outcome.RUNNING: lambda: _("running now"),
    Outcome.RETRYING: lambda: _("waits for Airflow's own retry"),
    Outcome.WAITING: lambda: _("has not run yet: it waits to start"),
    Outcome.REMOVED: lambda: _("removed: the map shrank"),
}
_WHEN_TICKED: Final = {
    Outcome.SUCCESS: lambda: _("succeeded"),
    Outcome.SKIPPED: lambda: _("skipped by Airflow"),
    Outcome.UNKNOWN_RESULT: lambda: _("succeeded, but its result is not read: whether it failed softly is not known"),
}


_STATES: Final = {
    Outcome.SUCCESS: "success",
    Outcome.SOFT_FAILURE: "success",
    Outcome.UNKNOWN_RESULT: "success",
    Outcome.HARD_FAILURE: "failed",
    Outcome.SKIPPED: "skipped",
}


def why_not(outcome: Outcome, *, include_settled: bool, marks_as: str = "") -> str:
    """Why an instance with this outcome is left out; "" when it is not.

    Only what has ended is marked. Airflow has no guard against marking what runs: its process goes on until the next
    heartbeat, and what waits may start between our look and the mark.
    """
    if marks_as and _STATES.get(outcome) == marks_as:
        if outcome is Outcome.SOFT_FAILURE:
            return _("Airflow has it as success already; only its result says that it failed")
        return _("is %(state)s already") % {"state": marks_as}
    if outcome in FAILURES or (include_settled and outcome in _WHEN_TICKED):
        return ""
    return (_NEVER.get(outcome) or _WHEN_TICKED[outcome])()


def grouped(reasons: Iterable[tuple[str, str, int]]) -> list[LeftOut]:
    """``(why, task_id, map_index)`` gathered by reason and task, the largest group first."""
    found: dict[tuple[str, str], list[int]] = {}
    for why, task_id, map_index in reasons:
        found.setdefault((why, task_id), []).append(map_index)
    groups = [
        LeftOut(why, task_id, IndexExpression.of(index for index in indices if index >= 0), len(indices))
        for (why, task_id), indices in found.items()
    ]
    return sorted(groups, key=lambda group: -group.count)


def outside(asked: IndexExpression, task_id: str, existing: frozenset[int]) -> LeftOut | None:
    """The indices asked for by number that the map does not have; an open end asks for none."""
    size = max(existing, default=-1) + 1
    closed = IndexExpression(tuple((a, b) for a, b in asked.ranges if b < MAX_INDEX))
    beyond = IndexExpression(tuple((max(a, size), b) for a, b in closed.ranges if b >= size))
    holes = [index for index in asked.within(size) if index not in existing] if size else []
    count = len(beyond) + len(holes)
    if not count:
        return None
    ranges = IndexExpression.of(holes).ranges + beyond.ranges
    return LeftOut(_("not in the map"), task_id, IndexExpression(ranges), count)


def by_outcome(plan: Plan) -> dict[str, int]:
    counts = Counter(candidate.outcome.value for task in plan.tasks for candidate in task.chosen)
    return {outcome.value: counts[outcome.value] for outcome in Outcome if counts[outcome.value]}


@dataclass(frozen=True, slots=True)
class ChosenErrors:
    """Chosen instances whose errors agree; ``message`` is that of the first of them."""

    error_type: str
    message: str
    count: int


def chosen_errors(plan: Plan) -> list[ChosenErrors]:
    """What is retried by its errors, the largest group first."""
    first: dict[str, Candidate] = {}
    for task in plan.tasks:
        for candidate in task.chosen:
            first.setdefault(candidate.error_group, candidate)
    return [
        ChosenErrors(first[group].error_type, first[group].error_message, count)
        for group, count in by_error_group(plan).items()
    ]


def by_error_group(plan: Plan) -> dict[str, int]:
    counts = Counter(candidate.error_group for task in plan.tasks for candidate in task.chosen)
    counts.pop("", None)
    return dict(counts.most_common())
