"""The example Dags on a real Airflow, through its own API: what they promise the panel's users to see."""

import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from examples.demo.airflow import AirflowStandalone
from examples.demo.kubernetes_standin import KubernetesStandin

FINISHED = {"success", "failed"}
RUN_SECONDS = 300
DAG_IDS = [
    "multi_region_deploy",
    "resilient_processing",
    "s3_prefix_files",
    "database_shards",
    "heavy_data",
    "backfill_mapping",
]


@pytest.fixture(scope="module")
def airflow(real_airflow: AirflowStandalone) -> AirflowStandalone:
    real_airflow.wait_for_dags(DAG_IDS)
    return real_airflow


class Run:
    """One run, read and cleared through Airflow's REST API."""

    def __init__(self, airflow: AirflowStandalone, dag_id: str, conf: dict[str, Any]) -> None:
        self.airflow = airflow
        self.dag_id = dag_id
        self.run_id = f"live-{uuid.uuid4()}"
        body = {"logical_date": None, "dag_run_id": self.run_id, "conf": conf}
        airflow.call("POST", f"/dags/{dag_id}/dagRuns", body, user="op")

    def wait(self) -> str:
        """The run's final state."""
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            runs = self.airflow.call("GET", f"/dags/{self.dag_id}/dagRuns?run_id_prefix_pattern={quote(self.run_id)}")
            if (state := runs["dag_runs"][0]["state"]) in FINISHED:
                return str(state)
            time.sleep(1)
        raise AssertionError(f"{self.dag_id} {self.run_id} did not finish within {RUN_SECONDS} s")

    def instances(self, task_id: str) -> dict[int, dict[str, Any]]:
        body = {"dag_ids": [self.dag_id], "dag_run_ids": [self.run_id], "task_ids": [task_id], "page_limit": 2000}
        answer = self.airflow.call("POST", "/dags/~/dagRuns/~/taskInstances/list", body)
        return {instance["map_index"]: instance for instance in answer["task_instances"]}

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        path = f"/dags/{self.dag_id}/dagRuns/{quote(self.run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.airflow.call("GET", f"{path}?map_index={map_index}")["value"]

    def results(self, task_id: str) -> list[Any]:
        """All results of the finished run's mapped task."""
        path = f"/dags/{self.dag_id}/dagRuns/{quote(self.run_id)}/wait?interval=1&result={task_id}"
        return list(self.airflow.call("GET", path)["results"][task_id])

    def error(self, task_id: str, try_number: int, map_index: int = -1) -> tuple[str, str]:
        """Type and message of the exception in the structured log."""
        path = f"/dags/{self.dag_id}/dagRuns/{quote(self.run_id)}/taskInstances/{task_id}/logs/{try_number}"
        entries = self.airflow.call("GET", f"{path}?map_index={map_index}")["content"]
        raised = next(entry["error_detail"][0] for entry in entries if entry.get("error_detail"))
        return raised["exc_type"], raised["exc_value"]

    def clear(self, task_id: str, map_indices: list[int]) -> None:
        """Retries these indices and what comes after them."""
        body = {
            "dry_run": False,
            "dag_run_id": self.run_id,
            "task_ids": [[task_id, map_index] for map_index in map_indices],
            "only_failed": False,
            "include_downstream": True,
            "prevent_running_task": True,
        }
        self.airflow.call("POST", f"/dags/{self.dag_id}/clearTaskInstances", body, user="op")


def region_states(run: Run) -> dict[str, str]:
    return {row["rendered_map_index"]: row["state"] for row in run.instances("deploy_region").values()}


@pytest.fixture
def variable(airflow: AirflowStandalone) -> Any:
    """Sets a Variable for this test only."""
    made: list[str] = []

    def put(key: str, value: str) -> None:
        airflow.call("POST", "/variables", {"key": key, "value": value})
        made.append(key)

    yield put
    for key in made:
        airflow.call("DELETE", f"/variables/{key}")


def test_all_dags_are_parsed_without_errors_and_quickly(airflow: AirflowStandalone) -> None:
    assert airflow.call("GET", "/importErrors")["total_entries"] == 0
    for dag_id in DAG_IDS:
        details = airflow.call("GET", f"/dags/{dag_id}/details")
        assert details["last_parse_duration"] < 3
        assert {task["task_id"] for task in airflow.call("GET", f"/dags/{dag_id}/tasks")["tasks"] if task["is_mapped"]}


def test_the_forms_defaults_keep_to_their_own_schema(airflow: AirflowStandalone) -> None:
    # Airflow shows a default that breaks its schema as null, the same as a required param.
    for dag_id in DAG_IDS:
        params = airflow.call("GET", f"/dags/{dag_id}/details")["params"]
        broken = [
            name
            for name, param in params.items()
            if param["value"] is None and "null" not in param["schema"].get("type", [])
        ]
        assert broken == []


def test_a_staging_deploy_reaches_one_region_and_turns_green(
    airflow: AirflowStandalone, kubernetes_standin: KubernetesStandin
) -> None:
    run = Run(airflow, "multi_region_deploy", {"env": "staging", "version": "3.1.4"})
    assert run.wait() == "success"
    assert region_states(run) == {"us-east-1": "success"}
    deployed = kubernetes_standin.clusters.read("us-east-1", "payments-staging", "payments-api")
    assert deployed["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":3.1.4")


def test_a_dry_run_changes_nothing_in_the_cluster(
    airflow: AirflowStandalone, kubernetes_standin: KubernetesStandin
) -> None:
    run = Run(airflow, "multi_region_deploy", {"env": "staging", "version": "9.9.9", "dry_run": True})
    assert run.wait() == "success"
    for deployment in kubernetes_standin.clusters.list("us-east-1", "payments-staging"):
        assert not deployment["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":9.9.9")


def test_a_failed_region_turns_the_run_red_and_recovers_once_the_switch_is_turned(
    airflow: AirflowStandalone, kubernetes_standin: KubernetesStandin, variable: Callable[[str, str], None]
) -> None:
    conf = {"env": "prod", "version": "2.7.1", "failing_region": "eu-west-1", "failing_until": "switch"}
    run = Run(airflow, "multi_region_deploy", conf)

    assert run.wait() == "failed"
    assert region_states(run) == {
        "us-east-1": "success",
        "us-west-2": "success",
        "eu-west-1": "failed",
        "ap-southeast-1": "success",
    }
    assert run.instances("deploy_region")[2]["try_number"] == 3
    assert run.error("deploy_region", 3, map_index=2)[0] == "RolloutFailed"
    assert run.error("check_regions", 1) == ("RegionsFailed", "1 of 4 regions failed: eu-west-1")

    variable("multi_region_deploy_fixed", "yes")
    run.clear("deploy_region", [2])
    assert run.wait() == "success"
    assert set(region_states(run).values()) == {"success"}
    assert run.xcom("check_regions")["failed"] == []
    tries = {index: row["try_number"] for index, row in run.instances("deploy_region").items()}
    assert tries == {0: 1, 1: 1, 2: 4, 3: 1}  # nothing but the failed region ran again
    assert kubernetes_standin.clusters.read("eu-west-1", "payments-prod", "payments-api")["spec"]["replicas"] == 3


def test_a_region_that_fails_once_is_saved_by_the_automatic_retry(airflow: AirflowStandalone) -> None:
    conf = {"env": "prod", "failing_region": "us-west-2", "failing_until": "second_try"}
    run = Run(airflow, "multi_region_deploy", conf)
    assert run.wait() == "success"
    assert run.instances("deploy_region")[1]["try_number"] == 2


def test_a_region_the_stand_in_was_told_to_fail_is_a_failed_region(
    airflow: AirflowStandalone, kubernetes_standin: KubernetesStandin
) -> None:
    kubernetes_standin.clusters.fail_region("us-east-1", rollouts=1)
    run = Run(airflow, "multi_region_deploy", {"env": "staging"})
    assert run.wait() == "success"
    assert run.instances("deploy_region")[0]["try_number"] == 2


def test_a_300_item_run_reports_what_its_instances_say(airflow: AirflowStandalone) -> None:
    conf = {"items": 300, "fatal_percent": 6, "flaky_percent": 4, "crash_percent": 4, "seconds_per_item": 0}
    run = Run(airflow, "resilient_processing", conf)
    assert run.wait() == "success"  # 4% hard failures are under the gate

    states = Counter(row["state"] for row in run.instances("process_item").values())
    statuses = Counter(result["status"] for result in run.results("process_item"))
    assert states == {"success": 288, "failed": 12}
    assert statuses == {"ok": 270, "failed": 18}
    summary = run.xcom("summarize_batch")
    assert summary == run.xcom("summarize_batch", key="counts")
    counts = {name: summary[name] for name in ("total", "success", "soft_failure", "hard_failure")}
    assert counts == {"total": 300, "success": 270, "soft_failure": 18, "hard_failure": 12}


def test_the_gate_turns_the_run_red_and_green_after_a_retry_by_hand(airflow: AirflowStandalone) -> None:
    run = Run(airflow, "resilient_processing", {"items": 20, "crash_percent": 10, "seconds_per_item": 0})
    assert run.wait() == "failed"
    assert run.error("summarize_batch", 1)[0] == "GateClosed"
    assert run.xcom("summarize_batch", key="counts")["hard_failure"] == 2

    failed = [index for index, row in run.instances("process_item").items() if row["state"] == "failed"]
    assert len(failed) == 2
    run.clear("process_item", failed)
    assert run.wait() == "success"
    summary = run.xcom("summarize_batch")
    assert (summary["hard_failure"], summary["total"]) == (0, 20)


def test_indices_carry_the_items_names(airflow: AirflowStandalone) -> None:
    run = Run(airflow, "resilient_processing", {"items": 2, "fatal_percent": 0, "seconds_per_item": 0})
    assert run.wait() == "success"
    labels = {index: row["rendered_map_index"] for index, row in run.instances("process_item").items()}
    assert labels == {0: "invoice-0000", 1: "invoice-0001"}
