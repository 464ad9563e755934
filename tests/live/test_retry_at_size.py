"""A retry of one error class at 1,500 indices on a real Airflow, by real Celery workers of which two are killed.

That each chosen index was cleared once, and nothing else, is said by Airflow: by its try numbers and its audit log.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.demo.airflow import AirflowStandalone
from tests.live.gate import Gate
from tests.live.processes import assert_all_gone, processes_below
from tests.live.story import InAirflow, Key, at, keys_of
from tests.soak.databases import Sqlite
from tests.soak.panel import Panel

pytestmark = pytest.mark.timeout(1_800)

DAG, RUN = "live_at_size", "at-size"
MAPPED = {"listed": 1_080, "load": 180, "each.check": 120, "each.ship": 120}  # as in dags/at_size.py
CHOSEN = {(task, index) for task in ("load", "each.check") for index in range(MAPPED[task]) if index % 6 == 1}
"""Those whose source was away."""
WITH_THEM = {("each.ship", index) for task, index in CHOSEN if task == "each.check"}
"""The later task of the mapped group, which could not run without them."""


@pytest.fixture
def gate(real_airflow: AirflowStandalone) -> Iterator[Gate]:
    real_airflow.wait_for_dags([DAG])
    with Gate(real_airflow.base_url) as gate:
        yield gate


@pytest.fixture
def panel() -> Iterator[Panel]:
    with tempfile.TemporaryDirectory(prefix="size-", dir="/tmp") as name:  # short: it holds a Unix socket
        directory = Path(name)
        panel = Panel(
            directory,
            Sqlite(directory / "panel.sqlite3"),
            RETRY_LEASE_SECONDS="5",
            RETRY_UNSURE_SECONDS="3",
            AIRFLOW_TIMEOUT_SECONDS="10",
        )
        try:
            yield panel
        finally:
            panel.stop()


def until(look: Callable[[], Any], what: str, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(1)
    return found


def mirrored(panel: Panel, task_id: str) -> dict[str, Any]:
    place = {"server": "live", "dag_id": DAG, "run_id": RUN, "task_id": task_id}

    def read() -> dict[str, Any] | None:
        answer = panel.call("POST", "mapped-tasks/sync/", place)
        return answer.json() if answer.status_code == 200 else None

    found: dict[str, Any] = panel.until(read, f"the mirror of {task_id}", seconds=180)
    return found


def kill_the_sender(panel: Panel, gate: Gate) -> set[Key]:
    """SIGKILL while its chunk is held; what the chunk was to clear."""
    panel.until(gate.held, "a chunk in flight to kill at", seconds=120)
    name = panel.worker_that_sends()
    processes = {panel.processes[name].pid, *processes_below(panel.processes[name].pid)}
    (body,) = gate.held()
    panel.kill(name)
    assert_all_gone(processes)
    assert gate.held(by_the_living=False) == [body], "the worker died while it waited for the answer"
    panel.start_process(name)
    return keys_of(body["task_ids"])


def test_one_error_class_of_1500_indices_runs_once_more_each_though_two_workers_are_killed(
    panel: Panel, gate: Gate, real_airflow: AirflowStandalone, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    real_airflow.call("POST", f"/dags/{DAG}/dagRuns", {"logical_date": None, "dag_run_id": RUN})
    held = InAirflow(real_airflow, DAG, RUN)
    panel.prepare("live", gate.url, real_airflow.users["op"])
    until(lambda: held.run()["state"] in {"success", "failed"}, "the end of the run", 1_200)
    ran = time.monotonic() - began

    def rows() -> dict[Key, dict[str, Any]]:
        return {(task, index): row for task in MAPPED for index, row in held.rows(task).items()}

    before = rows()
    assert Counter(task for task, _ in before) == MAPPED
    assert held.tries("report") == {-1: 1}
    panel.start()
    tasks = {task_id: mirrored(panel, task_id) for task_id in ("load", "each.check")}
    classes = {}
    for task_id in tasks:
        groups = panel.get(f"mapped-tasks/{tasks[task_id]['id']}/error-groups/")["results"]
        assert Counter({(one["outcome"], one["error_type"]): one["count"] for one in groups}) == {
            ("hard_failure", "ConnectionError"): MAPPED[task_id] // 6,
            ("hard_failure", "TimeoutError"): MAPPED[task_id] // 6,
            ("soft_failure", ""): MAPPED[task_id] // 6,
        }
        classes |= {one["error_type"]: one["id"] for one in groups}

    ask = {
        "mapped_tasks": [task["id"] for task in tasks.values()],
        "selection": {"error_groups": [classes["ConnectionError"]]},
        "reason": "the sources are back",
        "chunk_size": 10,
        "idempotency_key": "at-size",
    }
    gate.hold("after", let=1)
    answer = panel.call("POST", "retry-jobs/", ask)
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert job["total"] == len(CHOSEN)
    done = kill_the_sender(panel, gate)  # Airflow has done it, and nobody heard of it
    gate.hold("before", let=5)
    lost = kill_the_sender(panel, gate)  # Airflow never gets it
    gate.open(lost=True)
    assert done | lost < CHOSEN | WITH_THEM
    assert not done & lost
    assert (done | lost) & WITH_THEM, "a chunk of the mapped group"
    assert (done | lost) & {key for key in CHOSEN if key[0] == "load"}, "and one outside it"

    ended = panel.until(
        lambda: (found := panel.get(f"retry-jobs/{job['id']}/"))["finished_at"] and found,
        "the end of the job",
        seconds=300,
    )
    assert (ended["state"], {state: n for state, n in ended["counts"].items() if n}) == (
        "done",
        {"recovered": len(CHOSEN)},
    )
    until(lambda: held.run()["state"] == "success", "the end of the run that went on", 120)

    after = rows()
    assert after.keys() == before.keys()
    more = {key: row["try_number"] - before[key]["try_number"] for key, row in after.items()}
    assert {key for key, tries in more.items() if tries} == CHOSEN | WITH_THEM
    assert set(more.values()) == {0, 1}
    assert {key for key, row in after.items() if row["id"] != before[key]["id"]} == CHOSEN | WITH_THEM
    assert {after[key]["state"] for key in CHOSEN | WITH_THEM} == {"success"}

    cleared = Counter(key for one in held.audited_clears() for key in one)
    assert cleared == Counter(CHOSEN | WITH_THEM | {("report", -1)}), "each once, by Airflow's audit log"
    report = held.rows("report")[-1]
    assert (report["state"], report["try_number"]) == ("success", 2)
    assert at(report, "start_date") >= max(at(after[key], "end_date") for key in CHOSEN | WITH_THEM)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(before):,} indices on a real Airflow in {ran:.0f} s; {len(CHOSEN)} chosen of 3 error classes, "
            f"{len(WITH_THEM)} more of their mapped group, 2 workers killed: each ran once more, "
            f"{time.monotonic() - began:.0f} s in all\n"
        )
