"""The targets a launch is expected to have, before Airflow has made them: those of the run before it.

Nothing is made up: without a run to the same place whose indices all have labels of their own, there is no expectation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from panel.domain import states
from panel.launches.conf import digest
from panel.launches.dag_forms import known_fields, known_limit
from panel.launches.models import Launch
from panel.launches.rollback import effective, place_name
from panel.mirror import selectors as mirror
from panel.mirror.models import Dag, DagRun, Instance, MappedTask

RUNS_LOOKED_AT: Final = 10
MOST_TARGETS: Final = 200
"""A map of more is not shown target by target anyway."""


@dataclass(frozen=True, slots=True)
class ExpectedTask:
    """A mapped task with its targets in the order of the map, in which Airflow starts them.

    ``listed_by`` is the param that chose them, ``""`` where none does; ``new`` are those it names that the run before
    did not have. ``at_once`` is how many ran at the same moment then; ``pool`` may be shared with other Dags.
    """

    task_id: str
    labels: list[str]
    listed_by: str = ""
    new: list[str] = field(default_factory=list)
    at_once: int = 0
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """``run`` is the one that it is taken from; ``limit`` how many tasks of a run are at work at once, where known."""

    run: DagRun
    tasks: list[ExpectedTask]
    limit: int | None = None


def expected_targets(launch: Launch, dag: Dag | None) -> Expected | None:
    """What the run before this launch lets one expect; ``None`` where nothing does."""
    if dag is None or launch.server is None:
        return None
    fields = known_fields(launch.server, launch.dag_id)
    hidden = {*launch.secret_params, *(field.name for field in fields if field.is_secret)}
    name, asked = place_name(fields, launch), effective(fields, launch.params)
    for run in mirror.runs_of(dag).exclude(run_id=launch.dag_run_id)[:RUNS_LOOKED_AT]:
        given = effective(fields, run.conf)
        elsewhere = name and digest(given.get(name)) != digest(asked.get(name))
        if elsewhere or not any(task.total for task in run.mapped_tasks.all()):
            continue
        tasks = [found for task in run.mapped_tasks.all() if (found := _expected(task, dag, asked, given, hidden))]
        return Expected(run, tasks, known_limit(launch.server, launch.dag_id)) if tasks else None
    return None


def listing_param(values: Mapping[str, Any], labels: Sequence[str], hidden: Collection[str] = ()) -> str:
    """The param that lists these targets: a list in which all of them stand. ``""`` where there is none."""
    for name, value in values.items():
        if labels and name not in hidden and set(labels) <= set(_texts(value)):
            return name
    return ""


def _expected(
    task: MappedTask, dag: Dag, asked: Mapping[str, Any], given: Mapping[str, Any], hidden: Collection[str]
) -> ExpectedTask | None:
    if not 0 < task.total <= MOST_TARGETS:
        return None
    rows = list(mirror.instances(task).exclude(state=states.REMOVED))
    labels = [row.label for row in rows]
    if len(set(labels)) < len(labels) or any(row.label in ("", str(row.map_index)) for row in rows):
        return None
    param = listing_param(given, labels, hidden) or _naming_param(asked, labels, hidden)
    wanted = _texts(asked.get(param)) if param else labels
    pools = {known["task_id"]: known.get("pool") or "" for known in dag.tasks}
    return ExpectedTask(
        task_id=task.task_id,
        labels=[label for label in labels if label in set(wanted)],
        listed_by=param,
        new=[label for label in dict.fromkeys(wanted) if label not in set(labels)],
        at_once=most_at_once(rows),
        pool=pools.get(task.task_id, ""),
    )


def _naming_param(asked: Mapping[str, Any], labels: Sequence[str], hidden: Collection[str]) -> str:
    """A param that now names some of the labels and nothing else."""
    for name, value in asked.items():
        texts = set(_texts(value))
        if texts and name not in hidden and texts <= set(labels):
            return name
    return ""


def _texts(value: Any) -> list[str]:
    """The items of a list as labels would show them; nothing where it is no list of plain values."""
    if not isinstance(value, list) or not all(isinstance(item, str | int) for item in value):
        return []
    return [str(item) for item in value]


def most_at_once(rows: Sequence[Instance]) -> int:
    """How many of these ran at the same moment, by the times of their last tries; 0 where none is known."""
    moments: list[tuple[datetime, int]] = []
    for row in rows:
        if row.start_date and row.end_date and row.end_date > row.start_date:
            moments += [(row.start_date, 1), (row.end_date, -1)]
    running = most = 0
    for _moment, change in sorted(moments):  # at the same moment an end comes before a start
        running += change
        most = max(most, running)
    return most
