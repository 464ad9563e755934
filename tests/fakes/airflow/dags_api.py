"""Routes about Dags: list, details, tasks, the grid's structure, import errors, version, OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.airflow import lists, shown
from tests.fakes.airflow.state import Dag
from tests.fakes.airflow.wire import Answer, Request, Routes, refuse

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

CLEAR_FIELDS = {
    (3, 0, 0): [
        "dry_run", "start_date", "end_date", "only_failed", "only_running", "reset_dag_runs", "task_ids", "dag_run_id",
        "include_upstream", "include_downstream", "include_future", "include_past",
    ],
    (3, 1, 0): ["run_on_latest_version"],
    (3, 2, 0): ["prevent_running_task"],
    (3, 3, 0): ["note"],
}  # fmt: skip


def add_routes(routes: Routes, fake: FakeAirflow) -> None:
    api = DagsApi(fake)
    routes.add("GET", "/api/v2/version", api.version, "nothing")
    routes.add("GET", "/openapi.json", api.openapi, "nothing")
    routes.add("GET", "/api/v2/dags", api.list)
    routes.add("GET", "/api/v2/dags/{dag_id}/details", api.details)
    routes.add("GET", "/api/v2/dags/{dag_id}/tasks", api.tasks)
    routes.add("GET", "/api/v2/importErrors", api.import_errors)
    routes.add("GET", "/ui/grid/structure/{dag_id}", api.structure)


class DagsApi:
    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake

    def version(self, request: Request) -> Answer:
        return Answer(200, {"version": self.fake.version, "git_version": None})

    def openapi(self, request: Request) -> Answer:
        numbers = self.fake.numbers
        fields = [name for since, names in CLEAR_FIELDS.items() if numbers >= since for name in names]
        filters = ["limit", "offset", "order_by", "state", "updated_at_gte"]
        if numbers >= (3, 2, 2):
            filters += ["cursor", "run_id_prefix_pattern"]
        listing = {"get": {"parameters": [{"name": name, "in": "query"} for name in filters]}}
        runs = "/api/v2/dags/{dag_id}/dagRuns"
        document: dict[str, Any] = {
            "openapi": "3.1.0",
            "info": {"title": "Airflow API", "version": "2"},
            "paths": {runs: listing, runs + "/{dag_run_id}/taskInstances": listing},
            "components": {"schemas": {"ClearTaskInstancesBody": {"properties": {name: {} for name in fields}}}},
        }
        return Answer(200, document)

    def list(self, request: Request) -> Answer:
        dags = sorted((dag for dag in self.fake.world.dags.values() if not dag.is_stale), key=lambda dag: dag.dag_id)
        order = request.all("order_by")
        dags = lists.ordered(dags, order, getattr, {"dag_id"})
        return lists.page(request, "dags", dags, shown.dag_row, self.fake.clamp)

    def details(self, request: Request, dag_id: str) -> Answer:
        return Answer(200, shown.details_row(self._dag(dag_id)))

    def tasks(self, request: Request, dag_id: str) -> Answer:
        tasks = sorted(self._dag(dag_id).tasks.values(), key=lambda task: task.task_id)
        return Answer(200, {"tasks": [shown.task_row(task) for task in tasks], "total_entries": len(tasks)})

    def structure(self, request: Request, dag_id: str) -> Answer:
        if dag_id not in self.fake.world.dags:
            raise refuse(404, f"Dag with id {dag_id} was not found")
        return Answer(200, shown.structure(self.fake.world.dags[dag_id]))

    def import_errors(self, request: Request) -> Answer:
        return lists.page(request, "import_errors", self.fake.world.import_errors, dict, self.fake.clamp)

    def _dag(self, dag_id: str) -> Dag:
        dag = self.fake.world.dags.get(dag_id)
        if dag is None:
            raise refuse(404, f"The Dag with ID: `{dag_id}` was not found")
        return dag
