"""Answers recorded from real servers of every supported series are read.

They lie in tests/payloads; tests/contract/record.py has written them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import httpx
import pytest

from panel.airflow import Capabilities
from tests.logged_errors import told

PAYLOADS = Path(__file__).parents[1] / "payloads"
VERSIONS = sorted(folder.name for folder in PAYLOADS.iterdir() if folder.is_dir())
RUN = ("contract_mapped", "recorded")


def able(version: str) -> Capabilities:
    numbers = tuple(int(number) for number in version.split("."))
    new = numbers >= (3, 2, 2)
    return Capabilities(version, numbers, clear_note=new, clear_prevent_running=new, cursors=new, run_id_prefix=new)


@pytest.fixture(params=VERSIONS)
def recorded(request, answering):
    """``recorded(name)``: a client whose every request is answered with that recording."""

    def client(name: str):
        body = (PAYLOADS / request.param / f"{name}.json").read_bytes()
        headers = {"Content-Type": "application/json"}
        return answering(
            lambda request: httpx.Response(200, content=body, headers=headers), capabilities=able(version=request.param)
        )

    client.version = request.param
    return client


def test_the_series_that_are_supported_are_all_recorded():
    assert [version.rsplit(".", 1)[0] for version in VERSIONS] == ["3.0", "3.1", "3.2", "3.3"]


def test_version(recorded):
    assert recorded("version").version().version == recorded.version


def test_dags(recorded):
    (dag,) = recorded("dags").dags.list()[:1]
    assert dag.dag_id.startswith("contract_")
    assert (dag.is_paused, dag.is_stale, dag.has_import_errors) == (False, False, False)


def test_params(recorded):
    details = recorded("dag_details").dags.details("contract_params")
    assert list(details.params) == ["name", "n", "kind", "day", "maybe", "plain"]
    assert details.params["n"].schema == {"type": "integer", "minimum": 1, "maximum": 10}
    assert details.params["name"].value is None


def test_tasks(recorded):
    tasks = {task.task_id: task for task in recorded("tasks").dags.tasks("contract_mapped")}
    assert tasks["work"].is_mapped
    assert not tasks["items"].is_mapped
    assert tasks["summary"].trigger_rule == "all_done"


def test_the_structure_names_mapped_groups(recorded):
    nodes = json.loads((PAYLOADS / recorded.version / "structure.json").read_text())
    group = next(node for node in nodes if node["id"] == "each")
    assert group["is_mapped"]
    assert [(child["id"], child["is_mapped"]) for child in group["children"]] == [
        ("each.first", True),
        ("each.second", True),
    ]


def test_runs(recorded):
    (run,) = recorded("runs").runs.list("contract_mapped")
    assert (run.dag_id, run.state, run.conf) == ("contract_mapped", "success", {"n": 6})
    assert run.end_date is not None
    assert run.end_date.tzinfo is not None


def test_instances(recorded):
    changes = recorded("instances").instances.changed_since(*RUN, "work", datetime(2026, 1, 1, tzinfo=UTC))
    rows = list(islice(changes, 2))  # one page was recorded
    assert [(row.map_index, row.state, row.rendered_map_index) for row in rows] == [
        (0, "success", "item-0"),
        (1, "failed", "item-1"),
    ]
    assert all(row.duration and row.start_date for row in rows)
    assert recorded("instances_mapped").instances.count(*RUN, "work") == 6


def test_one_instance(recorded):
    row = recorded("instance").instances.get(*RUN, "work", 1)
    assert (row.map_index, row.state, row.try_number, row.max_tries, row.note) == (1, "failed", 1, 0, None)


def test_tries(recorded):
    assert [(one.try_number, one.state) for one in recorded("tries").instances.tries(*RUN, "work", 1)] == [
        (1, "failed")
    ]


def test_xcoms(recorded):
    assert recorded("xcom").xcoms.get(*RUN, "work", 3).value == {"id": 3, "status": "failed", "error": "soft"}
    assert {ref.map_index for ref in recorded("xcoms").xcoms.indices(*RUN, "work")} <= {0, 3, 5}


def test_the_error_in_a_log(recorded):
    assert told(recorded("log").logs.last_error(*RUN, "work", 1, 2)) == ("ValueError", "item 2 never works")
