"""Routes about what tasks leave behind: XComs and logs."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from tests.fakes.airflow import lists
from tests.fakes.airflow.instances_api import ROOT
from tests.fakes.airflow.state import Instance
from tests.fakes.airflow.wire import Answer, Request, Routes, iso, refuse

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

XCom = tuple[str, str, str, int, str]


def add_routes(routes: Routes, fake: FakeAirflow) -> None:
    api = ResultsApi(fake)
    routes.add("GET", ROOT + "/{task_id}/xcomEntries", api.xcoms, "xcom")
    routes.add("GET", ROOT + "/{task_id}/xcomEntries/{key}", api.xcom, "xcom")
    routes.add("GET", ROOT + "/{task_id}/logs/{try_number}", api.log, "logs")


class ResultsApi:
    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake
        self.world = fake.world

    def xcoms(self, request: Request, dag_id: str, run_id: str, task_id: str) -> Answer:
        wanted = request.get("xcom_key")
        found: list[XCom] = sorted(
            place
            for place in self.world.xcoms
            if dag_id in (place[0], "~") and run_id in (place[1], "~") and task_id in (place[2], "~")
            if wanted in (None, place[4])
        )
        order = request.all("order_by") if self.fake.numbers >= (3, 2, 2) else []
        found = lists.ordered(
            found, order, lambda place, name: place[3] if name == "map_index" else place, {"map_index", "key"}
        )
        return lists.page(request, "xcom_entries", found, self._row, self.fake.clamp)

    def xcom(self, request: Request, dag_id: str, run_id: str, task_id: str, key: str) -> Answer:
        place = (dag_id, run_id, task_id, request.integer("map_index", -1), key)
        if place not in self.world.xcoms:
            raise refuse(404, f"XCom entry with key: `{key}` not found")
        return Answer(200, self._row(place) | {"value": self.world.xcoms[place][0]})

    def log(self, request: Request, dag_id: str, run_id: str, task_id: str, try_number: str) -> Answer:
        row = self.world.find(dag_id, run_id, task_id, request.integer("map_index", -1))
        number = int(try_number)
        if row is None or number > row.try_number or (number == 0 and row.try_number):
            raise refuse(404, "TaskInstance not found")
        entries = self._entries(row, number)
        start = _start(request.get("token"))
        size = self.fake.log_page_size or len(entries)
        end = start + size
        over = end >= len(entries) and not (row.state == "running" and number == row.try_number)
        token = None if over else base64.urlsafe_b64encode(f"fake-log:{min(end, len(entries))}".encode()).decode()
        return Answer(200, {"content": entries[start:end], "continuation_token": token})

    def _entries(self, row: Instance, number: int) -> list[dict[str, Any]]:
        head: list[dict[str, Any]] = [{"event": "::group::Log message source details"}, {"event": "::endgroup::"}]
        if number == 0:
            return [*head, {"event": "Task did not run because upstream task(s) failed."}]
        lines = row.logs.get(number)
        if lines is None:
            return [{"event": f"Log file not found on worker 'fake', try {number}. Was it deleted?"}]
        return head + lines

    def _row(self, place: XCom) -> dict[str, Any]:
        dag_id, run_id, task_id, map_index, key = place
        run = self.world.runs[dag_id, run_id]
        return {
            "key": key,
            "timestamp": iso(self.world.xcoms[place][1]),
            "logical_date": iso(run.logical_date),
            "map_index": map_index,
            "task_id": task_id,
            "dag_id": dag_id,
            "run_id": run_id,
            "dag_display_name": dag_id,
            "task_display_name": task_id,
            "run_after": iso(run.run_after),
        }


def _start(token: str | None) -> int:
    if token is None:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if word == "fake-log":
            return int(number)
    except ValueError:
        pass
    raise refuse(400, "Bad Signature. Please use only the tokens provided by the API.")
