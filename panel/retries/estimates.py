"""How long a retry may take. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from panel.mirror.models import MappedTask
from panel.retries.choice import Plan
from panel.retries.policies import Policy

SECONDS_TO_CLEAR_ONE: Final = 0.0055
"""AIRFLOW.md §5."""
SECONDS_TO_START: Final = 5.0


def estimate_seconds(plan: Plan, mapped_tasks: Sequence[MappedTask], policy: Policy) -> float | None:
    """Seconds until every index has a result, from what the tasks did so far; ``None`` where nothing ran yet."""
    running = 0.0
    for task in plan.tasks:
        metrics = next((one.metrics for one in mapped_tasks if one.pk == task.mapped_task_id), None)
        seconds = _to_run(len(task.chosen), metrics or {})
        if seconds is None and not task.as_upstream:
            return None
        running += seconds or 0.0
    chunks = math.ceil(plan.count / policy.chunk_size)
    pauses = (chunks - 1) * 60 / policy.chunks_per_minute if policy.chunks_per_minute else 0.0
    return round(SECONDS_TO_START + plan.count * SECONDS_TO_CLEAR_ONE + pauses + running, 1)


def _to_run(count: int, metrics: dict[str, Any]) -> float | None:
    throughput, typical = metrics.get("throughput_per_minute"), metrics.get("duration_p50")
    if throughput:
        return float(max(count / throughput * 60, typical or 0.0))
    return float(typical) if typical is not None else None
