"""`make bench`: the questions an operator asks of one mapped task, put to Mapboard and to Airflow in the same run.

Each figure is a ratio: the seconds of Airflow's own REST API, used the way its lists offer it (pages of 100, one XCom
and one log a request, four connections), over the seconds of Mapboard. There is no threshold; nothing fails.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.environment import set_up
from examples.demo.airflow import REPOSITORY, AirflowStandalone

set_up()

from django.contrib.auth.models import Group, User  # noqa: E402 - the settings come first
from django.test import Client  # noqa: E402

from panel.mirror.models import Dag, MappedTask  # noqa: E402
from panel.mirror.services import find_or_fetch_run, sync_mapped_task  # noqa: E402
from panel.servers.client import open_client  # noqa: E402
from panel.servers.models import Server  # noqa: E402
from panel.servers.services import ServerDetails, add_server  # noqa: E402

DAG, TASK = "resilient_processing", "process_item"
CONNECTIONS, PAGE = 4, 100


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--items", type=int, default=300, help="map indices of the run (1 to 1024)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each question is asked; the median counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mapboard-bench-") as home:
        airflow = AirflowStandalone(
            venv=REPOSITORY / "var" / "airflow",
            home=Path(home),
            dags={"examples": REPOSITORY / "examples" / "dags"},
            port=18300,
            environment={"MAPBOARD_EXAMPLES_RETRY_SECONDS": "1"},
        )
        with airflow:
            airflow.wait_for_dags([DAG])
            run_id = finished_run(airflow, options.items)
            details = ServerDetails(
                name="bench",
                base_url=airflow.base_url,
                authentication=Server.Authentication.PASSWORD,
                username="admin",
                secret=airflow.users["admin"],
            )
            server = add_server(user=None, slug="bench", details=details)
            report(airflow, server, run_id, options)


def finished_run(airflow: AirflowStandalone, items: int) -> str:
    print(f"Running {items} items …", flush=True)
    conf = {"items": items, "seconds_per_item": 0}
    run = airflow.call("POST", f"/dags/{DAG}/dagRuns", {"logical_date": None, "conf": conf})
    while airflow.call("GET", f"/dags/{DAG}/dagRuns/{quote(run['dag_run_id'], safe='')}")["state"] not in {
        "success",
        "failed",
    }:
        time.sleep(1)
    return str(run["dag_run_id"])


def report(airflow: AirflowStandalone, server: Server, run_id: str, options: argparse.Namespace) -> None:
    reader = AirflowReader(airflow, server, run_id)
    questions = {
        "every state, result and error": (reader.everything, lambda: mirror(server, run_id)),
        "a page of the failures, with why": (reader.failures, mirrored_failures(server, run_id)),
    }
    print(f"\n{options.items} indices of {TASK}, median of {options.rounds}")
    print(f"{'question':36}{'Airflow':>10}{'Mapboard':>10}{'ratio':>8}")
    for question, (theirs, ours) in questions.items():
        airflow_seconds, panel_seconds = seconds(theirs, options.rounds), seconds(ours, options.rounds)
        ratio = airflow_seconds / panel_seconds
        print(f"{question:36}{airflow_seconds:9.3f}s{panel_seconds:9.3f}s{ratio:7.1f}×")


def seconds(work: Callable[[], None], rounds: int) -> float:
    work()  # connections, Airflow's schema and imports are paid for once, by neither side
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


class AirflowReader:
    """Airflow's public lists and single reads, four at a time."""

    def __init__(self, airflow: AirflowStandalone, server: Server, run_id: str) -> None:
        self.airflow, self.server, self.run_id = airflow, server, run_id

    def everything(self) -> None:
        rows = self._rows("")
        succeeded = [row["map_index"] for row in rows if row["state"] == "success"]
        with open_client(self.server) as client, ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda index: client.xcoms.get(DAG, self.run_id, TASK, index), succeeded))
        self._errors([row for row in rows if row["state"] == "failed"])

    def failures(self) -> None:
        self._errors(self._rows("&state=failed")[:PAGE])

    def _rows(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        address = f"/dags/{DAG}/dagRuns/{quote(self.run_id, safe='')}/taskInstances/{TASK}/listMapped"
        while True:
            page = self.airflow.call("GET", f"{address}?limit={PAGE}&offset={len(rows)}{query}")
            rows += page["task_instances"]
            if len(rows) >= page["total_entries"]:
                return rows

    def _errors(self, failed: list[dict[str, Any]]) -> None:
        with open_client(self.server) as client, ThreadPoolExecutor(CONNECTIONS) as pool:
            places = [(row["try_number"], row["map_index"]) for row in failed]
            list(pool.map(lambda place: client.logs.last_error(DAG, self.run_id, TASK, *place), places))


def mirror(server: Server, run_id: str) -> None:
    """An empty mirror filled until it is complete."""
    Dag.objects.all().delete()
    run = find_or_fetch_run(server=server, dag_id=DAG, run_id=run_id)
    mapped_task = MappedTask.objects.get(run=run, task_id=TASK)
    while not MappedTask.objects.get(pk=mapped_task.pk).complete:
        sync_mapped_task(mapped_task_id=mapped_task.pk)


def mirrored_failures(server: Server, run_id: str) -> Callable[[], None]:
    user = User.objects.create_user("bench")
    user.groups.set(Group.objects.filter(name="viewer"))
    browser = Client(headers={"host": "localhost"})
    browser.force_login(user)

    def read() -> None:
        task = MappedTask.objects.get(run__dag__server=server, run__run_id=run_id, task_id=TASK)
        answer = browser.get(f"/api/v1/mapped-tasks/{task.pk}/instances/?outcome=hard_failure&page_size=100")
        if answer.status_code != 200 or not answer.json()["count"]:
            raise SystemExit(f"The panel answered {answer.status_code}: {answer.content[:500]!r}")

    return read


if __name__ == "__main__":
    main()
