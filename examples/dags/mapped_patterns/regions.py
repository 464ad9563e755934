"""The multi-region deploy: which regions, what is asked of a cluster, what became of it."""

from collections.abc import Iterable, Mapping
from typing import Any

JSON = dict[str, Any]

NAME = "payments-api"
PROD_REPLICAS = {"us-east-1": 5, "us-west-2": 3, "eu-west-1": 3, "ap-southeast-1": 2}
STAGING_REPLICAS = {"us-east-1": 1}
AUTOMATIC_TRIES = 3
REHEARSE_ANNOTATION = "mapboard.example/rehearse-failure"
"""Only the demo's stand-in Kubernetes API knows it: a rollout that carries it fails."""


class RolloutFailed(Exception):
    """The cluster gave up on a rollout, or did not finish it in time."""


class RegionsFailed(Exception):
    """At least one region of the deploy did not get the new version."""


def targets_for(env: str) -> list[JSON]:
    """The list that is mapped: ``{"region", "replicas"}`` for each region of the environment."""
    replicas = {"prod": PROD_REPLICAS, "staging": STAGING_REPLICAS}.get(env)
    if replicas is None:
        raise ValueError(f"env must be 'staging' or 'prod', not {env!r}")
    return [{"region": region, "replicas": count} for region, count in replicas.items()]


def rehearses_failure(params: Mapping[str, Any], region: str, *, try_number: int, fixed: bool) -> bool:
    """Whether this try of this region is to fail, as the run's rehearsal params ask for."""
    if params["failing_region"] != region or fixed:
        return False
    last_failing_try = {"second_try": 1, "manual_retry": AUTOMATIC_TRIES}.get(params["failing_until"])
    return last_failing_try is None or try_number <= last_failing_try


def cluster_address(template: str, region: str) -> str:
    """The region's Kubernetes API, from the Variable `kubernetes_api`."""
    if not template.startswith(("http://", "https://")):
        raise ValueError(
            "set the Variable kubernetes_api to the clusters' address, with {region} for the region's name"
        )
    return template.replace("{region}", region)


def namespace_for(env: str) -> str:
    return f"payments-{env}"


def deployment_for(target: JSON, params: Mapping[str, Any], *, run_id: str, rehearse_failure: bool) -> JSON:
    """The Kubernetes Deployment (apps/v1) that this region should have."""
    labels = {**(params["extra_labels"] or {}), "app": NAME}
    annotations = {
        "mapboard.example/run-id": run_id,
        "mapboard.example/notes": params["notes"] or "",
        "mapboard.example/change-date": params["change_date"] or "",
        "mapboard.example/notify": ",".join(params["notify"]),
    }
    if rehearse_failure:
        annotations[REHEARSE_ANNOTATION] = "true"
    container = {"name": NAME, "image": f"{params['artifact_uri'].rpartition('://')[2]}:{params['version']}"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "labels": labels, "annotations": annotations},
        "spec": {
            "replicas": target["replicas"],
            "progressDeadlineSeconds": params["rollout_timeout_seconds"],
            "selector": {"matchLabels": {"app": NAME}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def rollout_complete(deployment: JSON) -> bool:
    """Whether every replica of the current generation is available; RolloutFailed when the cluster gave up."""
    status, wanted = deployment.get("status") or {}, deployment["spec"]["replicas"]
    available = status.get("availableReplicas") or 0
    for condition in status.get("conditions") or []:
        if condition["type"] == "Progressing" and condition["reason"] == "ProgressDeadlineExceeded":
            raise RolloutFailed(
                f"{deployment['metadata']['name']} exceeded its progress deadline: "
                f"{available} of {wanted} replicas available, {condition.get('message') or 'no reason given'}"
            )
    current = (status.get("observedGeneration") or 0) >= (deployment["metadata"].get("generation") or 0)
    return current and (status.get("updatedReplicas") or 0) >= wanted and available >= wanted


def summarize_regions(targets: Iterable[JSON], results: Iterable[JSON]) -> JSON:
    """``{"deployed": [...], "failed": [...]}`` by region.

    Counts against the list that was mapped: a failed instance leaves no result at all (Airflow hands over only the
    XComs that exist), so a region without one failed.
    """
    answered = {result["region"] for result in results}
    regions = [target["region"] for target in targets]
    return {
        "deployed": [region for region in regions if region in answered],
        "failed": [region for region in regions if region not in answered],
    }


def require_all_regions(summary: JSON) -> None:
    failed, total = summary["failed"], len(summary["failed"]) + len(summary["deployed"])
    if total == 0:
        raise RegionsFailed("no region was deployed: the list of targets is empty")
    if failed:
        raise RegionsFailed(f"{len(failed)} of {total} regions failed: {', '.join(failed)}")
