"""The metrics section of a mapped-task page: its numbers, what its plots show, the trend over the last runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from panel.domain.outcomes import Outcome
from panel.mirror.histories import newest_runs
from panel.mirror.models import MappedTask

TREND_RUNS: Final = 20


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """The task in one run."""

    task: MappedTask
    is_this: bool

    @property
    def counts(self) -> dict[str, int]:
        return {outcome: n for outcome, n in self.task.counts.items() if outcome != Outcome.REMOVED}


def trend(mapped_task: MappedTask, *, runs: int = TREND_RUNS) -> list[TrendPoint]:
    """The same task in the last runs, oldest first."""
    newest = newest_runs(mapped_task, runs=runs)
    return [TrendPoint(task, task.pk == mapped_task.pk) for task in reversed(newest)]


def section(mapped_task: MappedTask) -> dict[str, Any]:
    """What the section shows; reads no instance."""
    plots = mapped_task.plots
    return {
        "durations": plots.get("durations") or {"edges": [], "counts": []},
        "timeline": plots.get("timeline") or {"start": 0.0, "step": 1, "running": [], "finished": [], "peak": 0},
        "trend": trend(mapped_task),
    }
