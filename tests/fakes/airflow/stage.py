"""Setting the fake's stage: Dags, runs, and what becomes of their task instances.

Time stands still between calls: nothing runs until a test calls ``finish`` or ``run_queued``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from tests.fakes.airflow.effects import Effects
from tests.fakes.airflow.scheduler import Error, Scheduler
from tests.fakes.airflow.shown import version_row
from tests.fakes.airflow.state import Clock, Dag, Instance, Run, Task, World

Work = Callable[[Instance], Any]
"""A task's body: what it returns is the result, what it raises fails the try (or ``Skip``, ``KeepRunning``)."""


class Stage:
    """The part of ``FakeAirflow`` that tests play with."""

    world: World

    @property
    def clock(self) -> Clock:
        return self.world.clock

    def add_dag(
        self,
        dag_id: str,
        *,
        params: dict[str, Any] | None = None,
        tasks: Iterable[Task | str] = ("work",),
        work: Work | None = None,
        **more: Any,
    ) -> Dag:
        """``params`` are plain defaults or ``{"value", "schema", "description"}``; ``work`` is what ``run_queued``
        does by default; ``more`` are fields of ``Dag`` (``is_paused``, ``has_import_errors``, ``tags`` …)."""
        all_tasks = [Task(task) if isinstance(task, str) else task for task in tasks]
        dag = Dag(
            dag_id,
            tasks={task.task_id: task for task in all_tasks},
            params={name: _param(value) for name, value in (params or {}).items()},
            work=work,
            **more,
        )
        unknown = {child for task in all_tasks for child in task.downstream} - set(dag.tasks)
        if unknown:
            raise ValueError(f"Unknown downstream tasks: {sorted(unknown)}")
        self.world.dags[dag_id] = dag
        return dag

    def add_run(
        self,
        dag_id: str,
        run_id: str,
        *,
        state: str = "running",
        conf: dict[str, Any] | None = None,
        note: str | None = None,
        user: str = "admin",
        **more: Any,
    ) -> Run:
        """A run with its instances: one row a task with map_index -1; literal maps are expanded at once."""
        now = self.clock.now()
        more.setdefault("start_date", None if state == "queued" else now)
        more.setdefault("end_date", now if state in ("success", "failed") else None)
        run = Run(dag_id, run_id, state, conf or {}, now, more.pop("run_after", now), now, note=note, user=user, **more)
        dag = self.world.dags[dag_id]
        self.world.runs[dag_id, run_id] = run
        for task in dag.tasks.values():
            row = Instance(dag_id, run_id, task.task_id, -1, now, max_tries=task.retries)
            self.world.add_instance(row)
            if task.is_expanded and isinstance(task.expands, int):
                self._scheduler.expand_task(run, task, task.expands, None)
        return run

    def expand(
        self, dag_id: str, run_id: str, task_id: str, count: int, *, labels: Iterable[str] | None = None
    ) -> list[Instance]:
        """Expand a mapped task, or all tasks of a mapped group (by the group's id), to ``count`` indices."""
        run, dag = self.world.runs[dag_id, run_id], self.world.dags[dag_id]
        chosen = [t for t in dag.tasks.values() if task_id == t.task_id or (t.group_is_mapped and t.group == task_id)]
        names = list(labels) if labels is not None else None
        rows: list[Instance] = []
        for task in chosen:
            rows += self._scheduler.expand_task(run, task, count, names)
        if not rows and count:
            raise KeyError(f"{dag_id} has no mapped task or group {task_id}")
        return rows

    def start(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Instance:
        """Let an instance begin its next try and stay running."""
        row = self.instance(dag_id, run_id, task_id, map_index)
        self._scheduler.start(row)
        return row

    def finish(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        map_index: int = -1,
        state: str | None = None,
        *,
        result: Any = None,
        error: Error | None = None,
        label: str | None = None,
        seconds: float | None = None,
    ) -> Instance:
        """End an instance's try (begun first when it is not running): ``success`` unless there is an ``error``."""
        row = self.instance(dag_id, run_id, task_id, map_index)
        state = state or ("failed" if error else "success")
        if label is not None:
            row.label = label
        if state == "upstream_failed":
            self._scheduler.settle(row, state)
            return row
        if row.state != "running":
            self._scheduler.start(row)
        self._scheduler.end(row, state, result, error)
        if seconds is not None and row.end_date is not None:
            row.start_date = row.end_date - timedelta(seconds=seconds)
        return row

    def set_state(self, dag_id: str, run_id: str, task_id: str, map_index: int, state: str | None) -> Instance:
        """Put an instance into any state as it is (``queued``, ``deferred`` …)."""
        row = self.instance(dag_id, run_id, task_id, map_index)
        self._scheduler.settle(row, state)
        return row

    def finish_run(self, dag_id: str, run_id: str, state: str = "success") -> Run:
        run = self.world.runs[dag_id, run_id]
        self._scheduler.end_run(run, state)
        return run

    def run_queued(self, decide: Work | None = None, *, rounds: int = 1_000) -> int:
        """Let the scheduler work until nothing moves: expand, start, finish as ``decide`` (else the Dag's ``work``)
        says, then downstream, then the runs' own states. Answers how many tries ended."""
        ended = sum(self._scheduler.run(run, decide, rounds) for run in list(self.world.runs.values()))
        self._scheduler.complete_backfills()
        return ended

    def push_xcom(
        self, dag_id: str, run_id: str, task_id: str, map_index: int, value: Any, key: str = "return_value"
    ) -> None:
        self.world.push(self.instance(dag_id, run_id, task_id, map_index), key, value)

    def set_log(
        self, dag_id: str, run_id: str, task_id: str, map_index: int, try_number: int, entries: list[dict[str, Any]]
    ) -> None:
        self.instance(dag_id, run_id, task_id, map_index).logs[try_number] = entries

    def add_import_error(self, filename: str, stack_trace: str) -> None:
        self.world.import_errors.append(
            {
                "import_error_id": len(self.world.import_errors) + 1,
                "filename": filename,
                "bundle_name": "dags",
                "stack_trace": stack_trace,
                "timestamp": self.clock.now().isoformat(),
            }
        )

    def remove_run(self, dag_id: str, run_id: str) -> None:
        """The run vanishes, as when somebody deletes it in Airflow."""
        self.world.runs.pop((dag_id, run_id))
        self.world.rows.pop((dag_id, run_id), None)
        for key in [key for key in self.world.xcoms if key[:2] == (dag_id, run_id)]:
            del self.world.xcoms[key]

    def remove_dag(self, dag_id: str) -> None:
        for run in [run for run in self.world.runs.values() if run.dag_id == dag_id]:
            self.remove_run(dag_id, run.run_id)
        self.world.dags.pop(dag_id)

    def new_version(self, dag_id: str) -> None:
        """As after a change of the Dag's file; what there is stays with the version it was made with."""
        dag = self.world.dags[dag_id]
        for (owner, _run_id), tasks in self.world.rows.items():
            for row in (row for rows in tasks.values() for row in rows.values() if owner == dag_id):
                row.dag_version = row.dag_version or version_row(dag)
        dag.version_number += 1
        dag.version_id = str(uuid.uuid4())

    def instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Instance:
        row = self.world.find(dag_id, run_id, task_id, map_index)
        if row is None:
            raise KeyError(f"no instance {dag_id} {run_id} {task_id} {map_index}")
        return row

    def states(self, dag_id: str, run_id: str, task_id: str) -> dict[int, str | None]:
        """The state by map index, as Airflow holds it: for assertions."""
        return {index: row.state for index, row in sorted(self.world.of_task(dag_id, run_id, task_id).items())}

    def clears(self, dag_id: str, run_id: str, task_id: str) -> dict[int, int]:
        """How often each index was cleared; clearing one that waits without a state anyway does not count."""
        return dict(self.effects.count("clear", dag_id, run_id, task_id))

    def marks(self, dag_id: str, run_id: str, task_id: str) -> dict[int, int]:
        """How often each index was set to another state by hand."""
        return dict(self.effects.count("mark", dag_id, run_id, task_id))

    def tries_started(self, dag_id: str, run_id: str, task_id: str) -> dict[int, int]:
        """How many tries of each index began to run."""
        return dict(self.effects.count("try", dag_id, run_id, task_id))

    @property
    def effects(self) -> Effects:
        return self.world.effects

    @property
    def _scheduler(self) -> Scheduler:
        return Scheduler(self.world)


def _param(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and set(value) <= {"value", "schema", "description", "source"}:
        return {"value": None, "schema": {}, "description": None, "source": None} | value
    return {"value": value, "schema": {}, "description": None, "source": None}
