"""Reading the mirror. Lookups raise the model's ``DoesNotExist``; only lists leave out what Airflow no longer has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from panel.domain import states
from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import Outcome
from panel.domain.selection import Selection
from panel.mirror.models import Dag, DagRun, Held, Instance, InstanceResult, MappedTask, SyncRequest
from panel.prepared import Prepared, columns
from panel.servers.models import Server

Row = TypeVar("Row")
RANGES_A_QUERY: Final = 200
"""SQLite refuses expressions nested deeper than 1,000: longer lists of ranges go into subqueries."""
RESULTS_A_QUERY: Final = 1_000
_OF_LISTS: Final = (
    ("run__dag__server__", Server, columns(Server, "id", "slug", "base_url", "unreachable_since")),
    ("run__dag__", Dag, columns(Dag, "id", "server_id", "dag_id")),
    ("run__", DagRun, columns(DagRun, "id", "dag_id", "run_id", "state")),
    (
        "",
        MappedTask,
        columns(
            MappedTask, "id", "run_id", "task_id", "total", "counts", "result_fields", "version", "changed_at",
            "synced_at", "complete", "refresh_requested_at",
        ),
    ),
)  # fmt: skip
"""From the server down to the mapped task: the way to it, and the columns that are read."""
_OF_PAGES: Final = tuple(
    (way, model, tuple(field.attname for field in model._meta.concrete_fields)) for way, model, _names in _OF_LISTS
)
"""The same with all columns."""


class _FindMappedTask:
    """A mapped task with its run, its Dag and its server, in one query that is written down once. ``fields``: what it
    is found by, by path, in the order of the values."""

    def __init__(self, rows: Sequence[tuple[str, type[Model], Sequence[str]]], **fields: Any) -> None:
        self._rows: Final = rows
        names = [way + name for way, _model, names in rows for name in names]
        self._found: Final = Prepared(
            lambda: _found_by(fields).order_by().values_list(*names), lambda: [*fields.values()]
        )

    def __call__(self, *values: Any) -> MappedTask:
        """Raises MappedTask.DoesNotExist."""
        found = self._found.fetch(*values)
        if not found:
            raise MappedTask.DoesNotExist
        column = iter(found[0])
        made: list[Any] = [
            model.from_db(DEFAULT_DB_ALIAS, names, [next(column) for _name in names])
            for _way, model, names in self._rows
        ]
        server, dag, run, mapped_task = made
        dag.server, run.dag, mapped_task.run = server, dag, run
        return cast(MappedTask, mapped_task)


def _found_by(names: Iterable[str]) -> QuerySet[MappedTask]:
    rows = MappedTask.objects.all()
    for name in names:  # one after the other: Django sorts what it gets at once
        rows = rows.filter(**{name: UUID(int=0) if name == "pk" else "-"})
    return rows


_BY_NAMES: Final = _FindMappedTask(
    _OF_PAGES,
    run__dag__server__slug=Server._meta.get_field("slug"),
    run__dag__dag_id=Dag._meta.get_field("dag_id"),
    run__run_id=DagRun._meta.get_field("run_id"),
    task_id=MappedTask._meta.get_field("task_id"),
)
_OF_LIST_BY_KEY: Final = _FindMappedTask(_OF_LISTS, pk=MappedTask._meta.pk)
_WITH_ERRORS: Final = (Outcome.SOFT_FAILURE, Outcome.HARD_FAILURE, Outcome.RETRYING)
"""The outcomes of instances that have an error text (sync.rows)."""
_BOUNDS: Final = {
    "try_number": ("try_number", "exact"),
    "try_number_gte": ("try_number", "gte"),
    "duration_gte": ("duration", "gte"),
    "duration_lte": ("duration", "lte"),
}
_RANGED: Final = frozenset({"map_index", "try_number", "duration"})
"""Columns that are filtered by ranges and have an index; ``COALESCE`` of one is a value that no index has. SQLite needs
it, which does not know how many rows a range has; PostgreSQL knows, but not of a ``COALESCE``."""


@dataclass(frozen=True, slots=True)
class RunOutcomes:
    """One run and the counts by outcome of all its mapped tasks together."""

    run: DagRun
    counts: dict[str, int]


def findable(name: str) -> str:
    """The name in a form that PostgreSQL can be asked for: one with NUL in it is nobody's."""
    return name.replace("\x00", "\ufffd")


def dags_of(server: Server, *, mapped_only: bool = False) -> QuerySet[Dag]:
    dags = Dag.objects.filter(server=server, deleted_at=None).select_related("server").order_by("dag_id")
    return dags.exclude(mapped_task_ids=[]) if mapped_only else dags


def dag(server_slug: str, dag_id: str) -> Dag:
    return Dag.objects.select_related("server").get(server__slug=server_slug, dag_id=findable(dag_id))


def runs_of(dag: Dag) -> QuerySet[DagRun]:
    """Newest first."""
    runs = DagRun.objects.filter(dag=dag, deleted_at=None).select_related("dag__server")
    return runs.prefetch_related("mapped_tasks").order_by("-run_after", "-pk")


def run(server_slug: str, dag_id: str, run_id: str) -> DagRun:
    runs = DagRun.objects.select_related("dag__server").prefetch_related("mapped_tasks")
    return runs.get(dag__server__slug=server_slug, dag__dag_id=findable(dag_id), run_id=findable(run_id))


def run_outcomes(dag: Dag, *, limit: int = 25) -> list[RunOutcomes]:
    """The newest runs with what became of their instances, newest first."""
    return [RunOutcomes(run=run, counts=outcomes_of_run(run)) for run in runs_of(dag)[:limit]]


def outcomes_of_run(run: DagRun) -> dict[str, int]:
    """Counts by outcome over all mapped tasks of the run, in the order of Outcome; uses prefetched mapped tasks."""
    counts: Counter[str] = Counter()
    for mapped_task in run.mapped_tasks.all():
        counts.update(mapped_task.counts)
    return {outcome.value: counts[outcome.value] for outcome in Outcome if counts[outcome.value]}


def mapped_tasks() -> QuerySet[MappedTask]:
    """Those of runs that Airflow still has, newest run first."""
    tasks = MappedTask.objects.filter(run__deleted_at=None).select_related("run__dag__server")
    return tasks.order_by("-run__run_after", "-run__pk", "position", "task_id")


def mapped_tasks_matching(names: Mapping[str, str]) -> QuerySet[MappedTask]:
    """Mapped tasks by exact names: any of ``server`` (slug), ``dag_id``, ``run_id``, ``task_id``."""
    paths = {"server": "run__dag__server__slug", "dag_id": "run__dag__dag_id", "run_id": "run__run_id"}
    return mapped_tasks().filter(**{paths.get(name, name): findable(value) for name, value in names.items()})


def mapped_tasks_of(run: DagRun) -> QuerySet[MappedTask]:
    """In the order of the Dag."""
    return run.mapped_tasks.select_related("run__dag__server").order_by("position", "task_id")


def mapped_task(server_slug: str, dag_id: str, run_id: str, task_id: str) -> MappedTask:
    return _BY_NAMES(*map(findable, (server_slug, dag_id, run_id, task_id)))


def mapped_task_by_id(mapped_task_id: UUID | str) -> MappedTask:
    return MappedTask.objects.select_related("run__dag__server").get(pk=mapped_task_id)


def mapped_task_of_list(mapped_task_id: UUID) -> MappedTask:
    """The same with what its list, its place and its freshness need; the plots, the structure of the Dag and all else
    would be read when asked for."""
    return _OF_LIST_BY_KEY(mapped_task_id)


def active_tasks() -> QuerySet[MappedTask]:
    """Mapped tasks of runs that have not finished."""
    return mapped_tasks().exclude(run__state__in=states.FINISHED_RUN)


def attention_tasks() -> QuerySet[MappedTask]:
    """Mapped tasks of recent runs in which something failed, newest run first."""
    since = timezone.now() - timedelta(days=settings.MIRROR_DAYS)
    return mapped_tasks().filter(Q(run__run_after=None) | Q(run__run_after__gte=since), failing__gt=0)


def instances(mapped_task: MappedTask) -> QuerySet[Instance]:
    return Instance.objects.filter(mapped_task=mapped_task).order_by("map_index")


def first_indices(column: str, most: int) -> Prepared:
    """The first map indices with one value in this text column: ``fetch(mapped_task_id, value)``, rows of one."""
    return Prepared(
        lambda: (
            Instance.objects.filter(mapped_task_id=UUID(int=0))
            .filter(**{column: "-"})
            .order_by("map_index")
            .values_list("map_index")[:most]
        ),
        lambda: [Instance._meta.get_field(name) for name in ("mapped_task", column)],  # type: ignore[misc]  # no relation back
    )


def instance(mapped_task: MappedTask, map_index: int) -> Instance:
    return Instance.objects.select_related("mapped_task__run__dag__server").get(
        mapped_task=mapped_task, map_index=map_index
    )


def with_results(rows: Sequence[Instance]) -> Sequence[Instance]:
    """The same rows (of one mapped task), their results read in one query."""
    for start in range(0, len(rows), RESULTS_A_QUERY):
        part = rows[start : start + RESULTS_A_QUERY]
        held = InstanceResult.objects.filter(
            mapped_task_id=part[0].mapped_task_id, map_index__in=[row.map_index for row in part]
        )
        by_index = {
            index: Held(value, shortened)
            for index, value, shortened in held.values_list("map_index", "value", "shortened")
        }
        for row in part:
            row.held = by_index.get(row.map_index)
    return rows


def select_instances(mapped_task: MappedTask, selection: Selection, *, walked_by: str = "") -> QuerySet[Instance]:
    """The instances that are meant, by map index: the one filter of pages, API, exports and retries.

    Indices outside the map match nothing; an empty selection matches everything. ``walked_by`` is the column whose
    index will be walked through for a few rows of many: then no range of another index is to be read and sorted.
    """
    return selected(instances(mapped_task), mapped_task, selection, walked_by=walked_by)


def selected(
    chosen: QuerySet[Instance, Row], mapped_task: MappedTask, selection: Selection, *, walked_by: str = ""
) -> QuerySet[Instance, Row]:
    """Those of these rows of the mapped task that ``select_instances`` means."""
    aside = _RANGED - {walked_by} if walked_by and connection.vendor == "sqlite" else frozenset()
    filtered = {"map_index"} if selection.indices else set()
    filtered |= {name for bound, (name, _comparison) in _BOUNDS.items() if getattr(selection, bound) is not None}
    if compared := aside & filtered:
        chosen = chosen.alias(**{f"any_{name}": Coalesce(name, name) for name in compared})
    if selection.outcomes:
        chosen = chosen.filter(outcome__in=sorted(selection.outcomes))
    if selection.indices:
        column = "any_map_index" if "map_index" in aside else "map_index"
        chosen = chosen.filter(_at(mapped_task, selection.indices, column))
    if selection.error_groups:
        chosen = chosen.filter(error_group__in=sorted(selection.error_groups))
    if selection.label:  # only those in the index of labels, which holds the text itself
        chosen = chosen.filter(label_folded__isnull=False, label_folded__contains=selection.label.casefold())
    for bound, (name, comparison) in _BOUNDS.items():
        value = getattr(selection, bound)
        if value is not None:
            chosen = chosen.filter(**{f"{'any_' if name in aside else ''}{name}__{comparison}": value})
    if selection.q:  # nothing else has an error text: only the rows of these are read
        chosen = chosen.filter(outcome__in=_WITH_ERRORS, error_folded__contains=selection.q.casefold())
    return chosen


def sync_request(request_id: int) -> SyncRequest:
    return SyncRequest.objects.select_related("server").get(pk=request_id)


def _at(mapped_task: MappedTask, indices: IndexExpression, column: str) -> Q:
    single = [first for first, last in indices.ranges if first == last]
    ranges = [pair for pair in indices.ranges if pair[0] != pair[1]]
    chosen = Q(**{f"{column}__in": single}) if single else Q()
    if len(ranges) <= RANGES_A_QUERY:
        return chosen | _in_ranges(ranges, column)
    for start in range(0, len(ranges), RANGES_A_QUERY):
        part = _in_ranges(ranges[start : start + RANGES_A_QUERY])
        chosen |= Q(pk__in=Instance.objects.filter(part, mapped_task=mapped_task).values("pk"))
    return chosen


def _in_ranges(ranges: Iterable[tuple[int, int]], column: str = "map_index") -> Q:
    chosen = Q()
    for pair in ranges:
        chosen |= Q(**{f"{column}__range": pair})
    return chosen
