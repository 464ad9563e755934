"""The numeric fields of results: a column each, and their sums, averages and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.db.models import Aggregate, Avg, Count, Max, Min, Sum

from panel.domain.result_fields import assign_slots
from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync.unread import Unread

MEASURES: Final[dict[str, type[Aggregate]]] = {"count": Count, "sum": Sum, "avg": Avg, "min": Min, "max": Max}
_NOTHING: Final[dict[str, Any]] = {"count": 0, "sum": None, "avg": None, "min": None, "max": None, "as_of": ""}


def put_numbers(fields: list[dict[str, Any]], changed: Sequence[Instance | Unread]) -> list[dict[str, Any]]:
    """Put the numbers of results read just now into their columns; these ``result_fields`` with those that are new.

    A slot is given once, under the claim, and never taken back, so that a column means one thing for good.
    """
    slots = {field["name"]: field["slot"] for field in fields}
    found = [(instance, instance.new_numbers) for instance in changed if instance.new_numbers]
    assigned = assign_slots(slots, [numbers for _instance, numbers in found])
    columns = {name: f"number_{slot}" for name, slot in assigned.items()}
    for instance, numbers in found:
        for name, number in numbers.items():
            if column := columns.get(name):
                setattr(instance, column, number)
    return fields + [{"name": name, "slot": slot} | _NOTHING for name, slot in assigned.items() if name not in slots]


def rolled_up(mapped_task: MappedTask) -> dict[str, Any]:
    """``result_fields`` with count, sum, avg, min and max over all instances; read only where rows have changed."""
    fields = mapped_task.result_fields
    if not fields:
        return {}
    rows = Instance.objects.filter(mapped_task=mapped_task).order_by()
    as_of = _as_of(mapped_task)
    if all(field["as_of"] == as_of for field in fields):
        return {}
    asked = {
        f"{measure}_{field['slot']}": aggregate(f"number_{field['slot']}")
        for field in fields
        for measure, aggregate in MEASURES.items()
    }
    found = rows.aggregate(**asked)
    return {
        "result_fields": [
            field | {measure: found[f"{measure}_{field['slot']}"] for measure in MEASURES} | {"as_of": as_of}
            for field in fields
        ]
    }


def _as_of(mapped_task: MappedTask) -> str:
    """Changes with every row that is written (the index instances_by_version tells) and every one that is dropped."""
    latest = Instance.objects.filter(mapped_task=mapped_task).aggregate(latest=Max("version"))["latest"]
    return f"{latest or 0}.{sum(mapped_task.counts.values())}"
