"""The plan of one run while it is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.utils.translation import gettext as _

from panel.airflow import ClearedInstance
from panel.domain.index_expression import IndexExpression
from panel.mirror.models import DagRun, mapped_task_uuid
from panel.retries.choice import RunChoice, TaskChoice
from panel.retries.structure import Structure

LONGEST_SHOWN = 200


@dataclass(slots=True)
class Draft:
    """``reasons`` are ``(why, task_id, map_index)`` of what is left out, the first ``by_mirror`` of them by what the
    mirror says. ``rows`` are those of Airflow's dry run, what runs again downstream included.
    """

    run: DagRun
    choice: RunChoice
    structure: Structure
    reasons: list[tuple[str, str, int]]
    warnings: list[str]
    by_mirror: int = 0
    rows: dict[tuple[str, int], ClearedInstance] = field(default_factory=dict)

    @classmethod
    def of(cls, run: DagRun) -> Draft:
        structure = Structure.of(run.dag.tasks)
        return cls(run, RunChoice(run.dag.dag_id, run.run_id, []), structure, [], [])

    @property
    def server_slug(self) -> str:
        return self.run.dag.server.slug

    def mapped_task_id(self, task_id: str) -> UUID:
        """Also of a task without a map."""
        return mapped_task_uuid(self.server_slug, self.choice.dag_id, self.choice.run_id, task_id)

    def leave_out(self, task: TaskChoice, why: str, indices: Iterable[int]) -> None:
        gone = frozenset(indices)
        self.reasons += [(why, task.task_id, index) for index in sorted(gone)]
        task.drop(gone)

    def settle(self) -> None:
        """Upstream tasks before downstream tasks, indices in order, tasks without any gone."""
        for task in self.choice.tasks:
            task.chosen.sort(key=lambda candidate: candidate.map_index)
        tasks = [task for task in self.choice.tasks if task.chosen]
        self.choice.tasks = sorted(tasks, key=lambda task: (task.position, task.task_id))


def shown(indices: Iterable[int]) -> str:
    text = str(IndexExpression.of(index for index in indices if index >= 0)) or _("the whole task")
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
