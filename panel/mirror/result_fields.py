"""The numeric fields of results of one mapped task, over its run and beside earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from panel.domain import states
from panel.mirror.histories import tasks_before
from panel.mirror.models import MappedTask

RUNS: Final = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """The sum of one run, as a bar: ``x``, ``width``, ``y``, ``height`` in percent."""

    run_id: str
    total: float
    is_this: bool
    x: str
    width: str
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One field: ``count`` instances have it. ``before`` is the sum of the last finished run that had it, ``change``
    how much larger this one is (0.004 for 0.4%). ``bars`` are the last runs, oldest first."""

    name: str
    count: int
    total: float
    avg: float
    least: float
    most: float
    before: float | None
    change: float | None
    bars: Sequence[Bar]


def columns_of(mapped_task: MappedTask) -> dict[str, str]:
    """The column of the instances that holds each field: ``{"rows_processed": "number_0"}``."""
    return {field["name"]: f"number_{field['slot']}" for field in mapped_task.result_fields}


def field_lines(mapped_task: MappedTask) -> list[FieldLine]:
    """What the fields add up to. Reads no instance, and one row for each earlier run."""
    fields = [field for field in mapped_task.result_fields if field["count"]]
    if not fields:
        return []
    earlier = tasks_before(mapped_task).filter(run__state__in=states.FINISHED_RUN)[: RUNS - 1]
    runs = [(task.run.run_id, task.result_fields) for task in reversed(earlier)]
    runs.append((mapped_task.run.run_id, fields))
    return [_line(field, runs) for field in fields]


def _line(field: dict[str, Any], runs: Sequence[tuple[str, list[dict[str, Any]]]]) -> FieldLine:
    totals = [(run_id, _total(fields, field["name"])) for run_id, fields in runs]
    known = [total for _run_id, total in totals[:-1] if total is not None]
    before = known[-1] if known else None
    return FieldLine(
        name=field["name"],
        count=field["count"],
        total=field["sum"],
        avg=field["avg"],
        least=field["min"],
        most=field["max"],
        before=before,
        change=(field["sum"] - before) / abs(before) if before else None,
        bars=_bars(totals) if known else [],
    )


def _total(fields: list[dict[str, Any]], name: str) -> float | None:
    return next((field["sum"] for field in fields if field["name"] == name and field["count"]), None)


def _bars(totals: Sequence[tuple[str, float | None]]) -> list[Bar]:
    """Runs that did not have the field leave a gap; what is below zero stands on the floor."""
    most = max((total for _run_id, total in totals if total is not None), default=0.0)
    width = 100 / len(totals)
    bars = []
    for place, (run_id, total) in enumerate(totals):
        if total is not None:
            height = max(4.0, total / most * 100) if most > 0 else 4.0
            spot = (f"{place * width:.2f}%", f"{width * 0.8:.2f}%", f"{100 - height:.2f}%", f"{height:.2f}%")
            bars.append(Bar(run_id, total, place == len(totals) - 1, *spot))
    return bars
