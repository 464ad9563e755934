"""What the stories of a real Airflow are told with: a person with a REST client, the worker's part, what Airflow holds.

There is no worker process: ``Panel.work`` runs the real Celery tasks that were woken, and the scheduler's sweeps, one
after the other in this process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from celery import current_app
from django.test import Client

from examples.demo.airflow import AirflowStandalone
from panel.servers.encryption import encrypt
from panel.servers.models import Server

SWEEPS = ("servers.check_health", "mirror.sweep", "launches.sweep", "retries.sweep")
SECONDS = 420
FAILURES = ["hard_failure", "soft_failure"]
Key = tuple[str, int]


class Panel:
    """A person with a REST client, and the worker's part."""

    def __init__(self, client: Client, woken: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._client = client
        self._woken = woken
        current_app.loader.import_default_modules()

    def get(self, path: str, **query: str) -> Any:
        answer = self._client.get(f"/api/v1/{path}", query)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def post(self, path: str, body: dict[str, Any], expected: int) -> Any:
        answer = self._client.post(f"/api/v1/{path}", body, content_type="application/json")
        assert answer.status_code == expected, answer.content
        return answer.json()

    def work(self) -> None:
        """What the worker does between two beats of the scheduler."""
        for sweep in SWEEPS:
            current_app.tasks[sweep]()
        todo = list(dict.fromkeys(self._woken))
        self._woken.clear()
        for name, arguments in todo:
            current_app.tasks[name](*arguments)

    def until(self, look: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + SECONDS
        while not (found := look()):
            assert time.monotonic() < deadline, f"{what} did not come within {SECONDS} s"
            self.work()
            time.sleep(0.5)
        return found

    def launch(self, dag_id: str, params: dict[str, Any], key: str) -> str:
        """Launched by a double click; the run's id."""
        body = {"params": params, "note": "live story", "idempotency_key": key}
        first = self.post(f"servers/live/dags/{dag_id}/launches/", body, 201)
        again = self.post(f"servers/live/dags/{dag_id}/launches/", body, 200)
        assert again["id"] == first["id"]
        state = self.until(
            lambda: (s := self.get(f"launches/{first['id']}/")["state"]) in {"success", "failed", "refused"} and s,
            "the end of the run",
        )
        assert state != "refused"
        return str(first["dag_run_id"])

    def mapped_task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Once state and results are all read."""
        body = {"server": "live", "dag_id": dag_id, "run_id": run_id, "task_id": task_id, "wait": False}

        def read() -> dict[str, Any] | None:
            self._client.post("/api/v1/mapped-tasks/sync/", body, content_type="application/json")
            self.work()
            found = self.get("mapped-tasks/", server="live", dag_id=dag_id, run_id=run_id, task_id=task_id)["results"]
            return (
                found[0] if found and found[0]["complete"] and found[0]["run_state"] in {"success", "failed"} else None
            )

        found: dict[str, Any] = self.until(read, "the mapped task")
        return found

    def instances(self, mapped_task: dict[str, Any], **filters: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        path = f"mapped-tasks/{mapped_task['id']}/instances/"
        page = self.get(path, page_size="500", **filters)
        rows += page["results"]
        assert page["next"] is None
        return rows

    def retry(self, mapped_task: dict[str, Any], reason: str, key: str, **more: Any) -> dict[str, Any]:
        """Previewed, asked for by a double click, and watched to its end."""
        ask = {"mapped_task": mapped_task["id"], "selection": {"outcomes": FAILURES}}
        preview = self.post("retry-jobs/preview/", ask, 200)
        body = ask | {"reason": reason, "idempotency_key": key, "plan_token": preview["plan_token"]} | more
        job = self.post("retry-jobs/", body, 201)
        assert job["total"] == preview["count"]
        assert self.post("retry-jobs/", body, 200)["id"] == job["id"]

        def look() -> dict[str, Any] | None:
            detail: dict[str, Any] = self.get(f"retry-jobs/{job['id']}/")
            assert sum(detail["counts"].values()) == detail["total"]
            return detail if detail["finished_at"] else None

        done: dict[str, Any] = self.until(look, "the end of the retry job")
        return done | {"preview": preview}


class InAirflow:
    """What Airflow itself holds."""

    def __init__(self, airflow: AirflowStandalone, dag_id: str, run_id: str) -> None:
        self.airflow, self.dag_id, self.run_id = airflow, dag_id, run_id

    def run(self) -> dict[str, Any]:
        path = f"/dags/{self.dag_id}/dagRuns?run_id_prefix_pattern={quote(self.run_id)}&limit=100&order_by=-start_date"
        runs = self.airflow.call("GET", path)["dag_runs"]  # before 3.2.2 the pattern is ignored
        return dict(next(run for run in runs if run["dag_run_id"] == self.run_id))

    def rows(self, task_id: str) -> dict[int, dict[str, Any]]:
        body = {"dag_ids": [self.dag_id], "dag_run_ids": [self.run_id], "task_ids": [task_id], "page_limit": 2000}
        answer = self.airflow.call("POST", "/dags/~/dagRuns/~/taskInstances/list", body)
        return {row["map_index"]: row for row in answer["task_instances"]}

    def tries(self, task_id: str) -> dict[int, int]:
        return {index: row["try_number"] for index, row in self.rows(task_id).items()}

    def history(self, task_id: str, map_index: int) -> list[tuple[int, str]]:
        path = f"/dags/{self.dag_id}/dagRuns/{quote(self.run_id)}/taskInstances/{task_id}/{map_index}/tries"
        return [(one["try_number"], one["state"]) for one in self.airflow.call("GET", path)["task_instances"]]

    def audited_clears(self) -> list[set[Key]]:
        """What each clear of this run that Airflow's audit log knows of named, in their order; -1 is a whole task."""
        query = f"dag_id={self.dag_id}&run_id={quote(self.run_id)}&event=post_clear_task_instances&limit=100"
        answer = self.airflow.call("GET", f"/eventLogs?{query}&order_by=event_log_id")
        assert answer["total_entries"] == len(answer["event_logs"])
        bodies = [json.loads(entry["extra"]) for entry in answer["event_logs"]]
        real = [body for body in bodies if body["dry_run"] is False]  # old servers keep dry runs as well
        assert not any(body["include_downstream"] or body["include_upstream"] for body in real)
        return [keys_of(body["task_ids"]) for body in real]

    def xcom(self, task_id: str, key: str) -> Any:
        path = f"/dags/{self.dag_id}/dagRuns/{quote(self.run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.airflow.call("GET", path)["value"]


def at(row: dict[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(row[name])


def keys_of(task_ids: list[Any]) -> set[Key]:
    """What a clear names: one index of a task, or a whole task, here with -1."""
    return {(one, -1) if isinstance(one, str) else (one[0], one[1]) for one in task_ids}


def add_server(airflow: AirflowStandalone) -> None:
    """The panel's server "live"."""
    secret = encrypt(airflow.users["op"])
    Server.objects.create(slug="live", name="Live", base_url=airflow.base_url, username="op", secret_encrypted=secret)
