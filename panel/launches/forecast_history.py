"""The runs of the past that a forecast is made from, as the mirror has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from panel.airflow import Airflow, Rejected
from panel.domain.states import FINISHED_RUN, SUCCESS
from panel.domain.timings import RAN, Span, Timings
from panel.launches.conf import digest
from panel.launches.fields import Field
from panel.launches.forecasting import DEFAULT_SLOTS, Forecast, History, PastRun, Plan, forecast
from panel.mirror.models import Dag, DagRun, Instance
from panel.servers.models import Server

DEFAULT_POOL: Final = "default_pool"
MOST_RUNS: Final = 20
MOST_INSTANCES: Final = 50_000
"""Instances of the past that are read; of larger maps fewer runs."""
ENOUGH: Final = 2


def forecast_for(
    *,
    server: Server,
    dag_id: str,
    runs: int,
    max_active_runs: int,
    fields: Sequence[Field],
    params: Mapping[str, Any],
    pools: Mapping[str, int],
) -> Forecast:
    """The forecast of a backfill of so many runs with these values. ``pools``: slots by name, as far as known."""
    dag = Dag.objects.filter(server=server, dag_id=dag_id).first()
    plan = Plan(
        runs=runs,
        max_active_runs=max_active_runs,
        max_active_tasks=dag.max_active_tasks if dag else None,
        has_task_limits=dag.has_task_limits if dag else None,
        pool_slots=_slots(dag, pools) if dag else None,
        default_slots=_default_slots(dag, pools) if dag else None,
    )
    return forecast(plan, history_of(dag, fields, params) if dag else History())


def pools_of(airflow: Airflow) -> dict[str, int]:
    """Slots by pool; none where this login may not see them. Raises AirflowError."""
    try:
        return {pool.name: pool.slots for pool in airflow.pools.list()}
    except Rejected:
        return {}


def _slots(dag: Dag, pools: Mapping[str, int]) -> int | None:
    """Of all pools together that the mapped tasks take slots of; ``None`` where one has no bound or is not known."""
    slots = [pools.get(name, -1) for name in _pools(dag)]
    return sum(slots) if slots and min(slots) >= 0 else None


def _default_slots(dag: Dag, pools: Mapping[str, int]) -> int | None:
    slots = pools.get(DEFAULT_POOL, DEFAULT_SLOTS)
    return slots if DEFAULT_POOL in _pools(dag) and slots >= 0 else None


def _pools(dag: Dag) -> set[str]:
    return {task.get("pool") or DEFAULT_POOL for task in dag.tasks if task.get("is_mapped")}


def history_of(dag: Dag, fields: Sequence[Field], params: Mapping[str, Any]) -> History:
    """The last runs that succeeded (ended, where none did) and were read to their end.

    Those with the same values, where there are any; the values of the others may have made other maps.
    """
    ended = DagRun.objects.filter(
        dag=dag, deleted_at=None, state__in=FINISHED_RUN, start_date__isnull=False, end_date__isnull=False
    ).exclude(reconciled_at=None)
    newest = ended.prefetch_related("mapped_tasks").order_by("-end_date")
    runs = list(newest.filter(state=SUCCESS)[:MOST_RUNS]) or list(newest[:MOST_RUNS])
    runs = [run for run in runs if any(task.total for task in run.mapped_tasks.all())]
    wanted = _values(fields, params)
    same = [run for run in runs if _values(fields, run.conf) == wanted]
    chosen = _readable(same if len(same) >= ENOUGH or len(same) == len(runs) else runs)
    spans = _spans(chosen)
    past = [_past(run, Timings.of(spans[run.pk])) for run in chosen]
    together = Timings.of(span for run in chosen for span in spans[run.pk])
    return History(
        [run for run in past if run], together, same_values=bool(chosen) and all(run in same for run in chosen)
    )


def _past(run: DagRun, timings: Timings) -> PastRun | None:
    if run.start_date is None or run.end_date is None or run.end_date <= run.start_date:
        return None
    sizes = {task.task_id: task.total for task in run.mapped_tasks.all()}
    return PastRun(run.start_date.timestamp(), run.end_date.timestamp(), sizes, timings)


def _values(fields: Sequence[Field], given: Mapping[str, Any]) -> str:
    return digest({field.name: given.get(field.name, field.default) for field in fields})


def _readable(runs: list[DagRun]) -> list[DagRun]:
    """As many of the newest as are not too much to read; always one."""
    chosen: list[DagRun] = []
    rows = 0
    for run in runs:
        rows += sum(task.total for task in run.mapped_tasks.all())
        if chosen and rows > MOST_INSTANCES:
            break
        chosen.append(run)
    return chosen


def _spans(runs: Sequence[DagRun]) -> dict[int, list[Span]]:
    rows = Instance.objects.filter(mapped_task__run__in=runs, outcome__in=sorted(RAN))
    found: dict[int, list[Span]] = defaultdict(list)
    columns = rows.order_by().values_list("mapped_task__run__pk", "outcome", "start_date", "end_date")
    for run_pk, outcome, start, end in columns.iterator():
        if start is not None and end is not None:
            found[run_pk].append(Span(outcome, None, start.timestamp(), end.timestamp(), None))
    return found
