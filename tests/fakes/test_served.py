"""The fake as a process of its own, staged over HTTP, with faults on a real connection."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from panel.airflow import Airflow, BadPayload, Password, TimedOut, Unreachable
from tests.fakes.airflow import RemoteFake, Task
from tests.logged_errors import told

pytestmark = pytest.mark.enable_socket


@pytest.fixture(scope="module")
def process() -> Iterator[RemoteFake]:
    command = [sys.executable, "-m", "tests.fakes.airflow", "--port", "0", "--until-eof", "--prefix", "/air"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as served:
        assert served.stdin is not None
        assert served.stdout is not None
        word, _, base_url = served.stdout.readline().strip().partition(" ")
        assert word == "ready"
        yield RemoteFake(base_url)
        served.stdin.close()
        assert served.wait(10) == 0


@pytest.fixture
def remote(process: RemoteFake) -> RemoteFake:
    process.reset()
    tasks = [Task("work", is_mapped=True, expands=20, downstream=["agg"]), Task("agg", trigger_rule="all_done")]
    fate = {"3": {"tries": [{"error": ["KeyError", "x"]}, {"result": 1}]}, "*": {"result": {"status": "ok"}}}
    process.add_dag("etl", tasks=tasks, work={"work": fate})
    process.add_run("etl", "r1", state="queued")
    assert process.run_queued() == 21
    process.forget_requests()
    return process


@pytest.fixture
def airflow(remote: RemoteFake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("panel.airflow.transport.BACKOFF_SECONDS", (0.0, 0.0))
    with Airflow(remote.base_url, Password("op", remote.password("op")), timeout_seconds=5) as client:
        yield client


def test_the_stage_is_what_the_client_sees(remote, airflow):
    assert airflow.check().version == "3.3.2"
    assert {row.map_index: row.state for row in airflow.instances.bulk("etl", "r1", ["work"])} == remote.states(
        "etl", "r1", "work"
    )
    assert told(airflow.logs.last_error("etl", "r1", "work", 1, 3)) == ("KeyError", "x")


def test_a_try_that_goes_otherwise_the_second_time(remote, airflow):
    airflow.instances.clear("etl", "r1", [("work", 3)], dry_run=False, include_downstream=True)
    remote.run_queued()
    assert set(remote.states("etl", "r1", "work").values()) == {"success"}


def test_a_lost_connection_is_tried_again(remote, airflow):
    remote.fail_next(drop=True, path="dagRuns", times=2)
    assert airflow.runs.find("etl", "r1").state == "success"


def test_a_write_whose_answer_is_lost_was_carried_out_once(remote, airflow):
    remote.fail_next(drop=True, path="clearTaskInstances", after=True)
    with pytest.raises(Unreachable):
        airflow.instances.clear("etl", "r1", [("work", 3)], dry_run=False)
    assert remote.states("etl", "r1", "work")[3] is None
    assert len(remote.calls("POST", "clearTaskInstances")) == 1


def test_silence(remote, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    remote.fail_next(hang=1, path="/api/v2/version")
    with Airflow(remote.base_url, Password("op", "x"), timeout_seconds=0.2) as client, pytest.raises(TimedOut):
        client.version()
    deadline = time.monotonic() + 20
    while remote.in_flight and time.monotonic() < deadline:  # the fake is still silent in a thread of its own
        time.sleep(0.05)
    assert remote.in_flight == 0


def test_a_page_instead_of_json(remote, airflow):
    remote.fail_next(html=True, path="/tasks")
    with pytest.raises(BadPayload):
        airflow.dags.tasks("etl")


def test_down_and_up_again(remote, airflow):
    remote.set(down=True)
    with pytest.raises(Unreachable):
        airflow.version()
    remote.set(down=False)
    assert airflow.version()


def test_requests_at_once_are_counted(remote, airflow):
    airflow.dags.list()
    remote.forget_requests()
    remote.set(delay_seconds=0.05)
    threads = [threading.Thread(target=airflow.dags.list) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    remote.set(delay_seconds=0)
    assert len(remote.calls("GET", "/dags")) == 8
    assert 1 <= remote.peak_in_flight <= 4


@pytest.mark.parametrize(
    ("verb", "body", "status"),
    [
        ("nonsense", {}, 404),
        ("__init__", {}, 404),
        ("finish", {"args": ["etl", "nope", "work"]}, 422),
        ("add_dag", {"kwargs": {"zzz": 1}}, 422),
        ("set", {"kwargs": {"world": 1}}, 404),
    ],
)
def test_mistakes_in_staging_are_told(remote, verb, body, status):
    answer = httpx.post(f"{remote.base_url}/_stage/{verb}", json=body, trust_env=False)
    assert answer.status_code == status


def test_effects_are_counted_there_too(remote, airflow):
    airflow.instances.clear("etl", "r1", [("work", 3)], dry_run=False)
    airflow.instances.set_state("etl", "r1", "work", 5, "failed")
    remote.run_queued()
    assert remote.clears("etl", "r1", "work") == {3: 1}
    assert remote.marks("etl", "r1", "work") == {5: 1}
    assert remote.tries_started("etl", "r1", "work") == dict.fromkeys(range(20), 1) | {3: 2}
