"""# Resilient processing

Works through a batch of items, each in its own mapped task instance, so that one bad item does not stop the others:

- a **fatal** error of an item is logged and returned as a soft failure: `{"id", "status": "failed", "error"}`
- a **recoverable** error is raised again; Airflow retries it twice
- anything else crashes the instance, which fails for good when its retries are used up

The summary counts all three, sends them to StatsD where Airflow has one configured, and fails above 5% hard failures.
Set the Variable `resilient_processing_fixed` to `yes` to end all troubles.
"""

import logging
import os
import time
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, Variable, conf, dag, get_current_context, task
from mapped_patterns.metrics import send_counts
from mapped_patterns.processing import (
    FatalItemError,
    Plan,
    item_list,
    process,
    require_gate,
    soft_failure,
    summarize,
)

RETRY_DELAY = timedelta(seconds=float(os.environ.get("MAPBOARD_EXAMPLES_RETRY_SECONDS", "60")))

log = logging.getLogger(__name__)

PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
PARAMS = {
    "items": Param(100, type="integer", minimum=1, maximum=1024, title="Items", section="Batch"),
    "batch_date": Param(
        None, type=["null", "string"], format="date", title="Batch date", description="Empty: today", section="Batch"
    ),
    "seconds_per_item": Param(
        0.2, type="number", minimum=0, maximum=30, title="Seconds an item takes", section="Batch"
    ),
    "gate_percent": Param(
        5,
        **PERCENT,
        title="Gate",
        description="The summary fails above this percentage of hard failures",
        section="Batch",
    ),
    "fatal_percent": Param(6, **PERCENT, title="Soft failures, percent", section="Rehearsal"),
    "flaky_percent": Param(8, **PERCENT, title="Recoverable errors, percent", section="Rehearsal"),
    "crash_percent": Param(7, **PERCENT, title="Hard failures, percent", section="Rehearsal"),
    "seed": Param(
        7,
        type="integer",
        title="Seed",
        description="The same seed gives the same items the same fate",
        section="Rehearsal",
    ),
    "heals": Param(
        "manual_retry",
        type="string",
        enum=["manual_retry", "switch"],
        values_display={
            "manual_retry": "A retry by hand",
            "switch": "The Variable resilient_processing_fixed is 'yes'",
        },
        title="Failures last until",
        section="Rehearsal",
    ),
}


@dag(
    schedule=None,
    catchup=False,
    params=PARAMS,
    max_active_runs=4,
    max_active_tasks=64,
    tags=["example", "processing"],
    doc_md=__doc__,
    dag_display_name="Resilient processing",
)
def resilient_processing() -> None:
    @task
    def list_items() -> list[dict[str, Any]]:
        return item_list(Plan.from_params(get_current_context()["params"]))

    @task(
        retries=2,
        retry_delay=RETRY_DELAY,
        execution_timeout=timedelta(minutes=5),
        map_index_template="{{ task.op_kwargs['item']['name'] }}",
    )
    def process_item(item: dict[str, Any]) -> dict[str, Any]:
        context = get_current_context()
        params = context["params"]
        fixed = Variable.get("resilient_processing_fixed", default="no") == "yes"
        time.sleep(params["seconds_per_item"] * (0.5 + item["id"] % 11 / 10))
        try:
            return process(
                item,
                Plan.from_params(params).fates()[item["id"]],
                try_number=context["ti"].try_number,
                heals=params["heals"],
                fixed=fixed,
            )
        except FatalItemError as error:
            log.warning("%s cannot be processed: %s", item["name"], error)
            return soft_failure(item, error)

    @task(trigger_rule="all_done")
    def summarize_batch(items: list[dict[str, Any]], results: list[dict[str, Any]]) -> dict[str, Any]:
        context = get_current_context()
        summary = {"batch_date": context["params"]["batch_date"], **summarize(items, results)}
        # Also under a key of its own: a task that fails leaves no return value, and the counts matter most then.
        context["ti"].xcom_push(key="counts", value=summary)
        if conf.getboolean("metrics", "statsd_on"):
            send_counts(summary, host=conf.get("metrics", "statsd_host"), port=conf.getint("metrics", "statsd_port"))
        require_gate(summary, gate_percent=context["params"]["gate_percent"])
        return summary

    items = list_items()
    summarize_batch(items, process_item.expand(item=items))


resilient_processing()
