"""``PATCH …/taskInstances``: what marking by hand does to an instance, and to what failed below it (AIRFLOW.md §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.airflow import lists, shown
from tests.fakes.airflow.clearing import Clearing
from tests.fakes.airflow.instances_api import ROOT, not_found, path_index
from tests.fakes.airflow.scheduler import Scheduler
from tests.fakes.airflow.state import Instance
from tests.fakes.airflow.wire import Answer, Request, Routes, invalid, refuse, strict

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

PATCH = {
    "new_state": "str?", "note": "str?", "include_upstream": "bool", "include_downstream": "bool",
    "include_future": "bool", "include_past": "bool",
}  # fmt: skip
ENTITY = PATCH | {"task_id": "str", "map_index": "int?"}
ACTION = {"action": "str", "entities": "list", "update_mask": "list?", "action_on_non_existence": "str"}
STATES = ("success", "failed", "skipped")


def add_routes(routes: Routes, fake: FakeAirflow) -> None:
    api = Marking(fake)
    routes.add("PATCH", ROOT + "/{task_id}", api.one, "patch")
    routes.add("PATCH", ROOT + "/{task_id}/{index}", api.one, "patch")
    if fake.numbers >= (3, 1, 0):
        routes.add("PATCH", ROOT, api.bulk, "patch")


class Marking:
    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake
        self.world = fake.world

    def one(self, request: Request, dag_id: str, run_id: str, task_id: str, index: str = "-1") -> Answer:
        body = strict(request.body, PATCH)
        _check(body, ["body"])
        self._dag(dag_id, task_id)
        row = self.world.find(dag_id, run_id, task_id, path_index(index))
        if row is None:
            raise refuse(404, [not_found(dag_id, run_id, task_id, index)])
        if row.state == body.get("new_state", ""):
            raise refuse(409, _already(row))  # taken back whole, unlike in bulk
        self._patch(row, body, request.user)
        answer = {"task_instances": [shown.instance_row(self.world, row)], "total_entries": 1}
        return Answer(200, answer | lists.NO_CURSORS)

    def bulk(self, request: Request, dag_id: str, run_id: str) -> Answer:
        """It stops at the first that it cannot mark; what it did before that stays. Nobody may rely on its order."""
        body = strict(request.body, {"actions": "list"}, required=("actions",))
        update: dict[str, list[Any]] | None = None
        for place, action in enumerate(body["actions"]):
            where = ["body", "actions", place, "update"]
            strict(action, ACTION, required=("action", "entities"))
            for number, entity in enumerate(action["entities"]):
                fields = ENTITY | ({"dag_id": "str?", "dag_run_id": "str?"} if self.fake.numbers >= (3, 2, 0) else {})
                _check(strict(entity, fields, required=("task_id",)), [*where, "entities", number])
            update = self._updated(dag_id, run_id, action, request.user)
        return Answer(200, {"create": None, "update": update, "delete": None})

    def _updated(self, dag_id: str, run_id: str, action: dict[str, Any], user: str) -> dict[str, list[Any]]:
        done: dict[str, list[Any]] = {"success": [], "errors": []}
        for entity in reversed(action["entities"]):
            rows = self.world.of_task(dag_id, run_id, entity["task_id"])
            index = entity.get("map_index")
            chosen = list(rows.values()) if index is None else [rows[index]] if index in rows else []
            if not chosen and action.get("action_on_non_existence", "fail") == "fail":
                done["errors"].append({"error": f"{entity['task_id']} [{index}] was not found", "status_code": 404})
                return done
            for row in chosen:
                if said := self._patch(row, entity, user):
                    done["errors"].append({"error": said, "status_code": 409})
                    return done
                name = f"{dag_id}.{run_id}.{row.task_id}[{row.map_index}]"
                done["success"].append(name if self.fake.numbers >= (3, 2, 0) else row.task_id)
        return done

    def _patch(self, row: Instance, body: dict[str, Any], user: str) -> str:
        """Why it is refused; then the row has not changed, but what failed below it is cleared all the same."""
        state = body.get("new_state")
        if state is not None:
            self._clear_failed_below(row, user)
            if row.state == state:
                return _already(row)
            now = self.world.clock.now()
            row.start_date = row.start_date or now
            row.end_date = row.end_date if row.state in STATES else now
            Scheduler(self.world).mark(row, state, user)
        if body.get("note") is not None:
            row.note = body["note"] or None
        return ""

    def _clear_failed_below(self, row: Instance, user: str) -> None:
        dag, run = self.world.dags[row.dag_id], self.world.runs[row.dag_id, row.run_id]
        names = dag.all_downstream(row.task_id)
        rows = [below for name in names for below in self.world.of_task(row.dag_id, row.run_id, name).values()]
        failed = [below for below in rows if below.state in ("failed", "upstream_failed")]
        Clearing(self.fake).clear_rows(dag, run, failed, user)

    def _dag(self, dag_id: str, task_id: str) -> None:
        if dag_id not in self.world.dags:
            raise refuse(404, f"The Dag with ID: `{dag_id}` was not found")
        if task_id not in self.world.dags[dag_id].tasks:
            raise refuse(404, f"Task '{task_id}' not found in Dag '{dag_id}'")


def _already(row: Instance) -> str:
    return f"Task id {row.task_id} is already in {row.state} state"


def _check(body: dict[str, Any], where: list[Any]) -> None:
    if "new_state" in body and body["new_state"] not in STATES:
        message = f"Value error, '{body['new_state']}' is not one of ['success', 'failed', 'skipped']"
        raise invalid("value_error", [*where, "new_state"], message, body["new_state"])
    if len(body.get("note") or "") > 1000:
        raise invalid("string_too_long", [*where, "note"], "String should have at most 1000 characters", body["note"])
