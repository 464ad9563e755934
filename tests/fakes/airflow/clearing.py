"""``POST …/clearTaskInstances``: which instances a body means, and what clearing does to them (AIRFLOW.md §5)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from tests.fakes.airflow import lists, shown
from tests.fakes.airflow.openapi import BODY_OF_CLEAR
from tests.fakes.airflow.scheduler import Scheduler
from tests.fakes.airflow.state import FINISHED, Dag, Instance, Run
from tests.fakes.airflow.wire import Answer, Request, Routes, invalid, refuse, strict

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

KINDS = {"task_ids": "list?", "dag_run_id": "str?", "start_date": "str?", "end_date": "str?", "note": "str?"}
RUNNING = (
    "AirflowClearRunningTaskException: Disable 'prevent_running_task' to proceed, or wait until the task is not "
    "running, queued, or scheduled state."
)

Wanted = dict[str, set[int] | None]
"""Task id to indices; ``None`` for all."""


def add_routes(routes: Routes, fake: FakeAirflow) -> None:
    routes.add("POST", "/api/v2/dags/{dag_id}/clearTaskInstances", Clearing(fake).clear, "clear")


class Clearing:
    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake
        self.world = fake.world

    def clear(self, request: Request, dag_id: str) -> Answer:
        body = self._checked(request.body)
        dag = self.world.dags.get(dag_id)
        if dag is None:
            raise refuse(404, f"The Dag with ID: `{dag_id}` was not found")
        run = self.world.runs.get((dag_id, body.get("dag_run_id") or ""))
        if run is None:
            raise refuse(404, f"Dag Run id {body.get('dag_run_id')} not found in dag {dag_id}")
        if (body.get("include_past") or body.get("include_future")) and run.logical_date is None:
            raise refuse(
                400,
                "Cannot use include_past or include_future with no logical_date(e.g. manually or asset-triggered).",
            )
        rows = self._rows(run, self._wanted(dag, run, body), body)
        if not body.get("dry_run", True):
            notes = {row.id: row.note for row in rows}
            self._clear(dag, run, rows, body, request.user)
            answer = [self._shown(row) for row in rows]
            for row, old in zip(answer, notes.values(), strict=True):
                row["note"] = old  # the answer shows the note from before
        else:
            answer = [self._shown(row) for row in rows]
        return Answer(200, {"task_instances": answer, "total_entries": len(answer), **lists.NO_CURSORS})

    def _checked(self, body: Any) -> dict[str, Any]:
        names = self.fake.document.body_fields(BODY_OF_CLEAR)
        if isinstance(body, dict):
            if body.get("only_failed") and body.get("only_running"):
                raise invalid(
                    "value_error", ["body"], "Value error, only_failed and only_running both are set to True", body
                )
            if body.get("task_ids") == []:
                message = "Value error, task_ids list should have at least 1 element."
                raise invalid("value_error", ["body"], message, body)
        body = strict(
            body, {name: KINDS.get(name, "bool?" if name == "run_on_latest_version" else "bool") for name in names}
        )
        if len(body.get("note") or "") > 1000:
            raise invalid(
                "string_too_long", ["body", "note"], "String should have at most 1000 characters", body["note"]
            )
        for place, target in enumerate(body.get("task_ids") or []):
            if not isinstance(target, str) and (not isinstance(target, list) or len(target) != 2):
                location = ["body", "task_ids", place, "tuple[str, int]"]
                raise invalid("too_long", location, "Tuple should have at most 2 items after validation, not 3", target)
        return body

    def _wanted(self, dag: Dag, run: Run, body: dict[str, Any]) -> Wanted:
        if body.get("task_ids") is None:
            return dict.fromkeys(dag.tasks)
        wanted: Wanted = {}
        for target in body["task_ids"]:
            task_id, index = (target, None) if isinstance(target, str) else (target[0], int(target[1]))
            if index is not None and task_id not in dag.tasks and self._relatives(body):
                raise Answer(500, text="Internal Server Error", content_type="text/plain; charset=utf-8")
            _add(wanted, task_id, None if index is None else {index})
        for task_id, indices in list(wanted.items()):
            for relative in self._related(dag, task_id, body) if task_id in dag.tasks else ():
                same = indices if indices and dag.same_mapped_group(task_id, relative) else None
                if self.fake.numbers < (3, 2, 0):
                    same = None  # apache/airflow#64526
                _add(wanted, relative, same)
        if self.fake.numbers < (3, 1, 1) and len(wanted) > 1:
            wanted = dict.fromkeys(wanted)  # apache/airflow#56346: all indices of everything
        return wanted

    def _relatives(self, body: dict[str, Any]) -> bool:
        return bool(body.get("include_downstream") or body.get("include_upstream"))

    def _related(self, dag: Dag, task_id: str, body: dict[str, Any]) -> list[str]:
        down = dag.all_downstream(task_id) if body.get("include_downstream") else []
        return down + (dag.all_upstream(task_id) if body.get("include_upstream") else [])

    def _rows(self, run: Run, wanted: Wanted, body: dict[str, Any]) -> list[Instance]:
        rows = []
        for task_id, indices in wanted.items():
            for index, row in self.world.of_task(run.dag_id, run.run_id, task_id).items():
                if indices is not None and index not in indices:
                    continue
                if body.get("only_failed", True) and row.state not in ("failed", "upstream_failed"):
                    continue
                if body.get("only_running") and row.state != "running":
                    continue
                rows.append(row)
        return rows

    def _clear(self, dag: Dag, run: Run, rows: list[Instance], body: dict[str, Any], user: str) -> None:
        if body.get("prevent_running_task") and any(row.state == "running" for row in rows):
            raise refuse(409, RUNNING)
        for row in rows:
            self.world.effects.add("clear", row.place, row.state, user)
            self._clear_one(dag, row)
            if body.get("run_on_latest_version"):
                row.dag_version = None
            if body.get("note") is not None:
                row.note = body["note"]
        if rows and body.get("reset_dag_runs", True):
            self._reset(run)

    def clear_rows(self, dag: Dag, run: Run, rows: list[Instance], user: str) -> None:
        """Clear these, and restart a finished run for them."""
        for row in rows:
            self.world.effects.add("clear", row.place, row.state, user)
            self._clear_one(dag, row)
        if rows:
            self._reset(run)

    def _reset(self, run: Run) -> None:
        if run.state in ("success", "failed"):
            now = self.world.clock.now()
            run.state, run.queued_at, run.updated_at = "queued", now, now
            run.start_date = run.end_date = None

    def _clear_one(self, dag: Dag, row: Instance) -> None:
        """The XComs stay until the next try starts; the old try's times stay visible (AIRFLOW.md §5)."""
        if row.state not in (None, "up_for_retry") and row.try_number:
            Scheduler(self.world).archive(row, shown.instance_row(self.world, row))
        if row.state in FINISHED or row.state in ("scheduled", "queued", "up_for_retry", None):
            row.max_tries = row.try_number + dag.tasks[row.task_id].retries
        row.state = "restarting" if row.state == "running" else None
        row.id = str(uuid.uuid4())
        row.updated_at = self.world.clock.now()

    def _shown(self, row: Instance) -> dict[str, Any]:
        return shown.instance_row(self.world, row)


def _add(wanted: Wanted, task_id: str, indices: set[int] | None) -> None:
    known = wanted.get(task_id, set())
    wanted[task_id] = None if known is None or indices is None else known | indices
