"""The audit log (``GET …/eventLogs``): every request that was carried out and was meant to change something."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.fakes.airflow import lists
from tests.fakes.airflow.wire import Answer, Request, Routes

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

CALLS = [
    ("POST", r"/clearTaskInstances$", "post_clear_task_instances"),
    ("POST", r"/dagRuns$", "trigger_dag_run"),
    ("PATCH", r"/dagRuns/[^/]+$", "patch_dag_run"),
    ("DELETE", r"/dagRuns/[^/]+$", "delete_dag_run"),
    ("PATCH", r"/taskInstances/", "patch_task_instance"),
    ("PATCH", r"/taskInstances$", "bulk_task_instances"),
]
"""What Airflow calls them, established on 3.3.2: the names of its API functions."""


def add_routes(routes: Routes, fake: FakeAirflow) -> None:
    routes.add("GET", "/api/v2/eventLogs", AuditApi(fake).list, "audit")


def note(fake: FakeAirflow, request: Request, names: dict[str, str]) -> None:
    """Write down what was just done, as Airflow does: for an index of a task only ``extra`` says which."""
    found = (event for method, path, event in CALLS if method == request.method and re.search(path, request.path))
    event = next(found, None)
    if event is None:
        return
    body = dict(request.body) if isinstance(request.body, dict) else {}
    extra = ({"map_index": names["index"]} if "index" in names else {}) | body | {"method": request.method}
    fake.world.events.append(
        {
            "event_log_id": len(fake.world.events) + 1,
            "when": fake.world.clock.now(),
            "dag_id": names.get("dag_id"),
            "run_id": names.get("run_id") or body.get("dag_run_id"),
            "task_id": names.get("task_id"),
            "map_index": None,
            "try_number": None,
            "event": event,
            "logical_date": None,
            "owner": request.user,
            "extra": json.dumps(extra),
        }
    )


class AuditApi:
    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake

    def list(self, request: Request) -> Answer:
        since, until = request.moment("after"), request.moment("before")
        wanted = request.all("included_events")
        rows = [
            row
            for row in self.fake.world.events
            if (not wanted or row["event"] in wanted)
            and all(request.get(name) in (None, row[name]) for name in ("dag_id", "run_id", "task_id", "owner"))
            and (since is None or row["when"] > since)
            and (until is None or row["when"] < until)
        ]
        order = [name.replace("when", "event_log_id") for name in request.all("order_by")]
        rows = lists.ordered(rows, order, lambda row, name: row[name], {"event_log_id", "event", "owner"})
        return lists.page(request, "event_logs", rows, _shown, self.fake.clamp)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    names = {"dag_display_name": row["dag_id"], "task_display_name": row["task_id"]}
    return row | names | {"when": row["when"].isoformat().replace("+00:00", "Z")}
