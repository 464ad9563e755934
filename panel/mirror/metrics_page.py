"""The metrics section of a mapped-task page: its numbers, what its plots show, the trend over the last runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from panel.domain.metrics import Metrics
from panel.domain.plots import Histogram, Timeline
from panel.mirror.histories import newest_runs
from panel.mirror.models import MappedTask
from panel.ui.plots import Column, histogram_plot, timeline_plots, trend_of

TREND_RUNS: Final = 20


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """The task in one run, and how it is drawn."""

    task: MappedTask
    metrics: Mapping[str, float | None]
    is_this: bool
    column: Column


def section(mapped_task: MappedTask) -> dict[str, Any]:
    """What the section shows; reads no instance. ``trend`` is the task in the last runs, oldest first."""
    durations, times, metrics = durations_of(mapped_task), timeline_of(mapped_task), metrics_of(mapped_task)
    marks = {"p50": metrics["duration_p50"], "p95": metrics["duration_p95"]}
    began = datetime.fromtimestamp(times["start"], tz=UTC)
    tasks = last_runs(mapped_task)
    trend = trend_of([(task.counts, metrics_of(task)) for task in tasks])
    return {
        "metrics": metrics,
        "durations": histogram_plot(durations["edges"], durations["counts"], marks),
        "timeline": timeline_plots(times),
        "timeline_step": times["step"],
        "timeline_from": began,
        "timeline_to": began + timedelta(seconds=times["step"] * len(times["running"])),
        "trend": trend,
        "trend_points": [
            TrendPoint(task, metrics_of(task), task.pk == mapped_task.pk, column)
            for task, column in zip(tasks, trend.columns, strict=True)
        ],
    }


def last_runs(mapped_task: MappedTask) -> list[MappedTask]:
    """The same task in the newest runs of its Dag, oldest first; this run is always among them."""
    return list(reversed(newest_runs(mapped_task, runs=TREND_RUNS)))


def metrics_of(mapped_task: MappedTask) -> dict[str, float | None]:
    """Domain Metrics as a dict; what was not known when they were worked out is ``None``."""
    known: dict[str, float | None] = mapped_task.metrics
    return Metrics().as_dict() | known


def durations_of(mapped_task: MappedTask) -> dict[str, Any]:
    """A domain Histogram as a dict, empty while nothing is known."""
    found: dict[str, Any] = mapped_task.plots.get("durations") or Histogram().as_dict()
    return found


def timeline_of(mapped_task: MappedTask) -> dict[str, Any]:
    """A domain Timeline as a dict, empty while nothing is known."""
    found: dict[str, Any] = mapped_task.plots.get("timeline") or Timeline().as_dict()
    return found
