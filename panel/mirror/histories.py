"""The same task and the same item in other runs: how it went before, and which failures are new."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet

from panel.domain.histories import FAILED, TELLING, Pattern, pattern_of
from panel.domain.index_expression import IndexExpression
from panel.mirror.models import DagRun, Instance, MappedTask

MOST_FAILURES: Final = 5_000
"""Failures of one run that are looked up in earlier ones; times the runs, these are the rows that are read."""
AT_ONCE: Final = 500

Key = tuple[str, int]
"""What is the same item in another run: its label (then the index is -1), or its index where the Dag names none."""


@dataclass(frozen=True, slots=True)
class Past:
    """One item in one run; no ``instance`` where the run does not have it."""

    task: MappedTask
    instance: Instance | None
    is_this: bool


@dataclass(frozen=True, slots=True)
class PatternGroup:
    pattern: Pattern
    indices: IndexExpression

    @property
    def count(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, slots=True)
class Patterns:
    """The failures of one run by how they fit in with ``runs`` earlier ones; ``left_out`` were too many to look up."""

    groups: Sequence[PatternGroup]
    runs: int
    left_out: int


def newest_runs(mapped_task: MappedTask, *, runs: int) -> list[MappedTask]:
    """The task in the newest runs of its Dag, newest first; the one asked for is always among them."""
    found = list(_in_all_runs(mapped_task)[:runs])
    if all(task.pk != mapped_task.pk for task in found):
        found[runs - 1 :] = [mapped_task]
    return found


def history_of(instance: Instance, *, runs: int = 20) -> list[Past]:
    """The item in the newest runs, newest first, the run of ``instance`` always among them.

    An item is known by its label, so that it is found where the list it came from has changed; without one by its
    index. Where several instances of a run have the label, the one at the same index is meant, else the first.
    """
    tasks = newest_runs(instance.mapped_task, runs=runs)
    same = Instance.objects.filter(mapped_task__in=tasks, label=instance.label).order_by("-map_index")
    if instance.label:
        same = same.filter(label_folded=instance.label_folded)  # the column with an index
    else:
        same = same.filter(map_index=instance.map_index)
    found: dict[UUID, Instance] = {}
    for row in same.defer("error_folded", "note"):
        known = found.get(row.mapped_task_id)
        if known is None or known.map_index != instance.map_index:
            found[row.mapped_task_id] = row
    return [Past(task, found.get(task.pk), task.pk == instance.mapped_task_id) for task in tasks]


def patterns(mapped_task: MappedTask, *, runs: int = 10) -> Patterns:
    """What the failures of this run are beside the runs before it. Reads only the items that fail now."""
    failing = Instance.objects.filter(mapped_task=mapped_task, outcome__in=sorted(FAILED)).order_by("map_index")
    rows = list(failing.values_list("map_index", "label", "label_folded")[:MOST_FAILURES])
    left_out = failing.count() - len(rows) if len(rows) == MOST_FAILURES else 0
    earlier = list(tasks_before(mapped_task).values_list("pk", flat=True)[:runs])
    named = sorted({folded for _index, _label, folded in rows if folded})
    unnamed = [index for index, label, _folded in rows if not label]
    stories = _stories(_told(named, unnamed, earlier), earlier)
    members: dict[Pattern, list[int]] = {pattern: [] for pattern in Pattern}
    for index, label, _folded in rows:
        members[pattern_of(stories.get(_key(index, label), []))].append(index)
    groups = [PatternGroup(pattern, IndexExpression.of(found)) for pattern, found in members.items() if found]
    return Patterns(groups, len(earlier), left_out)


def tasks_before(mapped_task: MappedTask) -> QuerySet[MappedTask]:
    """The task in the runs before this one that Airflow still has, newest first."""
    run: DagRun = mapped_task.run
    earlier = Q(run__run_after__lt=run.run_after) | Q(run__run_after=run.run_after, run__pk__lt=run.pk)
    return _in_all_runs(mapped_task).filter(earlier if run.run_after else Q(run__pk__lt=run.pk))


def _stories(told: Iterable[tuple[UUID, int, str, str]], tasks: Sequence[UUID]) -> dict[Key, list[bool]]:
    """For each item, whether it failed in each of these tasks that says so, in their order."""
    failed: dict[UUID, dict[Key, bool]] = {task: {} for task in tasks}
    for task, index, label, outcome in told:
        key = _key(index, label)
        failed[task][key] = failed[task].get(key, False) or outcome in FAILED
    stories: dict[Key, list[bool]] = {}
    for task in tasks:
        for key, was in failed[task].items():
            stories.setdefault(key, []).append(was)
    return stories


def _told(named: Sequence[str], unnamed: Sequence[int], tasks: Sequence[UUID]) -> Iterator[tuple[UUID, int, str, str]]:
    """(task, index, label, outcome) of the items with these folded labels and indices, where the outcome tells."""
    rows = Instance.objects.filter(mapped_task__in=tasks, outcome__in=sorted(TELLING)).order_by()
    columns = rows.values_list("mapped_task_id", "map_index", "label", "outcome")
    for start in range(0, len(named), AT_ONCE):
        yield from columns.filter(label_folded__in=named[start : start + AT_ONCE]).iterator()
    for start in range(0, len(unnamed), AT_ONCE):
        yield from columns.filter(map_index__in=unnamed[start : start + AT_ONCE], label="").iterator()


def _key(index: int, label: str) -> Key:
    return (label, -1) if label else ("", index)


def _in_all_runs(mapped_task: MappedTask) -> QuerySet[MappedTask]:
    """In the runs that Airflow still has, newest first."""
    dag_pk = mapped_task.run.dag_id
    tasks = MappedTask.objects.filter(task_id=mapped_task.task_id, run__dag=dag_pk, run__deleted_at=None)
    return tasks.select_related("run__dag__server").order_by("-run__run_after", "-run__pk")
