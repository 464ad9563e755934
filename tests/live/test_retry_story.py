"""The main job through the REST API on a real Airflow: launch, outcomes, retry of what failed, recovery.

What happened is asserted by what Airflow holds.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from examples.demo.airflow import AirflowStandalone
from tests.live.story import FAILURES, InAirflow, Panel, add_server

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def panel(real_airflow: AirflowStandalone, broker_url: str, person: Any, as_user: Any, woken: Any) -> Panel:
    real_airflow.wait_for_dags(["multi_region_deploy", "resilient_processing"])
    add_server(real_airflow)
    return Panel(as_user(person("olga", "operator", "deployer")), woken)


def test_a_deploy_to_four_regions_one_fails_and_recovers(panel: Panel, real_airflow: AirflowStandalone) -> None:
    params = {"env": "prod", "version": "4.5.6", "failing_region": "eu-west-1", "failing_until": "manual_retry"}
    run_id = panel.launch("multi_region_deploy", params, "deploy-4.5.6")

    runs = real_airflow.call("GET", "/dags/multi_region_deploy/dagRuns?limit=100")["dag_runs"]
    assert [run["dag_run_id"] for run in runs if run["conf"].get("version") == "4.5.6"] == [run_id], (
        "one run per double click"
    )
    held = InAirflow(real_airflow, "multi_region_deploy", run_id)
    assert held.run()["state"] == "failed"

    task = panel.mapped_task("multi_region_deploy", run_id, "deploy_region")
    rows = panel.instances(task)
    assert {row["label"]: row["outcome"] for row in rows} == {
        "us-east-1": "success",
        "us-west-2": "success",
        "eu-west-1": "hard_failure",
        "ap-southeast-1": "success",
    }
    assert next(row["error_type"] for row in rows if row["label"] == "eu-west-1").endswith("RolloutFailed")

    job = panel.retry(task, "eu-west-1 had no capacity", "retry-eu")
    assert job["preview"]["downstream"] == ["check_regions"]
    assert (job["state"], job["counts"]["recovered"], job["summary"]) == ("done", 1, "1 retried, 1 recovered.")

    panel.until(lambda: held.run()["state"] == "success", "a green run")
    assert held.history("deploy_region", 2) == [(1, "failed"), (2, "failed"), (3, "failed"), (4, "success")]
    assert held.tries("deploy_region") == {0: 1, 1: 1, 2: 4, 3: 1}
    assert held.tries("check_regions") == {-1: 2}
    assert held.rows("deploy_region")[2]["note"] == f"Mapboard retry {job['id'][:8]} by olga: eu-west-1 had no capacity"
    again = panel.mapped_task("multi_region_deploy", run_id, "deploy_region")
    assert {name: count for name, count in again["counts"].items() if count} == {"success": 4}


def test_300_indices_with_soft_and_hard_failures_counted_retried_and_recovered(
    panel: Panel, real_airflow: AirflowStandalone
) -> None:
    params = {"items": 300, "seconds_per_item": 0, "seed": 11}
    run_id = panel.launch("resilient_processing", params, "batch-300")
    held = InAirflow(real_airflow, "resilient_processing", run_id)

    task = panel.mapped_task("resilient_processing", run_id, "process_item")
    reported = held.xcom("summarize_batch", "counts")
    assert {name: task["counts"][name] for name in ("success", "soft_failure", "hard_failure")} == {
        name: reported[name] for name in ("success", "soft_failure", "hard_failure")
    }
    assert task["total"] == reported["total"] == 300
    assert reported["soft_failure"]
    assert reported["hard_failure"]

    before = held.tries("process_item")
    failed = {row["map_index"] for outcome in FAILURES for row in panel.instances(task, outcome=outcome)}
    job = panel.retry(task, "the source was repaired", "retry-300", chunk_size=10)
    assert job["counts"]["recovered"] == job["total"] == len(failed)

    panel.until(lambda: held.run()["state"] == "success", "a green run")
    more = Counter({index: tries - before[index] for index, tries in held.tries("process_item").items()})
    assert {index for index, tries in more.items() if tries} == failed
    assert set(more.values()) == {0, 1}, "each index went once"
    assert held.tries("summarize_batch") == {-1: 2}, "downstream ran again once, after all chunks"
    assert held.xcom("summarize_batch", "counts")["success"] == 300
    items = panel.get(f"retry-jobs/{job['id']}/items/", page_size="500")["results"]
    assert {item["map_index"] for item in items} == failed
    assert {item["state"] for item in items} == {"recovered"}
