"""What the fake Airflow knows: Dags, runs, task instances, their tries and XComs."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.airflow.effects import Effects

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class Clock:
    """Real time plus what a test has added."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """Never twice the same, so that order is order."""
        self._last = max(datetime.now(UTC) + self._ahead, self._last + timedelta(microseconds=1))
        return self._last

    def advance(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


@dataclass
class Task:
    """A task of a fake Dag.

    ``is_mapped`` for a mapped task of its own; ``group`` names the task group it is in, ``group_is_mapped`` says that
    the group expands. ``expands`` is the id of the upstream task whose list it maps over, or a number of indices.
    ``downstream`` are task ids.
    """

    task_id: str
    is_mapped: bool = False
    group: str = ""
    group_is_mapped: bool = False
    expands: str | int | None = None
    downstream: list[str] = field(default_factory=list)
    trigger_rule: str = "all_success"
    retries: int = 0
    pool: str = "default_pool"
    operator_name: str = "@task"

    @property
    def is_expanded(self) -> bool:
        return self.is_mapped or self.group_is_mapped


@dataclass
class Dag:
    dag_id: str
    tasks: dict[str, Task]
    params: dict[str, dict[str, Any]]
    is_paused: bool = False
    is_stale: bool = False
    has_import_errors: bool = False
    description: str | None = None
    doc_md: str | None = None
    tags: list[str] = field(default_factory=list)
    version_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    version_number: int = 1
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    schedule: timedelta | None = None
    """Periodic, from midnight UTC on; with one it can be backfilled."""
    max_active_tasks: int = 16
    max_active_runs: int = 16
    has_task_concurrency_limits: bool = False
    work: Callable[[Instance], Any] | None = None

    def upstream(self, task_id: str) -> list[str]:
        return [task.task_id for task in self.tasks.values() if task_id in task.downstream]

    def all_downstream(self, task_id: str) -> list[str]:
        found: dict[str, None] = {}
        for child in self.tasks[task_id].downstream:
            found |= {child: None} | dict.fromkeys(self.all_downstream(child))
        return list(found)

    def all_upstream(self, task_id: str) -> list[str]:
        return [other for other in self.tasks if task_id in self.all_downstream(other)]

    def same_mapped_group(self, one: str, other: str) -> bool:
        a, b = self.tasks[one], self.tasks[other]
        return a.group_is_mapped and b.group_is_mapped and a.group == b.group


@dataclass
class Run:
    dag_id: str
    run_id: str
    state: str
    conf: dict[str, Any]
    queued_at: datetime
    run_after: datetime
    updated_at: datetime
    run_type: str = "manual"
    logical_date: datetime | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    note: str | None = None
    user: str = "admin"
    backfill_id: int | None = None


@dataclass
class Backfill:
    id: int
    dag_id: str
    from_date: datetime
    to_date: datetime
    dag_run_conf: dict[str, Any]
    reprocess_behavior: str
    max_active_runs: int
    created_at: datetime
    updated_at: datetime
    run_ids: list[str] = field(default_factory=list)
    is_paused: bool = False
    completed_at: datetime | None = None


@dataclass
class Instance:
    """A task instance. ``past`` holds the rows of earlier tries, as ``/tries`` shows them."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    updated_at: datetime
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str | None = None
    try_number: int = 0
    max_tries: int = 0
    start_date: datetime | None = None
    end_date: datetime | None = None
    queued_when: datetime | None = None
    scheduled_when: datetime | None = None
    label: str | None = None
    item: Any = None
    rendered_fields: dict[str, Any] = field(default_factory=dict)
    note: str | None = None
    dag_version: dict[str, Any] | None = None
    """An earlier version of its Dag that it belongs to; ``None`` for the latest."""
    past: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str, str, int]:
        return self.dag_id, self.run_id, self.task_id, self.map_index

    @property
    def duration(self) -> float | None:
        if self.start_date is None or self.end_date is None:
            return None
        return (self.end_date - self.start_date).total_seconds()


@dataclass
class World:
    """Everything at once."""

    clock: Clock = field(default_factory=Clock)
    dags: dict[str, Dag] = field(default_factory=dict)
    runs: dict[tuple[str, str], Run] = field(default_factory=dict)
    rows: dict[tuple[str, str], dict[str, dict[int, Instance]]] = field(default_factory=dict)
    """Instances by (dag_id, run_id), task_id, map_index."""
    xcoms: dict[tuple[str, str, str, int, str], tuple[Any, datetime]] = field(default_factory=dict)
    """(value, timestamp) by (dag_id, run_id, task_id, map_index, key)."""
    keys: dict[tuple[str, str, str, int], set[str]] = field(default_factory=dict)
    """Which XCom keys an instance has."""
    import_errors: list[dict[str, Any]] = field(default_factory=list)
    pools: dict[str, int] = field(default_factory=lambda: {"default_pool": 128})
    """Slots by name."""
    backfills: dict[int, Backfill] = field(default_factory=dict)
    effects: Effects = field(default_factory=Effects)
    events: list[dict[str, Any]] = field(default_factory=list)
    """The audit log, oldest first."""

    def of_run(self, dag_id: str, run_id: str) -> list[Instance]:
        return [row for rows in self.rows.get((dag_id, run_id), {}).values() for row in rows.values()]

    def of_task(self, dag_id: str, run_id: str, task_id: str) -> dict[int, Instance]:
        return self.rows.get((dag_id, run_id), {}).get(task_id, {})

    def find(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> Instance | None:
        return self.of_task(dag_id, run_id, task_id).get(map_index)

    def add_instance(self, row: Instance) -> Instance:
        self.rows.setdefault((row.dag_id, row.run_id), {}).setdefault(row.task_id, {})[row.map_index] = row
        return row

    def push(self, row: Instance, key: str, value: Any) -> None:
        place = (row.dag_id, row.run_id, row.task_id, row.map_index)
        self.keys.setdefault(place, set()).add(key)
        self.xcoms[*place, key] = (value, self.clock.now())

    def drop_xcoms(self, row: Instance) -> None:
        place = (row.dag_id, row.run_id, row.task_id, row.map_index)
        for key in self.keys.pop(place, ()):
            self.xcoms.pop((*place, key), None)
