"""Routes that read task instances: lists, one, tries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.airflow import lists, shown
from tests.fakes.airflow.state import Instance
from tests.fakes.airflow.wire import Answer, Request, Routes, invalid, refuse, strict

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

TI_STATES = (
    "removed", "scheduled", "queued", "running", "success", "restarting", "failed", "up_for_retry",
    "up_for_reschedule", "upstream_failed", "skipped", "deferred", "awaiting_input",
)  # fmt: skip
ORDERS = {
    "id", "state", "duration", "start_date", "end_date", "map_index", "try_number", "rendered_map_index", "operator",
}  # fmt: skip
BULK_ORDERS = {"id", "state", "duration", "start_date", "end_date", "map_index"}
BULK = {
    "dag_ids": "list?", "dag_run_ids": "list?", "task_ids": "list?", "state": "list?", "pool": "list?",
    "queue": "list?", "executor": "list?", "page_offset": "int", "page_limit": "int", "order_by": "str?",
}  # fmt: skip
ROOT = "/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"


def add_routes(routes: Routes, fake: FakeAirflow) -> None:
    api = InstancesApi(fake)
    routes.add("POST", "/api/v2/dags/~/dagRuns/~/taskInstances/list", api.bulk)
    routes.add("GET", ROOT, api.list)
    routes.add("GET", ROOT + "/{task_id}/listMapped", api.list_mapped)
    routes.add("GET", ROOT + "/{task_id}/tries", api.tries)
    routes.add("GET", ROOT + "/{task_id}/{index}/tries", api.tries)
    routes.add("GET", ROOT + "/{task_id}", api.get)
    routes.add("GET", ROOT + "/{task_id}/{index}", api.get_mapped)


class InstancesApi:
    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake
        self.world = fake.world

    def list(self, request: Request, dag_id: str, run_id: str) -> Answer:
        if (dag_id, run_id) not in self.world.runs:
            raise refuse(404, f"DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found")
        return self._listed(request, self.world.of_run(dag_id, run_id))

    def list_mapped(self, request: Request, dag_id: str, run_id: str, task_id: str) -> Answer:
        """Only map_index >= 0, and no cursors: an unknown one is ignored."""
        rows = [row for row in self.world.of_task(dag_id, run_id, task_id).values() if row.map_index >= 0]
        dag = self.world.dags.get(dag_id)
        if dag is None:
            raise refuse(404, f"The Dag with ID: `{dag_id}` was not found")
        if not rows and task_id not in dag.tasks:
            raise refuse(404, f"Task id {task_id} not found")
        if not rows and not dag.tasks[task_id].is_expanded:
            raise refuse(404, f"Task id {task_id} is not mapped")
        return self._listed(request, rows, cursors=False)

    def bulk(self, request: Request) -> Answer:
        body = strict(request.body, BULK)
        states = body.get("state")
        for place, state in enumerate(states or []):
            if state is not None and state not in TI_STATES:
                raise invalid("enum", ["body", "state", place], f"Input should be one of {TI_STATES}", state)
        rows = [
            row
            for (dag_id, run_id) in self.world.rows
            if _chosen(body, "dag_ids", dag_id) and _chosen(body, "dag_run_ids", run_id)
            for row in self.world.of_run(dag_id, run_id)
            if _chosen(body, "task_ids", row.task_id) and (not states or row.state in states)
        ]
        order = [body["order_by"]] if body.get("order_by") else ["id"]
        rows = lists.ordered(rows, [*order, "id"], _value, BULK_ORDERS)
        start = body.get("page_offset", 0)
        chosen = rows[start : start + body.get("page_limit", 100)]  # not clamped, in any version
        return self._answer(chosen, len(rows))

    def get(self, request: Request, dag_id: str, run_id: str, task_id: str) -> Answer:
        rows = self.world.of_task(dag_id, run_id, task_id)
        if not rows:
            raise refuse(
                404,
                f"The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}` and task_id: `{task_id}` was not found",
            )
        if -1 not in rows:
            raise refuse(404, "Task instance is mapped, add the map_index value to the URL")
        return Answer(200, shown.instance_row(self.world, rows[-1]))

    def get_mapped(self, request: Request, dag_id: str, run_id: str, task_id: str, index: str) -> Answer:
        row = self.world.find(dag_id, run_id, task_id, path_index(index))
        if row is None:
            raise refuse(
                404,
                f"The Mapped Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}`, "
                f"and map_index: `{index}` was not found",
            )
        return Answer(200, shown.instance_row(self.world, row))

    def tries(self, request: Request, dag_id: str, run_id: str, task_id: str, index: str = "-1") -> Answer:
        row = self._row(dag_id, run_id, task_id, index)
        rows = list(row.past)
        if row.state != "up_for_retry":  # that try is in the history already
            rows.append(shown.try_row(shown.instance_row(self.world, row)))
        return Answer(200, {"task_instances": [shown.try_row(one) for one in rows], "total_entries": len(rows)})

    def _listed(self, request: Request, rows: list[Instance], *, cursors: bool = True) -> Answer:
        rows = self._filtered(request, rows)
        order = request.all("order_by") or ["map_index"]
        rows = lists.ordered(rows, [*order, "id"], _value, ORDERS)
        if cursors and request.get("cursor") is not None and self.fake.numbers >= (3, 2, 2):
            total = self.fake.numbers >= (3, 3, 0)
            return lists.cursor_page(request, "task_instances", rows, self._shown, self.fake.clamp, total=total)
        return lists.page(request, "task_instances", rows, self._shown, self.fake.clamp, **lists.NO_CURSORS)

    def _filtered(self, request: Request, rows: list[Instance]) -> list[Instance]:
        states = [None if state in ("none", "no_status") else state for state in request.all("state")]
        for state in states:
            if state is not None and state not in TI_STATES:
                raise refuse(422, f"Invalid value for state. Valid values are {', '.join(TI_STATES)}")
        since, until = request.moment("updated_at_gte"), request.moment("updated_at_lte")
        tasks = request.all("task_id")
        indices = {int(index) for index in request.all("map_index")} if self.fake.numbers >= (3, 1, 0) else set()
        return [
            row
            for row in rows
            if (not tasks or row.task_id in tasks)
            and (not states or row.state in states)
            and (not indices or row.map_index in indices)
            and (since is None or row.updated_at >= since)
            and (until is None or row.updated_at <= until)
        ]

    def _shown(self, row: Instance) -> dict[str, Any]:
        return shown.instance_row(self.world, row)

    def _answer(self, rows: list[Instance], total: int) -> Answer:
        answer = {"task_instances": [self._shown(row) for row in rows], "total_entries": total}
        return Answer(200, answer | lists.NO_CURSORS)

    def _row(self, dag_id: str, run_id: str, task_id: str, index: str) -> Instance:
        row = self.world.find(dag_id, run_id, task_id, path_index(index))
        if row is None:
            raise refuse(404, not_found(dag_id, run_id, task_id, index))
        return row


def _value(row: Instance, name: str) -> Any:
    if name == "rendered_map_index":
        return row.label
    return "" if name == "operator" else getattr(row, name)


def _chosen(body: dict[str, Any], name: str, value: str) -> bool:
    return not body.get(name) or value in body[name]


def path_index(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        # as FastAPI: a path that is no number belongs to no route
        raise Answer(404, {"error": "API route not found"}) from None


def not_found(dag_id: str, run_id: str, task_id: str, index: str) -> str:
    return (
        f"The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}` "
        f"and map_index: `{index}` was not found"
    )
