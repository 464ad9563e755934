"""The stage over HTTP, for a fake that runs as a process of its own: ``POST /_stage/<verb>`` with JSON.

The verbs are the methods of ``Stage`` and ``FakeAirflow``: ``{"args": [...], "kwargs": {...}}``. Tasks are given as
objects with the fields of ``Task``, a schedule in seconds. What a Python test would pass as a callable is a table::

    POST /_stage/run_queued {"kwargs": {"decide": {"work": {"0": {"result": 1}, "2": {"error": ["KeyError", "x"]}}}}}

by task id and map index; ``"*"`` stands for any task or index, ``{"keep_running": true}`` for one that goes on, and
``{"tries": [{…first try…}, {…every later one…}]}`` for one that behaves differently when tried again.
``RemoteFake`` is the Python side of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx

from tests.fakes.airflow.auth import password_of
from tests.fakes.airflow.scheduler import Fatal, KeepRunning, Skip
from tests.fakes.airflow.state import Instance, Task
from tests.fakes.airflow.wire import Answer, Recorded, Request

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

VERBS = {
    "add_dag", "add_run", "expand", "start", "finish", "set_state", "finish_run", "run_queued", "push_xcom", "set_log",
    "add_import_error", "remove_run", "remove_dag", "new_version", "states", "fail_next", "forbid", "allow",
    "forget_requests", "reset", "clears", "marks", "tries_started",
}  # fmt: skip
SETTINGS = {"clamp", "down", "delay_seconds", "log_page_size", "plugin"}


def staged(fake: FakeAirflow, request: Request) -> Answer:
    verb = request.path.rpartition("/")[2]
    order = request.body or {}
    args, kwargs = order.get("args", []), dict(order.get("kwargs", {}))
    try:
        if verb == "requests":
            recorded = [dataclasses.asdict(one) for one in fake.requests]
            return Answer(200, {"requests": recorded, "in_flight": fake.in_flight, "peak": fake.peak_in_flight})
        if verb == "advance":
            fake.clock.advance(*args)
            return Answer(200, {"result": None})
        if verb == "set" and set(kwargs) <= SETTINGS:
            for name, value in kwargs.items():
                setattr(fake, name, value)
            return Answer(200, {"result": None})
        if verb not in VERBS:
            return Answer(404, {"detail": f"The stage knows no verb {verb}."})
        if verb == "add_dag" and "tasks" in kwargs:
            kwargs["tasks"] = [task if isinstance(task, str) else Task(**task) for task in kwargs["tasks"]]
        if verb == "add_dag" and "schedule" in kwargs:
            kwargs["schedule"] = timedelta(seconds=kwargs["schedule"])
        for name in ("decide", "work"):
            if kwargs.get(name) is not None:
                kwargs[name] = decided_by(kwargs[name])
        if kwargs.get("error") is not None:
            kwargs["error"] = tuple(kwargs["error"])
        result = getattr(fake, verb)(*args, **kwargs)
    except (KeyError, TypeError, ValueError) as error:
        return Answer(422, {"detail": f"{type(error).__name__}: {error}"})
    return Answer(200, {"result": result if isinstance(result, int | str | dict | None) else None})


def decided_by(table: dict[str, dict[str, Any]]) -> Callable[[Instance], Any]:
    """A task's work from a table by task id and map index."""

    def work(row: Instance) -> Any:
        by_index = table.get(row.task_id, table.get("*", {}))
        fate = by_index.get(str(row.map_index), by_index.get("*", {}))
        if "tries" in fate:
            fate = fate["tries"][min(row.try_number, len(fate["tries"])) - 1]
        if fate.get("keep_running"):
            raise KeepRunning
        if fate.get("skip"):
            raise Skip
        if fate.get("error"):
            raise Fatal(*fate["error"])
        return fate.get("result")

    return work


class RemoteFake:
    """Drives a fake in another process: ``RemoteFake(url).finish("etl", "r1", "work", 0, result=1)``."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")

    def password(self, name: str) -> str:
        return password_of(name)

    def set(self, **settings: Any) -> None:
        self._post("set", [], settings)

    def advance(self, seconds: float) -> None:
        self._post("advance", [seconds], {})

    @property
    def requests(self) -> list[Recorded]:
        answer = self._post("requests", [], {})
        return [Recorded(**one | {"query": [tuple(pair) for pair in one["query"]]}) for one in answer["requests"]]

    @property
    def in_flight(self) -> int:
        return int(self._post("requests", [], {})["in_flight"])

    @property
    def peak_in_flight(self) -> int:
        return int(self._post("requests", [], {})["peak"])

    def calls(self, method: str = "", path: str = "") -> list[Recorded]:
        return [one for one in self.requests if method in ("", one.method) and path in one.path]

    def states(self, dag_id: str, run_id: str, task_id: str) -> dict[int, str | None]:
        return self._by_index("states", dag_id, run_id, task_id)

    def clears(self, dag_id: str, run_id: str, task_id: str) -> dict[int, int]:
        return self._by_index("clears", dag_id, run_id, task_id)

    def marks(self, dag_id: str, run_id: str, task_id: str) -> dict[int, int]:
        return self._by_index("marks", dag_id, run_id, task_id)

    def tries_started(self, dag_id: str, run_id: str, task_id: str) -> dict[int, int]:
        return self._by_index("tries_started", dag_id, run_id, task_id)

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        if verb not in VERBS:
            raise AttributeError(verb)
        return lambda *args, **kwargs: self._post(verb, list(args), kwargs)["result"]

    def _by_index(self, verb: str, *place: str) -> dict[int, Any]:
        return {int(index): value for index, value in self._post(verb, list(place), {})["result"].items()}

    def _post(self, verb: str, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        if "tasks" in kwargs:
            tasks = kwargs["tasks"]
            kwargs["tasks"] = [task if isinstance(task, str) else dataclasses.asdict(task) for task in tasks]
        answer = httpx.post(f"{self.base_url}/_stage/{verb}", json={"args": args, "kwargs": kwargs}, trust_env=False)
        if answer.status_code != 200:
            raise ValueError(f"{verb}: {answer.text}")
        result: dict[str, Any] = answer.json()
        return result
