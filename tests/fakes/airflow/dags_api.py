"""Routes about Dags: list, details, tasks, the grid's structure, import errors, version, OpenAPI document."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from tests.fakes.airflow import lists, shown
from tests.fakes.airflow.state import Dag
from tests.fakes.airflow.wire import Answer, Request, Routes, refuse

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow
SINCE_3_2_2 = {"cursor", "run_id_prefix_pattern"}


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
        """As recorded. The filters that the first releases of a series did not have yet are taken out."""
        document = copy.deepcopy(self.fake.document.content)
        if self.fake.numbers < (3, 2, 2):
            for path in document["paths"].values():
                for call in path.values():
                    call["parameters"] = [one for one in call["parameters"] if one["name"] not in SINCE_3_2_2]
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
