"""# Database shards

Loads every shard of the customers into one table of the warehouse, three at a time: each takes one slot of the pool
`db_etl`. E-mail addresses arrive as keyed hashes, phone numbers not at all. A shard is replaced in one transaction, so
trying it again changes nothing but what was wrong.

- a **broken connection** fails the instance, which is retried twice; the rows of the last complete load stay
- an **empty shard** is a soft failure: `{"shard", "status": "failed", "error"}`

The check fails below 100,000 rows. Connections: `customer_shards`, `warehouse`; the Variable `email_hash_secret` is the
key of the hashes. Set the Variable `database_shards_fixed` to `yes` to end all rehearsed troubles.
"""

import logging
import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Connection, Param, Variable, dag, get_current_context, task
from mapped_patterns.rehearsal import INDICES, Rehearsal, failing_until
from mapped_patterns.shards import (
    AUTOMATIC_TRIES,
    EmptyShard,
    empty_shard,
    require_volume,
    shards_from,
    summarize_shards,
)

SOURCE, TARGET, TARGET_SCHEMA = "customer_shards", "warehouse", "analytics"
RETRY_DELAY = timedelta(seconds=float(os.environ.get("MAPBOARD_EXAMPLES_RETRY_SECONDS", "60")))

log = logging.getLogger(__name__)

FIXED = "database_shards_fixed"
PARAMS = {
    "least_rows": Param(
        100_000,
        type="integer",
        minimum=0,
        title="Least rows",
        description="The check fails when fewer rows were loaded over all shards",
        section="Volume",
    ),
    "broken_shards": Param(
        "", **INDICES, title="Shards whose connection breaks", description="Indices, for example 2,5-6"
    ),
    "empty_shards": Param("", **INDICES, title="Empty shards", description="Indices, for example 4"),
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
    tags=["example", "database"],
    doc_md=__doc__,
    dag_display_name="Database shards",
)
def database_shards() -> None:
    @task(retries=AUTOMATIC_TRIES - 1, retry_delay=RETRY_DELAY)
    def list_shards() -> list[dict[str, Any]]:
        from mapped_patterns.warehouse import tables_of  # noqa: PLC0415 (the driver is slow to load)

        return shards_from(tables_of(Connection.get(SOURCE)))

    @task(retries=AUTOMATIC_TRIES - 1, retry_delay=RETRY_DELAY)
    def prepare_target() -> None:
        from mapped_patterns.warehouse import prepare  # noqa: PLC0415 (the driver is slow to load)

        prepare(Connection.get(TARGET), TARGET_SCHEMA)

    @task(
        pool="db_etl",
        pool_slots=1,
        retries=AUTOMATIC_TRIES - 1,
        retry_delay=RETRY_DELAY,
        execution_timeout=timedelta(minutes=30),
        map_index_template="{{ task.op_kwargs['shard'] }}",
    )
    def load_shard(shard: str, source_table: str, target_schema: str, batch_size: int) -> dict[str, Any]:
        from mapped_patterns.warehouse import ShardLoad  # noqa: PLC0415 (the driver is slow to load)

        rehearsal = rehearsed()
        load = ShardLoad(
            shard=shard,
            source_table=source_table,
            target_schema=target_schema,
            batch_size=batch_size,
            secret=Variable.get("email_hash_secret"),
        )
        try:
            counts = load.run(
                Connection.get(SOURCE),
                Connection.get(TARGET),
                rehearse_empty=rehearsal.asks_for("empty_shards", failing_tries=1),
                rehearse_break=rehearsal.asks_for("broken_shards", failing_tries=AUTOMATIC_TRIES),
            )
        except EmptyShard as error:
            log.warning("shard %s is not loaded: %s", shard, error)
            return empty_shard(shard, error)
        return {"shard": shard, "status": "ok", **counts}

    # Without a list there is nothing to judge: then this does not run, and the run is red because of the list.
    @task(trigger_rule="all_done_min_one_success")
    def check_volume(shards: list[dict[str, Any]], results: list[dict[str, Any]]) -> dict[str, Any]:
        context = get_current_context()
        summary = summarize_shards(shards, results)
        # Also under a key of its own: a task that fails leaves no return value, and the counts matter most then.
        context["ti"].xcom_push(key="counts", value=summary)
        require_volume(summary, least_rows=context["params"]["least_rows"])
        return summary

    shards = list_shards()
    loaded = load_shard.partial(target_schema=TARGET_SCHEMA, batch_size=10_000).expand_kwargs(shards)
    prepare_target() >> loaded
    check_volume(shards, loaded)


database_shards()
