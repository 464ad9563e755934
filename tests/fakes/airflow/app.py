"""``FakeAirflow``: a stateful Airflow 3 behind its REST API, as one WSGI application.

    fake = FakeAirflow()
    fake.add_dag("etl", tasks=[Task("work", is_mapped=True, downstream=["agg"]), Task("agg", trigger_rule="all_done")])
    fake.add_run("etl", "r1")
    fake.expand("etl", "r1", "work", 3)
    fake.finish("etl", "r1", "work", 0, result={"status": "ok"})
    fake.finish("etl", "r1", "work", 1, error=("RuntimeError", "boom"))
    client = Airflow(fake.base_url, Password("op", fake.password("op")), transport=fake.transport())

It behaves as the contract suite (tests/contract) found the real one to behave. Nothing moves by itself.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from email.utils import format_datetime
from typing import Any

import httpx

from tests.fakes.airflow import (
    audit_api,
    backfills_api,
    clearing,
    dags_api,
    instances_api,
    marking,
    plugin_api,
    pools_api,
    results_api,
    run_marks_api,
    runs_api,
)
from tests.fakes.airflow.auth import Auth, password_of
from tests.fakes.airflow.faults import Fault, lose_connection, stay_silent
from tests.fakes.airflow.openapi import Document, document_of
from tests.fakes.airflow.remote import staged
from tests.fakes.airflow.stage import Stage
from tests.fakes.airflow.state import World
from tests.fakes.airflow.wire import Answer, Handler, Recorded, Request, Routes, page_of_airflow, refuse

WRITES = {"trigger", "clear", "patch", "backfill"}
OURS = "mapboard"
"""The User-Agent of Mapboard's client: a test that speaks HTTP itself may send what it likes."""


class FakeAirflow(Stage):
    """``clamp`` is ``[api] maximum_page_limit`` (``None``: no clamp), ``prefix`` a path it is served under.

    ``fake.plugin = True`` installs Mapboard's plug-in (airflow_plugin).

    Users: ``admin``, ``op``, ``user``, ``viewer`` with ``password(name)``; more through ``auth.add_user``.
    """

    def __init__(self, version: str = "3.3.2", *, clamp: int | None = 100, prefix: str = "") -> None:
        self.version = version
        self.numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
        self.clamp = clamp
        self.prefix = prefix.rstrip("/")
        self.log_page_size: int | None = None
        self.down = False
        self.delay_seconds = 0.0
        self.forbidden: set[str] = set()
        self.plugin = False
        self.requests: list[Recorded] = []
        self.in_flight = 0
        self.peak_in_flight = 0
        self._faults: list[Fault] = []
        self._counting = threading.Lock()
        self._working = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """An empty Airflow: no Dags, no logins, no faults, nothing recorded."""
        self.world = World()
        self.auth = Auth(self.world.clock)
        for role in ("admin", "op", "user", "viewer"):
            self.auth.add_user(role, self.password(role), role)
        self.down, self.delay_seconds, self.forbidden, self.plugin = False, 0.0, set(), False
        self._faults = []
        self.forget_requests()
        self._routes = Routes()
        self._routes.add("POST", "/auth/token", self.auth.login, "nothing")
        for room in (
            dags_api,
            runs_api,
            results_api,
            instances_api,
            plugin_api,
            clearing,
            marking,
            audit_api,
            backfills_api,
            pools_api,
            run_marks_api,
        ):
            room.add_routes(self._routes, self)

    def __repr__(self) -> str:
        return f"<FakeAirflow {self.version}>"

    # For tests

    @property
    def document(self) -> Document:
        return document_of(self.numbers)

    @property
    def base_url(self) -> str:
        return f"http://airflow.test{self.prefix}"

    def transport(self) -> httpx.WSGITransport:
        return httpx.WSGITransport(app=self)

    def password(self, name: str) -> str:
        return password_of(name)

    def fail_next(self, **fault: Any) -> None:
        """See ``Fault``: ``fake.fail_next(status=503, path="dagRuns", times=2)``."""
        self._faults.append(Fault(**fault))

    def forbid(self, *what: str) -> None:
        """Answer 403 "Forbidden" to everybody for ``xcom``, ``logs``, ``clear``, ``trigger``, ``backfill``, ``patch``
        or ``read``."""
        self.forbidden.update(what)

    def allow(self, *what: str) -> None:
        self.forbidden.difference_update(what)

    def calls(self, method: str = "", path: str = "") -> list[Recorded]:
        """The recorded requests of this method whose path holds ``path``."""
        return [one for one in self.requests if method in ("", one.method) and path in one.path]

    def forget_requests(self) -> None:
        with self._counting:
            self.requests = []
            self.peak_in_flight = self.in_flight

    # WSGI

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        request = Request.read(environ)
        if request.path.startswith(f"{self.prefix}/_stage/"):
            return self._staged(request).send(start_response, compressed=False)
        start_response = self._dated(start_response)
        with self._counting:
            self.in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            return self._answered(request, environ, start_response)
        finally:
            with self._counting:
                self.in_flight -= 1

    def _answered(self, request: Request, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if self.down:
            return lose_connection(environ, refused=True)
        inside = request.path.startswith(self.prefix + "/")
        request.path = request.path.removeprefix(self.prefix)
        if inside and request.headers.get("user-agent") == OURS:
            self.document.check(request)
        fault = self._next_fault(request)
        if self.delay_seconds:
            time.sleep(self.delay_seconds)
        if fault is not None and fault.hang:
            self._record(request)
            stay_silent(environ, fault.hang)
            return lose_connection(environ)
        if fault is not None and not fault.after:
            self._record(request)
            return lose_connection(environ) if fault.drop else fault.answer().send(start_response, compressed=False)
        answer = self._carried_out(request) if inside else page_of_airflow()
        if fault is not None:  # carried out, but the answer is lost
            return lose_connection(environ)
        compressed = "gzip" in request.headers.get("accept-encoding", "")
        return answer.send(start_response, compressed=compressed)

    def _dated(self, start_response: Callable[..., Any]) -> Callable[..., Any]:
        """With the ``Date`` that every web server adds, by this Airflow's clock."""

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, ("Date", format_datetime(self.clock.now(), usegmt=True))], *more)

        return start

    def _carried_out(self, request: Request) -> Answer:
        with self._working:
            try:
                handler, names, need = self._routed(request)
                if need != "nothing":
                    request.user = self.auth.user(request)
                    self.authorise(request.user, need)
                answer = handler(request, **names)
                audit_api.note(self, request, names)
                return answer
            except Answer as refusal:
                return refusal
            finally:
                self._record(request)

    def _routed(self, request: Request) -> tuple[Handler, dict[str, str], str]:
        found = self._routes.find(request.method, request.path)
        if found is not None:
            return found
        if request.path.startswith("/api/"):
            raise Answer(404, {"error": "API route not found"})
        if request.method != "GET":
            raise refuse(405, "Method Not Allowed")
        raise page_of_airflow()

    def authorise(self, user: str, need: str) -> None:
        if need in self.forbidden or not self.auth.may(user, "write" if need in WRITES else "read"):
            raise refuse(403, "Forbidden")

    def _next_fault(self, request: Request) -> Fault | None:
        with self._counting:
            for fault in self._faults:
                if fault.hits(request):
                    fault.times -= 1
                    return fault
        return None

    def _record(self, request: Request) -> None:
        with self._counting:
            body = request.body if request.path != "/auth/token" else None  # no password in a failing test's output
            self.requests.append(Recorded(request.method, request.path, request.query, body, request.user))

    def _staged(self, request: Request) -> Answer:
        with self._working:
            return staged(self, request)
