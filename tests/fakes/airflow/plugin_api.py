"""Mapboard's plug-in (airflow_plugin) as the fake serves it, once a test has set ``fake.plugin = True``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.fakes.airflow.state import Instance
from tests.fakes.airflow.wire import Answer, Request, Routes, invalid, iso, page_of_airflow, refuse

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

CONTENT_TYPE = "application/vnd.mapboard.mapped-results+json"
MOST_ROWS = 10_000
VALUE_BYTES = 64 * 1024
ANSWER_BYTES = 16 * 1024 * 1024


def add_routes(routes: Routes, fake: FakeAirflow) -> None:
    api = PluginApi(fake)
    routes.add("GET", "/mapboard/format", api.show_format, "nothing")
    path = "/mapboard/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/results"
    routes.add("GET", path, api.results, "nothing")  # who may read is asked only when the plug-in is there


class PluginApi:
    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake
        self.world = fake.world

    def show_format(self, request: Request) -> Answer:
        return Answer(200, {"format": 1}, content_type=CONTENT_TYPE) if self.fake.plugin else page_of_airflow()

    def results(self, request: Request, dag_id: str, run_id: str, task_id: str) -> Answer:
        if not self.fake.plugin:
            return page_of_airflow()
        request.user = self.fake.auth.user(request)
        for need in ("read", "xcom"):
            self.fake.authorise(request.user, need)
        after = _between(request, "after", -1, -1, None)
        limit = _between(request, "limit", MOST_ROWS, 1, MOST_ROWS)
        instances = self.world.of_task(dag_id, run_id, task_id)
        if not instances:
            detail = f"No instance of the task `{task_id}` in the run `{run_id}` of the Dag `{dag_id}` was found"
            raise refuse(404, detail)
        rows: list[dict[str, Any]] = []
        taken = 0
        for index in sorted(index for index in instances if index > after):
            if len(rows) == limit or taken >= ANSWER_BYTES:
                return self._page(rows, rows[-1]["map_index"])
            rows.append(self._row(instances[index]))
            taken += len(json.dumps(rows[-1]))
        return self._page(rows, None)

    def _page(self, rows: list[dict[str, Any]], next_after: int | None) -> Answer:
        return Answer(200, {"format": 1, "next_after": next_after, "rows": rows}, content_type=CONTENT_TYPE)

    def _row(self, row: Instance) -> dict[str, Any]:
        shown: dict[str, Any] = {"map_index": row.map_index, "state": row.state, "try_number": row.try_number}
        if row.start_date is not None:
            shown["start_date"] = iso(row.start_date)
        place = (row.dag_id, row.run_id, row.task_id, row.map_index, "return_value")
        if row.state != "success" or place not in self.world.xcoms:
            return shown
        value, timestamp = self.world.xcoms[place]
        size = len(json.dumps(value, ensure_ascii=False).encode())
        shown |= {"timestamp": iso(timestamp), "has_value": True, "size": size}
        return shown | ({"truncated": True} if size > VALUE_BYTES else {"value": value})


def _between(request: Request, name: str, default: int, least: int, most: int | None) -> int:
    number = request.integer(name, default)
    if number < least:
        message = f"Input should be greater than or equal to {least}"
        raise invalid("greater_than_equal", ["query", name], message, str(number))
    if most is not None and number > most:
        raise invalid("less_than_equal", ["query", name], f"Input should be less than or equal to {most}", str(number))
    return number
