"""Somebody at Airflow's own pages, while Mapboard works: marks, clears, deletes, each by Airflow's API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import httpx

from tests.fakes.airflow.app import FakeAirflow
from tests.fakes.airflow.auth import password_of


class Person:
    """``Person(fake, "maria").mark("etl", "r1", "work", 3, "success")``"""

    def __init__(self, fake: FakeAirflow, name: str) -> None:
        self.fake = fake
        fake.auth.add_user(name, password_of(name), "admin")
        self._headers = {"Authorization": f"Bearer {fake.auth.token_for(name)}"}

    def mark(self, dag_id: str, run_id: str, task_id: str, map_index: int, state: str) -> None:
        self._call("PATCH", f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/{map_index}", {"new_state": state})

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        self._call("PATCH", _run(dag_id, run_id), {"state": state})

    def delete_run(self, dag_id: str, run_id: str) -> None:
        self._call("DELETE", _run(dag_id, run_id))

    def clear(self, dag_id: str, run_id: str, task_id: str, indices: Iterable[int]) -> None:
        body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False}
        body["task_ids"] = [[task_id, index] for index in indices]
        self._call("POST", f"/dags/{quote(dag_id)}/clearTaskInstances", body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        with httpx.Client(transport=self.fake.transport(), base_url=self.fake.base_url) as client:
            answer = client.request(method, f"/api/v2{path}", json=body, headers=self._headers)
            answer.raise_for_status()


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"
