"""Where the contract is tried: the fake, or a real Airflow, behind one small face."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, Protocol

import httpx

from panel.airflow import Airflow, Credentials, DagRun, Password
from tests.fakes.airflow import FakeAirflow

PATIENCE_SECONDS = 120


class Server(Protocol):
    """What tests/live/airflow_server.py gives: an address, and passwords by user name."""

    base_url: str
    users: dict[str, str]


class Site:
    """One server with users ``admin``, ``op`` and ``viewer``, and the contract's Dags."""

    def __init__(
        self, base_url: str, users: dict[str, str], transport: httpx.BaseTransport | None, work: Callable[[], object]
    ) -> None:
        self.base_url = base_url
        self.users = users
        self._transport = transport
        self._work = work
        self._numbers = itertools.count(1)
        self.weeks = itertools.count(0, 7)  # the first days of ranges of dates of their own
        self._started = f"{time.time_ns():x}"  # run ids must be new on a server that is used again
        self._clients: dict[str, Airflow] = {}
        self.http = httpx.Client(base_url=base_url, transport=transport, timeout=60, trust_env=False)

    @classmethod
    def of_fake(cls, fake: FakeAirflow) -> Site:
        users = {name: fake.password(name) for name in ("admin", "op", "viewer")}
        return cls(fake.base_url, users, fake.transport(), fake.run_queued)

    @classmethod
    def of_server(cls, server: Server) -> Site:
        return cls(server.base_url, server.users, None, lambda: time.sleep(0.5))

    def close(self) -> None:
        self.http.close()
        for client in self._clients.values():
            client.close()

    def client(self, user: str = "op") -> Airflow:
        """Mapboard's own client, logged in as this user."""
        if user not in self._clients:
            self._clients[user] = self.stranger(Password(user, self.users[user]))
        return self._clients[user]

    def stranger(self, credentials: Credentials) -> Airflow:
        """A client of somebody else; close it."""
        return Airflow(self.base_url, credentials, transport=self._transport)

    def token(self, user: str) -> str:
        answer = self.http.post("/auth/token", json={"username": user, "password": self.users[user]})
        token: str = answer.json()["access_token"]
        return token

    def raw(self, method: str, path: str, *, user: str = "op", **more: Any) -> httpx.Response:
        """One request as it is, below ``/api/v2`` when the path begins so; the answer untouched."""
        headers = {"Authorization": f"Bearer {self.token(user)}", **more.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **more)

    def run_id(self) -> str:
        return f"contract_{self._started}_{next(self._numbers)}"

    def start(self, dag_id: str, **conf: Any) -> str:
        return self.client().runs.trigger(dag_id, run_id=self.run_id(), conf=conf).dag_run_id

    def finished(self, dag_id: str, run_id: str) -> DagRun:
        """Wait for the end of a run."""
        return self.until(
            lambda: self.client().runs.find(dag_id, run_id), lambda run: run.state in ("success", "failed")
        )

    def until(self, read: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
        """Let the server work until what is read is good."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            self._work()
            found = read()
            if good(found):
                return found
            assert time.monotonic() < deadline, f"it did not come to that in {PATIENCE_SECONDS} s: {found}"

    def states(self, dag_id: str, run_id: str) -> dict[tuple[str, int], str | None]:
        rows = self.client().instances.bulk(dag_id, run_id)
        return {(row.task_id, row.map_index): row.state for row in rows}
