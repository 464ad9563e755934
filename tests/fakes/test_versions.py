"""The fake refuses what a server of its version refuses, with the words of that version."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from tests.fakes.airflow import FakeAirflow, Task


@pytest.fixture
def ask():
    """``ask(version, body)``: clear with this body on a fake of that version."""

    def send(version, body):
        fake = FakeAirflow(version)
        tasks = [
            Task("g.a", group="g", group_is_mapped=True, expands=3, downstream=["g.b"]),
            Task("g.b", group="g", group_is_mapped=True, expands=3),
        ]
        fake.add_dag("etl", tasks=tasks)
        fake.add_run("etl", "r1", state="queued")
        fake.run_queued()
        headers = {"Authorization": f"Bearer {fake.auth.token_for('op')}"}
        with httpx.Client(transport=fake.transport(), base_url=fake.base_url, headers=headers) as http:
            body = {"dag_run_id": "r1", "only_failed": False, **body}
            return http.post("/api/v2/dags/etl/clearTaskInstances", json=body)

    return send


@pytest.mark.parametrize(
    ("field", "value", "since"),
    [
        ("run_on_latest_version", True, "3.1.7"),
        ("prevent_running_task", True, "3.2.2"),
        ("note", "why", "3.3.2"),
    ],
)
@pytest.mark.parametrize("version", ["3.0.6", "3.1.7", "3.2.2", "3.3.2"])
def test_fields_of_a_clear_are_refused_by_older_servers(ask, version, field, value, since):
    answer = ask(version, {field: value})
    if version >= since:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", field]


@pytest.mark.parametrize(
    ("version", "cleared"),
    [
        ("3.0.6", [("g.a", 0), ("g.a", 1), ("g.a", 2), ("g.b", 0), ("g.b", 1), ("g.b", 2)]),
        ("3.1.7", [("g.a", 1), ("g.b", 0), ("g.b", 1), ("g.b", 2)]),
        ("3.2.2", [("g.a", 1), ("g.b", 1)]),
        ("3.3.2", [("g.a", 1), ("g.b", 1)]),
    ],
)
def test_an_index_with_its_downstream_in_a_mapped_group(ask, version, cleared):
    """As real servers of these versions answered (apache/airflow#56346, #64526)."""
    answer = ask(version, {"task_ids": [["g.a", 1]], "include_downstream": True})
    assert sorted((row["task_id"], row["map_index"]) for row in answer.json()["task_instances"]) == cleared


def test_one_tasks_indices_are_exact_even_on_the_oldest(ask):
    answer = ask("3.0.6", {"task_ids": [["g.a", 1], ["g.a", 2]]})
    assert sorted(row["map_index"] for row in answer.json()["task_instances"]) == [1, 2]


def test_time_is_moved_by_the_test(ask):
    fake = FakeAirflow()
    before = fake.clock.now()
    fake.clock.advance(3_600)
    assert (fake.clock.now() - before).total_seconds() >= 3_600
    assert fake.clock.now() > datetime.now(UTC)
