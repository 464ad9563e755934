"""The error groups of a mapped task, as rows of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.db.models import Count, Max, Min

from panel.domain.error_groups import masked
from panel.mirror.models import ErrorGroup, Instance, MappedTask
from panel.mirror.sync.unread import Unread

BATCH: Final = 500
"""Groups a query."""
_COLUMNS: Final = ["outcome", "error_type", "message", "count", "example_index", "first_seen", "last_seen"]


def roll_up(mapped_task: MappedTask, changed: Sequence[Instance | Unread]) -> None:
    """Bring them up to date where failures came, went or changed; the rows are written already.

    Counting reads one index and no row. A group that lost as many members as it won has the same count, but then a
    row that was ``changed`` is in it now.
    """
    members = Instance.objects.filter(mapped_task=mapped_task, error_group__gt="").order_by()
    counted = dict(members.values_list("error_group").annotate(n=Count("map_index")))
    known = dict(ErrorGroup.objects.filter(mapped_task=mapped_task).order_by().values_list("group", "count"))
    for groups in _batches(sorted(known.keys() - counted.keys())):
        ErrorGroup.objects.filter(mapped_task=mapped_task, group__in=groups).delete()
    touched = {group for group, count in counted.items() if known.get(group) != count}
    touched |= {instance.error_group for instance in changed if instance.error_group}
    for groups in _batches(sorted(touched)):
        _write(mapped_task, members.filter(error_group__in=groups))


def _write(mapped_task: MappedTask, members: Any) -> None:
    found = members.values("error_group").annotate(
        n=Count("map_index"), example=Min("map_index"), first=Min("end_date"), last=Max("end_date")
    )
    totals = {row["error_group"]: row for row in found}
    examples = Instance.objects.filter(
        mapped_task=mapped_task, map_index__in=[row["example"] for row in totals.values()]
    ).only("mapped_task_id", "error_group", "outcome", "error_type", "error_message")
    ErrorGroup.objects.bulk_create(
        [_row(example, totals[example.error_group]) for example in examples],
        update_conflicts=True,
        unique_fields=["mapped_task", "group"],
        update_fields=_COLUMNS,
    )


def _row(example: Instance, totals: dict[str, Any]) -> ErrorGroup:
    return ErrorGroup(
        mapped_task_id=example.mapped_task_id,
        group=example.error_group,
        outcome=example.outcome,
        error_type=example.error_type,
        message=masked(example.error_message),
        count=totals["n"],
        example_index=totals["example"],
        first_seen=totals["first"],
        last_seen=totals["last"],
    )


def _batches(groups: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(groups), BATCH):
        yield groups[start : start + BATCH]
