"""The Dag *Heavy data* on an Airflow of its own: where results live is one setting for all of an Airflow's Dags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from examples.demo.airflow import AirflowStandalone
from examples.demo.sources import XCOM_THRESHOLD_BYTES, xcoms_in
from tests.live.airflow_server import DAGS, FIRST_PORT, VENV, make_environment
from tests.live.story import InAirflow, Panel, add_server

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

DAG, OTHER = "heavy_data", "resilient_processing"


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStandalone]:
    make_environment()
    home = Path(tmp_path_factory.mktemp("heavy"))
    with AirflowStandalone(
        venv=VENV,
        home=home / "airflow",
        dags={"examples": DAGS["examples"]},
        port=FIRST_PORT,
        environment={"MAPBOARD_EXAMPLES_RETRY_SECONDS": "1", **xcoms_in(home / "xcoms")},
    ) as airflow:
        airflow.wait_for_dags([DAG, OTHER])
        yield airflow


@pytest.fixture
def panel(airflow: AirflowStandalone, broker_url: str, person: Any, as_user: Any, woken: Any) -> Panel:
    add_server(airflow)
    return Panel(as_user(person("olga", "operator", "deployer")), woken)


def references(airflow: AirflowStandalone, run_id: str, indices: list[int]) -> dict[int, Any]:
    """What Airflow itself keeps of these results."""
    path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/collect_segment/xcomEntries/return_value?map_index="
    return {index: airflow.call("GET", f"{path}{index}")["value"] for index in indices}


def test_large_results_are_references_small_ones_stay_and_a_silent_segment_recovers(
    panel: Panel, airflow: AirflowStandalone
) -> None:
    run_id = panel.launch(DAG, {"silent_segments": "2", "incomplete_segments": "1"}, "heavy-live")
    held = InAirflow(airflow, DAG, run_id)
    assert held.run()["state"] == "failed"
    assert held.xcom("add_up", "sums")["missing"] == ["small-business", "enterprise"]

    task = panel.mapped_task(DAG, run_id, "collect_segment")
    rows = {row["label"]: row for row in panel.instances(task)}
    assert rows["enterprise"]["outcome"] == "hard_failure"
    assert rows["small-business"]["outcome"] == "soft_failure"
    assert "3 of 365 days are missing" in rows["small-business"]["error_message"]
    for index, reference in references(airflow, run_id, [0, 3]).items():
        stored = Path(unquote(urlsplit(reference).path))
        assert stored.stat().st_size >= XCOM_THRESHOLD_BYTES
        row = next(row for row in rows.values() if row["map_index"] == index)
        assert row["result_state"] == "external"
        assert row["result_reason"]
        assert len(json.loads(stored.read_text())["days"]) == 365

    job = panel.retry(task, "the source answers again", "retry-heavy")
    assert (job["state"], job["total"]) == ("done", 2)
    panel.until(lambda: held.run()["state"] == "success", "a green run")
    sums = held.xcom("add_up", "return_value")
    assert sums["missing"] == []
    stored = [json.loads(Path(unquote(urlsplit(url).path)).read_text()) for url in references(
        airflow, run_id, [0, 1, 2, 3]
    ).values()]  # fmt: skip
    assert sums["orders"] == sum(segment["rows_processed"] for segment in stored)
    assert held.tries("collect_segment") == {0: 1, 1: 2, 2: 4, 3: 1}


def test_the_other_dags_work_under_the_same_setting(panel: Panel, airflow: AirflowStandalone) -> None:
    params = {"items": 130, "seconds_per_item": 0, "fatal_percent": 2, "flaky_percent": 0, "crash_percent": 2}
    run_id = panel.launch(OTHER, params, "other-under-heavy")
    held = InAirflow(airflow, OTHER, run_id)
    assert held.run()["state"] == "success"
    list_of_items = held.xcom("list_items", "return_value")
    assert isinstance(list_of_items, str), "the list that was mapped is a reference"
    task = panel.mapped_task(OTHER, run_id, "process_item")
    assert {name: count for name, count in task["counts"].items() if count} == {
        "success": 124,
        "soft_failure": 3,
        "hard_failure": 3,
    }
