"""# S3 prefix files

Works through the parquet files under a prefix of a bucket, each in its own mapped task instance: rows that cannot be
used are dropped, the others are written to a key of the same name under the output prefix. A retry overwrites that key.

- a file that is **damaged** fails its instance, which is retried three times
- a file whose **columns** are not the expected ones is a soft failure: `{"key", "status": "failed", "error"}`

The summary adds up the rows and fails above 10% of failed files. An empty prefix fails at once. The bucket is reached
through the connection `s3_files`. Set the Variable `s3_prefix_files_fixed` to `yes` to end all rehearsed troubles.
"""

import logging
import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Connection, Param, Variable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException
from mapped_patterns.files import (
    AUTOMATIC_TRIES,
    FileRefused,
    NoFiles,
    files_to_process,
    output_key,
    processed,
    refused,
    require_few_failures,
    require_prefixes_apart,
    summarize_files,
)
from mapped_patterns.rehearsal import INDICES, Rehearsal, failing_until

CONNECTION = "s3_files"
RETRY_DELAY = timedelta(seconds=float(os.environ.get("MAPBOARD_EXAMPLES_RETRY_SECONDS", "60")))

log = logging.getLogger(__name__)

FIXED = "s3_prefix_files_fixed"
PARAMS = {
    "bucket": Param("orders", type="string", minLength=3, maxLength=63, title="Bucket", section="Files"),
    "prefix": Param("incoming/", type="string", minLength=1, title="Input prefix", section="Files"),
    "output_prefix": Param("usable/", type="string", minLength=1, title="Output prefix", section="Files"),
    "most_failed_percent": Param(
        10,
        type="number",
        minimum=0,
        maximum=100,
        title="Failures allowed, percent",
        description="The summary fails above this percentage of failed files",
        section="Files",
    ),
    "damaged_files": Param("", **INDICES, title="Damaged files", description="Indices, for example 3,11-13"),
    "incomplete_files": Param(
        "", **INDICES, title="Files without the column amount_cents", description="Indices, for example 7"
    ),
    "failing_until": Param("manual_retry", **failing_until(FIXED)),
}


def rehearsed() -> Rehearsal:
    """Of the task instance that is running."""
    context = get_current_context()
    ti, fixed = context["ti"], Variable.get(FIXED, default="no") == "yes"
    return Rehearsal(context["params"], ti.map_index, ti.try_number, fixed)


@dag(
    schedule=None,
    catchup=False,
    params=PARAMS,
    max_active_runs=4,
    max_active_tasks=16,
    tags=["example", "files"],
    doc_md=__doc__,
    dag_display_name="S3 prefix files",
)
def s3_prefix_files() -> None:
    @task(retries=AUTOMATIC_TRIES - 1, retry_delay=RETRY_DELAY)
    def list_files() -> list[dict[str, Any]]:
        from mapped_patterns.bucket import Bucket  # noqa: PLC0415 (its libraries are slow to load; parsing stays fast)

        params = get_current_context()["params"]
        require_prefixes_apart(params["prefix"], params["output_prefix"])
        bucket = Bucket(params["bucket"], Connection.get(CONNECTION))
        try:
            return files_to_process(bucket.listed(params["prefix"]), params["prefix"])
        except NoFiles as error:
            raise AirflowFailException(str(error)) from error  # at once: the retries are for an S3 that does not answer

    @task(
        retries=AUTOMATIC_TRIES - 1,
        retry_delay=RETRY_DELAY,
        max_active_tis_per_dag=8,
        execution_timeout=timedelta(minutes=30),
        map_index_template="{{ task.op_kwargs['file']['key'].rpartition('/')[2] }}",
    )
    def process_file(file: dict[str, Any]) -> dict[str, Any]:
        from mapped_patterns.bucket import Bucket  # noqa: PLC0415 (see above)

        params, rehearsal = get_current_context()["params"], rehearsed()
        target = output_key(file["key"], params["output_prefix"])
        try:
            rows_processed, rows_dropped = Bucket(params["bucket"], Connection.get(CONNECTION)).process(
                file["key"],
                target,
                damaged=rehearsal.asks_for("damaged_files", failing_tries=AUTOMATIC_TRIES),
                missing="amount_cents" if rehearsal.asks_for("incomplete_files", failing_tries=1) else "",
            )
        except FileRefused as error:
            log.warning("%s cannot be processed: %s", file["key"], error)
            return refused(file, error)
        return processed(file, target, rows_processed=rows_processed, rows_dropped=rows_dropped)

    # Without a list there is nothing to judge: then this does not run, and the run is red because of the list.
    @task(trigger_rule="all_done_min_one_success")
    def summarize(files: list[dict[str, Any]], results: list[dict[str, Any]]) -> dict[str, Any]:
        context = get_current_context()
        summary = summarize_files(files, results)
        # Also under a key of its own: a task that fails leaves no return value, and the counts matter most then.
        context["ti"].xcom_push(key="counts", value=summary)
        require_few_failures(summary, most_percent=context["params"]["most_failed_percent"])
        return summary

    files = list_files()
    summarize(files, process_file.expand(file=files))


s3_prefix_files()
