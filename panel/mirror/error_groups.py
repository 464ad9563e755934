"""Error groups of a mapped task as pages and the REST API show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from django.db.models import QuerySet

from panel.domain.index_expression import IndexExpression
from panel.mirror import selectors
from panel.mirror.models import ErrorGroup, Instance, MappedTask

Item = TypeVar("Item")

EARLIER_RUNS: Final = 20
"""How far back one looks for the same error."""
BEGINNING: Final = 40
"""Members whose indices a page shows of one group."""
RANGES_SHOWN: Final = 6
_IN_A_QUERY: Final = 500


@dataclass(frozen=True, slots=True)
class EarlierRuns:
    """In which of the ``known`` runs before this one (of the same Dag and task, ``EARLIER_RUNS`` at most) there were
    which groups: ``seen`` counts runs a group, ``last`` holds the groups of the run just before."""

    known: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    last: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ShownGroup:
    """One error group. ``share`` is of all failures, 0 … 1; ``message`` is masked, the example's is not.

    ``new``: there is a run before this one, and it did not have this error; ``runs_seen`` of ``runs_known`` earlier
    runs had it. ``frame`` is where the example was raised, as far as its log tells. ``first_seen``/``last_seen`` are
    end dates.
    """

    id: str
    outcome: str
    error_type: str
    message: str
    count: int
    share: float
    indices: IndexExpression
    example_index: int
    example_message: str
    frame: str
    first_seen: datetime | None
    last_seen: datetime | None
    new: bool
    runs_seen: int
    runs_known: int

    @property
    def beginning(self) -> str:
        """The first of its indices, in a few words."""
        shown = IndexExpression(self.indices.ranges[:RANGES_SHOWN])
        return str(shown) if len(shown) == self.count else f"{shown},…"


def error_groups(mapped_task: MappedTask) -> list[ShownGroup]:
    """All of them with all their indices, the largest first; reads an index entry of every failure."""
    rows = list(_largest_first(mapped_task))
    return _shown(mapped_task, rows, _indices(mapped_task))


def first_error_groups(mapped_task: MappedTask, most: int) -> list[ShownGroup]:
    """The largest ones, each with the indices of its first ``BEGINNING`` members: however many failures there are."""
    rows = list(_largest_first(mapped_task)[:most])
    return _shown(mapped_task, rows, {row.group: _beginning(row) for row in rows})


def error_group_count(mapped_task: MappedTask) -> int:
    return ErrorGroup.objects.filter(mapped_task=mapped_task).count()


def earlier_runs(mapped_task: MappedTask, groups: Collection[str]) -> EarlierRuns:
    """Which of these ``groups`` there were in the runs before."""
    run = mapped_task.run
    if run.run_after is None:
        return EarlierRuns()
    before = MappedTask.objects.filter(
        run__dag_id=run.dag_id, run__deleted_at=None, run__run_after__lt=run.run_after, task_id=mapped_task.task_id
    ).exclude(total=0)
    tasks = list(before.order_by("-run__run_after", "-run__pk").values_list("pk", flat=True)[:EARLIER_RUNS])
    found = [
        pair
        for part in _parts(sorted(groups))
        for pair in ErrorGroup.objects.filter(mapped_task__in=tasks, group__in=part)
        .order_by()
        .values_list("mapped_task", "group")
    ]
    last = frozenset(group for task, group in found if task == tasks[0])
    return EarlierRuns(known=len(tasks), seen=Counter(group for _, group in found), last=last)


def _largest_first(mapped_task: MappedTask) -> QuerySet[ErrorGroup]:
    return ErrorGroup.objects.filter(mapped_task=mapped_task).order_by("-count", "example_index")


def _shown(
    mapped_task: MappedTask, rows: Sequence[ErrorGroup], indices: dict[str, IndexExpression]
) -> list[ShownGroup]:
    earlier = earlier_runs(mapped_task, [row.group for row in rows])
    examples = _examples(mapped_task, rows)
    return [
        ShownGroup(
            id=row.group,
            outcome=row.outcome,
            error_type=row.error_type,
            message=row.message,
            count=row.count,
            share=row.count / max(mapped_task.failing, row.count),
            indices=indices.get(row.group, IndexExpression()),
            example_index=row.example_index,
            example_message=examples.get(row.example_index, ("", ""))[0],
            frame=examples.get(row.example_index, ("", ""))[1],
            first_seen=row.first_seen,
            last_seen=row.last_seen,
            new=earlier.known > 0 and row.group not in earlier.last,
            runs_seen=earlier.seen[row.group],
            runs_known=earlier.known,
        )
        for row in rows
    ]


def _examples(mapped_task: MappedTask, rows: Sequence[ErrorGroup]) -> dict[int, tuple[str, str]]:
    """Message and frame by index."""
    examples: dict[int, tuple[str, str]] = {}
    for part in _parts([row.example_index for row in rows]):
        found = Instance.objects.filter(mapped_task=mapped_task, map_index__in=part)
        examples |= {
            index: (said, at) for index, said, at in found.values_list("map_index", "error_message", "error_frame")
        }
    return examples


def _indices(mapped_task: MappedTask) -> dict[str, IndexExpression]:
    members: dict[str, list[int]] = {}
    failures = Instance.objects.filter(mapped_task=mapped_task, error_group__gt="").order_by()
    for group, index in failures.values_list("error_group", "map_index").iterator(chunk_size=5_000):
        members.setdefault(group, []).append(index)
    return {group: IndexExpression.of(indices) for group, indices in members.items()}


def _beginning(row: ErrorGroup) -> IndexExpression:
    """One query a group: each ends after a few index entries, where one for all would go through every failure."""
    return IndexExpression.of(index for (index,) in _MEMBERS.fetch(row.mapped_task_id, row.group))


_MEMBERS: Final = selectors.first_indices("error_group", BEGINNING)


def _parts(items: Sequence[Item]) -> list[Sequence[Item]]:
    return [items[start : start + _IN_A_QUERY] for start in range(0, len(items), _IN_A_QUERY)]
