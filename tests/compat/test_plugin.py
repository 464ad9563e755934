"""Mapboard's plug-in on a real Airflow of every series: it gives what single reads give, and to nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.contract.stage import VALUES

PROBE = Path(__file__).with_name("authorisation_probe.py")
LARGE = len(VALUES) - 2


@pytest.fixture(scope="module")
def values(airflow, start) -> str:
    """A finished run of ``contract_values``."""
    run_id = start("contract_values")
    deadline = time.monotonic() + 120
    while airflow.runs.find("contract_values", run_id).state not in ("success", "failed"):
        assert time.monotonic() < deadline, "the run did not end"
        time.sleep(0.5)
    return run_id


def test_values_of_every_kind(airflow, values):
    assert airflow.bulk_reads.available()
    rows = airflow.bulk_reads.results("contract_values", values, "work").rows
    assert [(row.map_index, row.state, row.try_number) for row in rows] == [
        (index, "success", 1) for index in range(len(VALUES))
    ]
    for row in rows[:LARGE]:
        single = airflow.xcoms.get("contract_values", values, "work", row.map_index)
        assert (row.has_value, row.value, row.timestamp) == (True, single.value, single.timestamp)
        assert row.timestamp >= row.start_date
    assert rows[0].value == VALUES[0]
    assert (rows[LARGE].truncated, rows[LARGE].value) == (True, None)
    assert rows[LARGE].size == len("ä".encode()) * 40_000 + len('""')
    assert not rows[-1].has_value


def test_pages(airflow, values):
    found, after = [], -1
    while after is not None:
        page = airflow.bulk_reads.results("contract_values", values, "work", after=after, limit=4)
        found += [row.map_index for row in page.rows]
        after = page.next_after
    assert found == list(range(len(VALUES)))


def test_without_a_login(standalone, values):
    path = f"/mapboard/dags/contract_values/dagRuns/{values}/taskInstances/work/results"
    assert httpx.get(standalone.base_url + path, trust_env=False).status_code == 401


def test_it_asks_the_auth_manager_about_this_dag(standalone, tmp_path):
    """The simple auth manager has no rights by Dag, so another one is put in its place, without a server."""
    command = [standalone.venv / "bin" / "python", PROBE]
    own = {"AIRFLOW_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=own, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    instances, xcoms = ["GET", "TASK_INSTANCE", "etl"], ["GET", "XCOM", "etl"]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "nothing": {"status": 404, "asked": [instances, xcoms]},
        "TASK_INSTANCE": {"status": 403, "asked": [instances]},
        "XCOM": {"status": 403, "asked": [instances, xcoms]},
    }
