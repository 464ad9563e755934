"""# Heavy data

A year of four segments, day by day: results of about 20 kB each. They belong into an object storage rather than into
Airflow's database. With these settings Airflow puts every result from 4,096 bytes of JSON there and keeps a reference:

    AIRFLOW__CORE__XCOM_BACKEND=airflow.providers.common.io.xcom.backend.XComObjectStorageBackend
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=s3://aws_default@bucket/xcom   (or file:///…)
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD=4096

- a **source that does not answer** fails the instance, which is retried twice
- a segment with **days missing** is a soft failure that stays inline: `{"segment", "status": "failed", "error"}`

The sum takes one result after the other, never all at once, and fails while a segment is missing. Set the Variable
`heavy_data_fixed` to `yes` to end all rehearsed troubles.
"""

import logging
import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, Variable, dag, get_current_context, task
from mapped_patterns.rehearsal import INDICES, Rehearsal, failing_until
from mapped_patterns.segments import (
    AUTOMATIC_TRIES,
    DaysMissing,
    SourceUnavailable,
    incomplete_segment,
    require_all_segments,
    segment_list,
    sum_up,
    year_of,
)

RETRY_DELAY = timedelta(seconds=float(os.environ.get("MAPBOARD_EXAMPLES_RETRY_SECONDS", "60")))

log = logging.getLogger(__name__)

FIXED = "heavy_data_fixed"
PARAMS = {
    "year": Param(2025, type="integer", minimum=2000, maximum=2100, title="Year", section="Data"),
    "silent_segments": Param(
        "", **INDICES, title="Segments whose source is silent", description="Indices from 0 to 3, for example 2"
    ),
    "incomplete_segments": Param(
        "", **INDICES, title="Segments with days missing", description="Indices from 0 to 3, for example 1"
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
    tags=["example", "heavy"],
    doc_md=__doc__,
    dag_display_name="Heavy data",
)
def heavy_data() -> None:
    @task
    def list_segments() -> list[dict[str, Any]]:
        return segment_list()

    @task(
        retries=AUTOMATIC_TRIES - 1,
        retry_delay=RETRY_DELAY,
        execution_timeout=timedelta(minutes=10),
        map_index_template="{{ task.op_kwargs['segment']['segment'] }}",
    )
    def collect_segment(segment: dict[str, Any]) -> dict[str, Any]:
        name = segment["segment"]
        year, rehearsal = get_current_context()["params"]["year"], rehearsed()
        if rehearsal.asks_for("silent_segments", failing_tries=AUTOMATIC_TRIES):
            raise SourceUnavailable(f"the source of {name} did not answer within 30 s")
        try:
            return year_of(
                name,
                year,
                days_missing=3 if rehearsal.asks_for("incomplete_segments", failing_tries=1) else 0,
            )
        except DaysMissing as error:
            log.warning("%s: %s", name, error)
            return incomplete_segment(name, error)

    @task(trigger_rule="all_done")
    def add_up(segments: list[dict[str, Any]], results: list[dict[str, Any]]) -> dict[str, Any]:
        summary = sum_up(segments, results)
        # Also under a key of its own: a task that fails leaves no return value, and the sums matter most then.
        get_current_context()["ti"].xcom_push(key="sums", value=summary)
        require_all_segments(summary)
        return summary

    segments = list_segments()
    add_up(segments, collect_segment.expand(segment=segments))


heavy_data()
