"""The multi-region deploy's own logic: targets, rehearsals, rollouts, the final check."""

import pytest

from examples.dags.mapped_patterns.regions import (
    AUTOMATIC_TRIES,
    REHEARSE_ANNOTATION,
    RegionsFailed,
    RolloutFailed,
    cluster_address,
    deployment_for,
    rehearses_failure,
    require_all_regions,
    rollout_complete,
    summarize_regions,
    targets_for,
)
from examples.demo import clusters

PARAMS = {
    "env": "prod",
    "version": "2.0.1",
    "artifact_uri": "oci://registry.example.com/payments/payments-api",
    "notes": None,
    "change_date": None,
    "notify": ["a@example.com", "b@example.com"],
    "extra_labels": {"team": "payments"},
    "rollout_timeout_seconds": 60,
    "failing_region": "us-west-2",
    "failing_until": "manual_retry",
}


def test_production_has_four_regions_with_their_replicas() -> None:
    assert {target["region"]: target["replicas"] for target in targets_for("prod")} == {
        "us-east-1": 5,
        "us-west-2": 3,
        "eu-west-1": 3,
        "ap-southeast-1": 2,
    }


def test_staging_has_one_region() -> None:
    assert len(targets_for("staging")) == 1


def test_each_region_has_its_own_address() -> None:
    assert cluster_address("https://k8s.{region}.example.com", "eu-west-1") == "https://k8s.eu-west-1.example.com"


@pytest.mark.parametrize("template", ["", "k8s.example.com", "file:///etc"])
def test_a_missing_or_senseless_address_names_the_variable_to_set(template: str) -> None:
    with pytest.raises(ValueError, match="set the Variable kubernetes_api"):
        cluster_address(template, "eu-west-1")


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(ValueError, match="'qa'"):
        targets_for("qa")


def test_the_check_passes_when_every_region_answered() -> None:
    targets = targets_for("prod")
    summary = summarize_regions(targets, [{"region": target["region"]} for target in targets])
    require_all_regions(summary)
    assert summary["failed"] == []


def test_the_check_turns_red_when_a_failed_region_is_absent_from_the_results() -> None:
    # Airflow hands over three results for four instances: no None, no gap, nothing that says which one is missing.
    results = [{"region": region} for region in ("us-east-1", "us-west-2", "ap-southeast-1")]
    summary = summarize_regions(targets_for("prod"), results)
    with pytest.raises(RegionsFailed, match="1 of 4 regions failed: eu-west-1"):
        require_all_regions(summary)


def test_the_check_turns_red_when_there_are_no_results_at_all() -> None:
    with pytest.raises(RegionsFailed, match="4 of 4"):
        require_all_regions(summarize_regions(targets_for("prod"), []))


def test_the_check_turns_red_when_nothing_was_mapped() -> None:
    with pytest.raises(RegionsFailed, match="empty"):
        require_all_regions(summarize_regions([], []))


@pytest.mark.parametrize(
    ("failing_until", "failing_tries"),
    [("second_try", {1}), ("manual_retry", {1, 2, AUTOMATIC_TRIES}), ("switch", {1, 2, 3, 4, 5})],
)
def test_a_rehearsed_failure_ends_as_the_form_says(failing_until: str, failing_tries: set[int]) -> None:
    params = PARAMS | {"failing_until": failing_until}
    failing = {n for n in range(1, 6) if rehearses_failure(params, "us-west-2", try_number=n, fixed=False)}
    assert failing == failing_tries


@pytest.mark.parametrize("failing_until", ["second_try", "manual_retry", "switch"])
def test_the_switch_ends_every_rehearsal(failing_until: str) -> None:
    params = PARAMS | {"failing_until": failing_until}
    assert not rehearses_failure(params, "us-west-2", try_number=1, fixed=True)


def test_only_the_chosen_region_fails() -> None:
    assert not rehearses_failure(PARAMS, "us-east-1", try_number=1, fixed=False)


def test_the_deployment_carries_what_the_form_asked_for() -> None:
    target = {"region": "us-west-2", "replicas": 3}
    deployment = deployment_for(target, PARAMS, run_id="r1", rehearse_failure=False)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example.com/payments/payments-api:2.0.1"
    assert deployment["spec"]["replicas"] == 3
    assert deployment["metadata"]["labels"] == {"app": "payments-api", "team": "payments"}
    assert REHEARSE_ANNOTATION not in deployment["metadata"]["annotations"]


def test_a_label_cannot_take_the_pods_away_from_their_selector() -> None:
    params = PARAMS | {"extra_labels": {"app": "something-else"}}
    deployment = deployment_for({"region": "r", "replicas": 1}, params, run_id="r1", rehearse_failure=False)
    selected = deployment["spec"]["selector"]["matchLabels"].items()
    assert selected <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_the_stand_in_knows_the_dags_annotation() -> None:
    assert clusters.REHEARSE_ANNOTATION == REHEARSE_ANNOTATION


def deployment(available: int, *, observed: int = 2, reason: str = "ReplicaSetUpdated") -> dict:
    condition = {"type": "Progressing", "reason": reason, "message": "back-off"}
    status = {"observedGeneration": observed, "updatedReplicas": 3, "availableReplicas": available}
    return {
        "metadata": {"name": "payments-api", "generation": 2},
        "spec": {"replicas": 3},
        "status": status | {"conditions": [condition]},
    }


def test_a_rollout_is_complete_when_all_replicas_are_available() -> None:
    assert rollout_complete(deployment(3))
    assert not rollout_complete(deployment(2))


def test_the_old_generations_replicas_do_not_count() -> None:
    assert not rollout_complete(deployment(3, observed=1))


def test_a_rollout_without_status_yet_goes_on() -> None:
    assert not rollout_complete({"metadata": {"name": "x", "generation": 1}, "spec": {"replicas": 1}})


def test_an_exceeded_progress_deadline_is_an_error_that_says_how_far_it_came() -> None:
    with pytest.raises(RolloutFailed, match="1 of 3 replicas available, back-off"):
        rollout_complete(deployment(1, reason="ProgressDeadlineExceeded"))
