"""# Multi-region deploy

Rolls one version of *payments-api* out to every region of an environment, two regions at a time. A region that fails is
retried twice; the check at the end turns the run red while any region is missing, whatever happened to the others.

Each region's Kubernetes API is found at the Variable `kubernetes_api` (`{region}` is filled in). The section
*Rehearsal* makes one region fail on purpose; set the Variable `multi_region_deploy_fixed` to `yes` to end that.
"""

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, Variable, dag, get_current_context, task
from mapped_patterns.regions import (
    PROD_REPLICAS,
    cluster_address,
    deployment_for,
    namespace_for,
    rehearses_failure,
    require_all_regions,
    summarize_regions,
    targets_for,
)

RETRY_DELAY = timedelta(seconds=float(os.environ.get("MAPBOARD_EXAMPLES_RETRY_SECONDS", "60")))

PARAMS = {
    "env": Param(
        "staging",
        type="string",
        enum=["staging", "prod"],
        values_display={"staging": "Staging (one region)", "prod": "Production (four regions)"},
        title="Environment",
        section="Release",
    ),
    "version": Param(
        "1.4.2",
        type="string",
        pattern=r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$",
        title="Version",
        description="Semantic version of the artifact, for example 1.4.2 or 1.5.0-rc.1",
        section="Release",
    ),
    "artifact_uri": Param(
        "oci://registry.example.com/payments/payments-api",
        type="string",
        format="uri",
        title="Artifact",
        description="Where the image lies, without the version",
        section="Release",
    ),
    "notes": Param(
        None,
        type=["null", "string"],
        format="multiline",
        maxLength=2000,
        title="Release notes",
        description="What changes, for whoever is on call. Kept on the Deployment.",
        section="Release",
    ),
    "change_date": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Change date",
        description="The day of the entry in the change calendar, if there is one",
        section="Release",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Each cluster checks the Deployment but keeps nothing",
        section="Rollout",
    ),
    "rollout_timeout_seconds": Param(
        60,
        type="integer",
        minimum=5,
        maximum=900,
        title="Rollout time-out",
        description="Seconds a region may take until all replicas are available",
        section="Rollout",
    ),
    "notify": Param(
        ["payments-oncall@example.com"],
        type="array",
        items={"type": "string", "format": "email"},
        title="Notify",
        description="One address a line",
        section="Rollout",
    ),
    "extra_labels": Param(
        None,
        type=["object", "null"],
        additionalProperties={"type": "string"},
        title="Extra labels",
        description='More labels for the Deployment, for example {"team": "payments"}',
        section="Rollout",
    ),
    "failing_region": Param(
        "none",
        type="string",
        enum=["none", *PROD_REPLICAS],
        values_display={"none": "No region"},
        title="Region that fails",
        description="For practice: this region's rollout fails on purpose",
        section="Rehearsal",
    ),
    "failing_until": Param(
        "manual_retry",
        type="string",
        enum=["second_try", "manual_retry", "switch"],
        values_display={
            "second_try": "The first automatic retry",
            "manual_retry": "A retry by hand",
            "switch": "The Variable multi_region_deploy_fixed is 'yes'",
        },
        title="It fails until",
        section="Rehearsal",
    ),
}


@dag(
    schedule=None,
    catchup=False,
    params=PARAMS,
    max_active_runs=4,
    tags=["example", "deploy"],
    doc_md=__doc__,
    dag_display_name="Multi-region deploy",
)
def multi_region_deploy() -> None:
    @task
    def choose_targets() -> list[dict[str, Any]]:
        return targets_for(get_current_context()["params"]["env"])

    @task(
        retries=2,
        retry_delay=RETRY_DELAY,
        max_active_tis_per_dagrun=2,
        priority_weight=100,  # a deploy does not wait behind a batch
        execution_timeout=timedelta(minutes=20),
        map_index_template="{{ task.op_kwargs['target']['region'] }}",
    )
    def deploy_region(target: dict[str, Any]) -> dict[str, Any]:
        from mapped_patterns.cluster import Cluster  # noqa: PLC0415 (the client is slow to load; parsing stays fast)

        context = get_current_context()
        params, region = context["params"], target["region"]
        fixed = Variable.get("multi_region_deploy_fixed", default="no") == "yes"
        rehearse = rehearses_failure(params, region, try_number=context["ti"].try_number, fixed=fixed)
        deployment = deployment_for(target, params, run_id=context["run_id"], rehearse_failure=rehearse)

        api = cluster_address(Variable.get("kubernetes_api", default=""), region)
        print(f"{region}: asking {api} for {target['replicas']} replicas of {params['version']}")
        cluster = Cluster(api, namespace_for(params["env"]))
        cluster.apply(deployment, dry_run=params["dry_run"])
        if params["dry_run"]:
            return {"region": region, "status": "validated", "version": params["version"]}
        rolled_out = cluster.wait_for_rollout(timeout_seconds=params["rollout_timeout_seconds"])
        return {
            "region": region,
            "status": "deployed",
            "version": params["version"],
            "replicas": rolled_out["status"]["availableReplicas"],
            "generation": rolled_out["metadata"]["generation"],
        }

    @task(trigger_rule="all_done")
    def check_regions(targets: list[dict[str, Any]], results: list[dict[str, Any]]) -> dict[str, Any]:
        summary = summarize_regions(targets, results)
        require_all_regions(summary)
        return summary

    targets = choose_targets()
    check_regions(targets, deploy_region.expand(target=targets))


multi_region_deploy()
