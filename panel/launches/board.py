"""The live board of a launch: what becomes of each target, read from the mirror."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.functional import cached_property

from panel.domain.outcomes import FAILURES, Outcome
from panel.domain.selection import Selection
from panel.domain.states import FINISHED
from panel.launches.expected import Expected, ExpectedTask, expected_targets
from panel.launches.models import Launch
from panel.launches.states import LIVE
from panel.mirror import selectors as mirror
from panel.mirror.filters import query_of
from panel.mirror.models import Dag, DagRun, Instance, MappedTask

MOST_ROWS: Final = 100
"""Of a larger map the board shows what needs attention; the rest is on the page of the mapped task."""


@dataclass(frozen=True)
class TaskBoard:
    """One mapped task of the run."""

    mapped_task: MappedTask

    @cached_property
    def rows(self) -> list[Instance]:
        """All instances by map index; of a large map those that failed, run, or are tried again."""
        instances = mirror.instances(self.mapped_task)
        if self.mapped_task.total > MOST_ROWS:
            instances = instances.filter(outcome__in=[*FAILURES, Outcome.RUNNING, Outcome.RETRYING])
        return list(instances[:MOST_ROWS])

    @property
    def failing(self) -> int:
        return self.mapped_task.failing

    @property
    def failures_query(self) -> str:
        return query_of(Selection(outcomes=FAILURES))

    @property
    def waits_to_expand(self) -> bool:
        """Airflow has not made its targets yet, and may still do so."""
        return not self.mapped_task.total and self.mapped_task.unexpanded_state not in FINISHED

    @property
    def is_shortened(self) -> bool:
        return self.mapped_task.total > MOST_ROWS


@dataclass(frozen=True)
class Board:
    """A launch with its run as the mirror has it."""

    launch: Launch
    dag: Dag | None
    run: DagRun | None
    tasks: list[TaskBoard]

    @property
    def is_live(self) -> bool:
        """Whether anything is expected to change by itself."""
        return self.launch.state in LIVE or any(not task.mapped_task.complete for task in self.tasks)

    @property
    def synced_at(self) -> datetime | None:
        """How old the oldest part of what is shown is."""
        if self.run is None:
            return self.launch.watched_at or self.launch.accepted_at
        ages = [self.run.synced_at, *(task.mapped_task.synced_at for task in self.tasks)]
        known = [age for age in ages if age is not None]
        return min(known) if known else None

    @property
    def has_no_targets(self) -> bool:
        """The Dag is known to have no mapped tasks."""
        return self.dag is not None and self.dag.structure_synced_at is not None and not self.dag.mapped_task_ids

    @cached_property
    def expected(self) -> Expected | None:
        """The targets to expect while Airflow has not made them; reads instances, so only what is shown asks for it."""
        waits = not self.tasks or any(task.waits_to_expand for task in self.tasks)
        return expected_targets(self.launch, self.dag) if self.launch.state in LIVE and waits else None

    @property
    def expected_by_task(self) -> dict[str, ExpectedTask]:
        return {task.task_id: task for task in self.expected.tasks} if self.expected else {}

    @cached_property
    def task_set(self) -> str:
        """Changes when a mapped task comes or goes, or what stands in the place of them does."""
        keys = [str(task.mapped_task.pk) for task in self.tasks]
        names = "\x1f".join([*keys, str(self.launch.has_run), str(self.has_no_targets)])
        return hashlib.sha256(names.encode()).hexdigest()[:12]

    @property
    def version(self) -> str:
        """Changes with everything the board shows; reading it reads no instances."""
        tasks = sum(task.mapped_task.version for task in self.tasks)
        state = f"{self.run.state}" if self.run else ""
        return f"{self.launch.version}.{self.task_set}.{tasks}.{state}"

    def has_same_tasks(self, version: str) -> bool:
        """Whether a page that shows ``version`` has a place for each mapped task."""
        return version.split(".")[1:2] == [self.task_set]


def board_of(launch: Launch) -> Board:
    try:
        run: DagRun | None = mirror.run(launch.server_slug, launch.dag_id, launch.dag_run_id)
    except DagRun.DoesNotExist:
        run = None
    if run is None:
        return Board(launch, _dag(launch), None, [])
    tasks = [TaskBoard(mapped_task) for mapped_task in mirror.mapped_tasks_of(run)]
    return Board(launch, run.dag, run, tasks)


def _dag(launch: Launch) -> Dag | None:
    try:
        return mirror.dag(launch.server_slug, launch.dag_id)
    except Dag.DoesNotExist:
        return None
