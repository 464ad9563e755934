"""How long a retry may take, and what it adds to Airflow's work. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from panel.mirror.models import MappedTask
from panel.retries.choice import Plan, RunChoice, TaskChoice
from panel.retries.policies import Policy

SECONDS_TO_CLEAR_ONE: Final = 0.0055
"""AIRFLOW.md §5."""
SECONDS_TO_START: Final = 5.0
SECONDS_TO_MARK_ONE: Final = 0.04
"""Alone or among others: a PATCH of 200 took 7 s on Airflow 3.3.2."""
REQUESTS_A_CHUNK: Final = 2
"""A dry run right before, and the clear."""
REQUESTS_TO_CLOSE: Final = 2
"""The same once for what is downstream; where nothing is, reading the run and starting it."""


@dataclass(frozen=True, slots=True)
class Load:
    """``at_once``: the most instances that may run together, by what did so far (``None``: nothing is known).
    ``pools``: the slots that so many take, by pool. ``requests``: to Airflow's REST API, to send everything; reading
    what comes of it is the mirror's usual work.
    """

    at_once: int | None
    pools: dict[str, int]
    requests: int


def estimate_load(plan: Plan, mapped_tasks: Sequence[MappedTask], policy: Policy) -> Load:
    """An upper bound: that all tasks of the plan are at their busiest together."""
    peaks: dict[str, int] = {}
    at_once: int | None = 0
    for task in plan.tasks:
        most = _at_once(task, mapped_tasks)
        at_once = None if most is None or at_once is None else at_once + most
        if most is not None and task.pool:
            peaks[task.pool] = peaks.get(task.pool, 0) + most * task.pool_slots
    requests = sum(_chunks(run, policy) * REQUESTS_A_CHUNK + REQUESTS_TO_CLOSE for run in plan.runs)
    return Load(at_once=at_once if plan.count else 0, pools=peaks, requests=requests)


def _at_once(task: TaskChoice, mapped_tasks: Sequence[MappedTask]) -> int | None:
    known = [one.metrics for one in mapped_tasks if one.pk == task.mapped_task_id]
    metrics: dict[str, Any] = known[0] if known else {}
    peak = metrics.get("concurrency_peak")
    if len(task.chosen) == 1:
        return 1
    return min(len(task.chosen), int(peak)) if peak else None


def _chunks(run: RunChoice, policy: Policy) -> int:
    """Instances of a mapped group that run again with an index are in its chunk."""
    followers = max((len(below) for below in run.followers.values()), default=0)
    return math.ceil(run.count / max(1, policy.chunk_size // (1 + followers)))


def estimate_seconds(plan: Plan, mapped_tasks: Sequence[MappedTask], policy: Policy) -> float | None:
    """Seconds until every index has a result, from what the tasks did so far; ``None`` where nothing ran yet."""
    running = 0.0
    for task in plan.tasks:
        metrics = next((one.metrics for one in mapped_tasks if one.pk == task.mapped_task_id), None)
        seconds = _to_run(len(task.chosen), metrics or {})
        if seconds is None and not task.as_upstream:
            return None
        running += seconds or 0.0
    chunks = sum(_chunks(run, policy) for run in plan.runs)
    pauses = (chunks - 1) * 60 / policy.chunks_per_minute if policy.chunks_per_minute else 0.0
    return round(SECONDS_TO_START + plan.count * SECONDS_TO_CLEAR_ONE + pauses + running, 1)


def seconds_to_mark(plan: Plan) -> float:
    return round(1 + plan.count * SECONDS_TO_MARK_ONE, 1)


def _to_run(count: int, metrics: dict[str, Any]) -> float | None:
    throughput, typical = metrics.get("throughput_per_minute"), metrics.get("duration_p50")
    if throughput:
        return float(max(count / throughput * 60, typical or 0.0))
    return float(typical) if typical is not None else None
