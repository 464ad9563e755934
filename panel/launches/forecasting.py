"""What a backfill will be, before anything starts: how many instances, how many at once, how long. Pure.

All of it comes from runs that ended. What Airflow does not tell is not guessed but bounded: its REST API names no
``max_active_tis_per_dag`` (AIRFLOW.md §6), so whether several runs share a limit is seen only where runs of the past
overlapped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from statistics import fmean, median, median_low, pstdev
from typing import Any, Final

from panel.domain.timings import Timings

MANY_INSTANCES: Final = 50_000
DEFAULT_SLOTS: Final = 128
"""Of Airflow's default pool, unless somebody changed it."""
LONG_SECONDS: Final = 24 * 3600.0
START_SECONDS: Final = 1.0
"""Until the scheduler starts a run in the place of one that ended: its loop idles for a second by default."""
SPREAD: Final = 1.645
LEAST_SPREAD: Final = 0.1
SPREAD_OF_FEW: Final = 0.25
FEW: Final = 3
ALIKE: Final = 0.2
"""Runs of the past that went on beside about as many as are planned: so much of that more or less, on average."""
OVERLAPPED: Final = 1.5
HINDERED: Final = 0.75
"""Runs together that reach no more than this share of what each reaches alone have a limit for all of them."""


class Sharing(StrEnum):
    """Whether runs at the same time hinder each other."""

    SHARED = "shared"
    APART = "apart"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that ended, in POSIX seconds. ``sizes`` are the instances by mapped task, ``timings`` when they ran."""

    started: float
    ended: float
    sizes: Mapping[str, int]
    timings: Timings

    @property
    def seconds(self) -> float:
        return self.ended - self.started


@dataclass(frozen=True, slots=True)
class History:
    """``together``: when the instances of all these runs ran. ``same_values``: the runs had the values that are asked
    for; else any."""

    runs: Sequence[PastRun] = ()
    together: Timings = field(default_factory=Timings)
    same_values: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """``max_active_tasks`` bounds the instances of one run at once, ``pool_slots`` those of all runs (and of whoever
    else uses the pool); ``has_task_limits``: some task has a bound of its own. ``None`` is not known.
    ``default_slots``: of Airflow's default pool, ``None`` where its mapped tasks take none of them."""

    runs: int
    max_active_runs: int
    max_active_tasks: int | None = None
    has_task_limits: bool | None = None
    pool_slots: int | None = None
    default_slots: int | None = DEFAULT_SLOTS

    @property
    def at_once(self) -> int:
        return min(self.runs, self.max_active_runs)


@dataclass(frozen=True, slots=True)
class TaskSize:
    task_id: str
    low: int
    typical: int
    high: int


@dataclass(frozen=True, slots=True)
class Advice:
    """``code``: ``many_instances``, ``many_at_once`` or ``long`` (seconds). ``found`` is more than ``limit``.
    ``lower``: the setting to lower (``runs``: the range; ``max_active_runs``; ``max_active_tasks``), ``to``: to what.
    """

    code: str
    found: int
    limit: int
    lower: str
    to: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """Instances are mapped ones; the few others of each run come on top. ``None``: no run of the past to tell from."""

    runs: int
    at_once: int
    based_on: int = 0
    same_values: bool = False
    sharing: Sharing = Sharing.UNKNOWN
    tasks: Sequence[TaskSize] = ()
    instances: int | None = None
    instances_low: int | None = None
    instances_high: int | None = None
    peak_low: int | None = None
    peak_high: int | None = None
    pool_slots: int | None = None
    seconds: float | None = None
    seconds_low: float | None = None
    seconds_high: float | None = None
    warnings: Sequence[Advice] = ()

    @property
    def is_known(self) -> bool:
        return self.instances is not None

    @property
    def per_run(self) -> int:
        return sum(task.typical for task in self.tasks)

    @property
    def about_seconds(self) -> float:
        """The likely time, as exactly as it is worth saying."""
        seconds = self.seconds or 0.0
        step = 60 if seconds >= 600 else 10 if seconds >= 60 else 1
        return max(1, round(seconds / step)) * step

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Forecast | None:
        """What ``as_dict`` gave; ``None`` where nothing was kept."""
        if not kept:
            return None
        tasks = [TaskSize(**task) for task in kept.get("tasks", [])]
        warnings = [Advice(**one) for one in kept.get("warnings", [])]
        sharing = Sharing(kept.get("sharing", Sharing.UNKNOWN))
        return cls(**{**kept, "tasks": tasks, "warnings": warnings, "sharing": sharing})


def forecast(plan: Plan, history: History) -> Forecast:
    if not history.runs or not plan.runs:
        return Forecast(runs=plan.runs, at_once=plan.at_once)
    tasks = _sizes(history.runs)
    instances = plan.runs * sum(task.typical for task in tasks)
    sharing = _sharing(plan, history)
    peak_low, peak_high = _peaks(plan, history, sharing)
    low, likely, high = _seconds(plan, history, sharing)
    known = Forecast(
        runs=plan.runs,
        at_once=plan.at_once,
        based_on=len(history.runs),
        same_values=history.same_values,
        sharing=sharing,
        tasks=tasks,
        instances=instances,
        instances_low=plan.runs * sum(task.low for task in tasks),
        instances_high=plan.runs * sum(task.high for task in tasks),
        peak_low=peak_low,
        peak_high=peak_high,
        pool_slots=plan.pool_slots,
        seconds=round(likely, 1),
        seconds_low=round(low, 1),
        seconds_high=round(high, 1),
    )
    _least, wanted = _peaks_by_history(plan, history, sharing)
    return Forecast(**{**_shallow(known), "warnings": _advice(plan, known, wanted)})


def _shallow(known: Forecast) -> dict[str, Any]:
    return {name: getattr(known, name) for name in Forecast.__slots__}


def _sizes(runs: Sequence[PastRun]) -> list[TaskSize]:
    """A task that the newest run does not have is gone from the Dag."""
    found = []
    for task_id in runs[0].sizes:
        sizes = [run.sizes[task_id] for run in runs if task_id in run.sizes]
        found.append(TaskSize(task_id, min(sizes), median_low(sizes), max(sizes)))
    return found


def _peak(run: PastRun) -> int:
    return max(1, run.timings.peak())


def _sharing(plan: Plan, history: History) -> Sharing:
    """Airflow counts ``max_active_tasks`` for each run apart; every other limit may be one for all runs together."""
    single = max(_peak(run) for run in history.runs)
    if plan.pool_slots is not None and single >= plan.pool_slots:
        return Sharing.SHARED  # one run fills the pool
    overlap = overlap_of(history.runs, history.runs)
    if overlap >= OVERLAPPED:
        return Sharing.SHARED if history.together.peak() <= HINDERED * overlap * single else Sharing.APART
    at_the_run_s_limit = plan.max_active_tasks is not None and single >= plan.max_active_tasks
    return Sharing.APART if at_the_run_s_limit and not plan.has_task_limits else Sharing.UNKNOWN


def _peaks(plan: Plan, history: History, sharing: Sharing) -> tuple[int, int]:
    """The fewest and the most instances that may run at once."""
    low, high = _peaks_by_history(plan, history, sharing)
    most = high if plan.pool_slots is None else plan.pool_slots
    return min(low, most), min(high, most)


def _peaks_by_history(plan: Plan, history: History, sharing: Sharing) -> tuple[int, int]:
    single = max(_peak(run) for run in history.runs)
    if plan.max_active_tasks is not None:
        single = min(single, plan.max_active_tasks)
    together = history.together.peak() if sharing is Sharing.SHARED else 0
    apart = plan.at_once * single
    if sharing is Sharing.SHARED:
        return max(single, together), max(single, together)
    return (apart, apart) if sharing is Sharing.APART else (single, apart)


def _seconds(plan: Plan, history: History, sharing: Sharing) -> tuple[float, float, float]:
    """Low, likely and high: from the runs of the past that had as many beside them as are planned, else from all."""
    alike = [run for run in history.runs if abs(_overlap(run, history.runs) / plan.at_once - 1) <= ALIKE]
    runs = alike if len(alike) >= min(2, len(history.runs)) else list(history.runs)
    durations = [run.seconds for run in runs]
    each, beside = median(durations), max(1.0, overlap_of(runs, history.runs))
    waves = math.ceil(plan.runs / plan.at_once)
    apart = waves * each
    # As many runs get done in a time as did, however many begin at once; a lone run takes no longer than it did.
    shared = max(each / beside, plan.runs * each / beside) if plan.runs > 1 else each
    if runs is alike:  # shared or apart, it is in their durations
        low, likely, high = plan.runs * each / plan.at_once, apart, apart
    elif sharing is Sharing.UNKNOWN:
        low, high = sorted((apart, shared))
        likely = high if plan.has_task_limits else low
    else:
        low = likely = high = shared if sharing is Sharing.SHARED else apart
    spread = _spread(durations, plan.runs)
    lag = waves * START_SECONDS
    return low * (1 - spread) + lag, likely + lag, high * (1 + spread) + lag


def _spread(durations: Sequence[float], planned: int) -> float:
    """How far a sum of so many may be from what the past says, nine times in ten."""
    average = fmean(durations)
    varies = pstdev(durations) / average if average > 0 else 0.0
    least = LEAST_SPREAD if len(durations) >= FEW else SPREAD_OF_FEW
    return min(0.9, max(least, SPREAD * varies * math.sqrt(1 / planned + 1 / len(durations))))


def overlap_of(runs: Sequence[PastRun], among: Sequence[PastRun]) -> float:
    """How many runs went on at once, on average over the time of these runs: 1 when they came one after the other."""
    return fmean(_overlap(run, among) for run in runs)


def _overlap(run: PastRun, among: Sequence[PastRun]) -> float:
    if run.seconds <= 0:
        return 1.0
    both = sum(max(0.0, min(run.ended, one.ended) - max(run.started, one.started)) for one in among)
    return both / run.seconds


def _advice(plan: Plan, known: Forecast, wanted: int) -> list[Advice]:
    """What is too much, which setting to lower, and to what. ``wanted``: instances at once, were there no pool.

    A pool of its own is a limit that somebody chose; in the default pool everything else waits as well.
    """
    found = []
    if known.instances is not None and known.instances >= MANY_INSTANCES:
        fits = max(1, MANY_INSTANCES // max(1, known.per_run))
        found.append(Advice("many_instances", known.instances, MANY_INSTANCES, "runs", fits))
    if known.seconds_high is not None and known.seconds_high > LONG_SECONDS and plan.runs > 1:
        fits = max(1, int(plan.runs * LONG_SECONDS / known.seconds_high))
        found.append(Advice("long", int(known.seconds_high), int(LONG_SECONDS), "runs", fits))
    slots = plan.default_slots
    if slots is not None and wanted > slots:
        each = max(1, wanted // plan.at_once)
        if plan.at_once > 1 and each <= slots:
            found.append(Advice("many_at_once", wanted, slots, "max_active_runs", slots // each))
        else:
            found.append(Advice("many_at_once", wanted, slots, "max_active_tasks", max(1, slots // plan.at_once)))
    return found
