"""Routes about Dag runs: list, one, trigger, wait."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jsonschema

from tests.fakes.airflow import lists, shown
from tests.fakes.airflow.state import Dag, Run
from tests.fakes.airflow.wire import Answer, Request, Routes, database_error, refuse, strict

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

RUN_ID = re.compile(r"^[A-Za-z0-9_.~:+-]+$")
OTHER_RUN_ID = r"^(?:manual|scheduled|asset_triggered)__(?:\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\+00:00)$"
RESERVED = {"scheduled__": "scheduled", "backfill__": "backfill", "asset_triggered__": "asset_triggered"}
STATES = ("queued", "running", "success", "failed")
ORDERS = {"id", "state", "dag_id", "run_id", "logical_date", "run_after", "start_date", "end_date", "updated_at"}
TRIGGER = {
    "dag_run_id": "str?", "data_interval_start": "str?", "data_interval_end": "str?", "logical_date": "str?",
    "run_after": "str?", "conf": "dict?", "note": "str?", "partition_key": "str?",
}  # fmt: skip

# Airflow does not install jsonschema's optional packages: "date-time" and "uri" are not checked.
FORMATS = jsonschema.FormatChecker(formats=["email", "date", "ipv4", "ipv6", "regex"])


@FORMATS.checks("time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.strptime(value, "%H:%M:%S"))  # noqa: DTZ007 - a time of day


def add_routes(routes: Routes, fake: FakeAirflow) -> None:
    api = RunsApi(fake)
    routes.add("GET", "/api/v2/dags/{dag_id}/dagRuns", api.list)
    routes.add("POST", "/api/v2/dags/{dag_id}/dagRuns", api.trigger, "trigger")
    routes.add("GET", "/api/v2/dags/{dag_id}/dagRuns/{run_id}", api.get)
    if fake.numbers >= (3, 1, 0):
        routes.add("GET", "/api/v2/dags/{dag_id}/dagRuns/{run_id}/wait", api.wait)


class RunsApi:
    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake
        self.world = fake.world

    def list(self, request: Request, dag_id: str) -> Answer:
        if dag_id not in ("~", *self.world.dags):
            raise refuse(404, f"The Dag with ID: `{dag_id}` was not found")
        states = request.all("state")
        if not set(states) <= set(STATES):
            raise refuse(422, f"Invalid value for state. Valid values are {', '.join(STATES)}")
        since = request.moment("updated_at_gte")
        first, last = request.moment("logical_date_gte"), request.moment("logical_date_lte")
        kinds = request.all("run_type")
        prefix = request.get("run_id_prefix_pattern") if self.fake.numbers >= (3, 2, 2) else None
        runs = [
            run
            for run in self.world.runs.values()
            if dag_id in ("~", run.dag_id)
            and (not states or run.state in states)
            and (since is None or run.updated_at >= since)
            and (not kinds or run.run_type in kinds)
            and (first is None or (run.logical_date is not None and run.logical_date >= first))
            and (last is None or (run.logical_date is not None and run.logical_date <= last))
            and (prefix is None or _begins(run.run_id, prefix))
        ]
        order = [name.replace("dag_run_id", "run_id") for name in request.all("order_by")]
        runs = lists.ordered(runs, order, getattr, ORDERS - {"id"})

        def row(run: Run) -> dict[str, Any]:
            return shown.run_row(self.world, run)

        return lists.page(request, "dag_runs", runs, row, self.fake.clamp, **lists.NO_CURSORS)

    def get(self, request: Request, dag_id: str, run_id: str) -> Answer:
        return Answer(200, shown.run_row(self.world, self._run(dag_id, run_id)))

    def wait(self, request: Request, dag_id: str, run_id: str) -> Answer:
        """One line for a finished run; for others the real one goes on, and so only its first line is given."""
        if request.get("interval") is None:
            raise refuse(
                422, [{"type": "missing", "loc": ["query", "interval"], "msg": "Field required", "input": None}]
            )
        wanted = request.all("result")
        if wanted and "xcom" in self.fake.forbidden:
            raise refuse(403, "User is not authorized to read XCom data for this Dag")
        run = self._run(dag_id, run_id)
        line: dict[str, Any] = {"state": run.state}
        if run.state in ("success", "failed"):
            results = {task_id: found for task_id in sorted(set(wanted)) if (found := self._values(run, task_id)) != []}
            line |= {"results": results} if results else {}
        return Answer(200, text=json.dumps(line) + "\n", content_type=None)

    def trigger(self, request: Request, dag_id: str) -> Answer:
        body = strict(request.body, TRIGGER, required=("logical_date",))
        dag = self.world.dags.get(dag_id)
        if dag is None or dag.is_stale:
            raise refuse(404, f"Dag with dag_id: '{dag_id}' not found")
        if dag.has_import_errors:
            raise refuse(400, f"Dag with dag_id: '{dag_id}' has import errors and cannot be triggered")
        conf = body.get("conf") or {}
        run_id = body.get("dag_run_id") or f"manual__{self.world.clock.now().isoformat()}"
        _check_run_id(run_id)
        check_conf(dag, conf)
        if (dag_id, run_id) in self.world.runs:
            raise refuse(409, database_error("Unique constraint violation"))
        if len(run_id) > 250 or len(body.get("note") or "") > 1000:
            raise refuse(422, database_error("Value rejected by database"))
        run = self.fake.add_run(
            dag_id, run_id, state="queued", conf=conf, note=body.get("note") or None, user=request.user
        )
        return Answer(200, shown.run_row(self.world, run))

    def _values(self, run: Run, task_id: str) -> Any:
        """An unmapped task's value, or the list of a mapped one's; ``[]`` when there is none."""
        values = []
        for index, row in sorted(self.world.of_task(run.dag_id, run.run_id, task_id).items()):
            found = self.world.xcoms.get((row.dag_id, row.run_id, row.task_id, index, "return_value"))
            if found is not None and index < 0:
                return found[0]
            if found is not None:
                values.append(found[0])
        return values

    def _run(self, dag_id: str, run_id: str) -> Run:
        run = self.world.runs.get((dag_id, run_id))
        if run is None:
            raise refuse(404, f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found")
        return run


def check_conf(dag: Dag, conf: dict[str, Any]) -> None:
    """Airflow's own check: the first param that fails, in the order of declaration."""
    for name, param in dag.params.items():
        value = conf.get(name, param["value"])
        schema = param["schema"]
        if value is None and name not in conf and not _admits_null(schema):
            raise refuse(400, f"Invalid input for param {name}: No value passed")
        try:
            jsonschema.validate(value, schema, format_checker=FORMATS)
        except jsonschema.ValidationError as error:
            raise refuse(400, f"Invalid input for param {name}: {error}") from None


def _admits_null(schema: dict[str, Any]) -> bool:
    if not schema:
        return True
    try:
        jsonschema.validate(None, schema)
    except jsonschema.ValidationError:
        return False
    return True


def _check_run_id(run_id: str) -> None:
    if ".." in run_id:
        raise refuse(400, f"The run_id '{run_id}' must not contain '..' to prevent path traversal")
    if not RUN_ID.match(run_id):
        raise refuse(
            400,
            f"The run_id provided '{run_id}' does not match regex pattern '{RUN_ID.pattern}' or '{OTHER_RUN_ID}'",
        )
    for prefix, kind in RESERVED.items():
        if run_id.startswith(prefix):
            raise refuse(400, f"A manual DAG run cannot use ID {run_id!r} since it is reserved for {kind} runs")


def _begins(run_id: str, prefix: str) -> bool:
    """The prefix as Airflow matches it, by a range of strings: generously where it ends in punctuation, "9" or "z"."""
    while prefix and not prefix[-1].isalnum():
        prefix = prefix[:-1]
    end = prefix
    while end and not chr(ord(end[-1]) + 1).isalnum():
        end = end[:-1]
    return run_id >= prefix and (not end or run_id < end[:-1] + chr(ord(end[-1]) + 1))
