"""# Backfill-conscious mapping

Adds up the takings of each shop for one day, every day, and is made to be run for many days of the past at once:

- the **day** comes from the run's logical date, never from the clock, and so do the figures
- each shop's day is **replaced**: running it again changes nothing but what was wrong
- at most **two runs** at a time (a backfill has a limit of its own beside that) and **20 instances** over all runs
  together (`max_active_tis_per_dag`), so that a year of days × many shops does not take the whole Airflow
- each instance is retried **twice** by itself, and one shop that fails does not stop the others

The Dag catches up, but begins only yesterday: a demo that is started gets one or two small runs, and never a flood of
all days since some start. What lies before is run on request, range by range, by a backfill with a forecast. A real Dag
has a fixed `start_date`: one that moves, as this one, makes a new version of the Dag every midnight. Set the Variable
`backfill_mapping_fixed` to `yes` to end all rehearsed troubles.
"""

import datetime as dt
import os
import time
from typing import Any

from airflow.sdk import Param, Variable, dag, get_current_context, task
from mapped_patterns.rehearsal import INDICES, Rehearsal, failing_until
from mapped_patterns.takings import AUTOMATIC_TRIES, TillOffline, day_of, shop_list, summarize_day, takings_of

RETRY_DELAY = dt.timedelta(seconds=float(os.environ.get("MAPBOARD_EXAMPLES_RETRY_SECONDS", "60")))
YESTERDAY = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=1)
FIXED = "backfill_mapping_fixed"
PARAMS = {
    "shops": Param(24, type="integer", minimum=1, maximum=1000, title="Shops", section="Day"),
    "seconds_per_shop": Param(0.2, type="number", minimum=0, maximum=30, title="Seconds a shop takes", section="Day"),
    "offline_shops": Param(
        "", **INDICES, title="Shops whose till is offline", description="Indices, for example 3,11-13"
    ),
    "failing_until": Param("manual_retry", **failing_until(FIXED)),
}


@dag(
    schedule="@daily",
    start_date=YESTERDAY,
    catchup=True,
    params=PARAMS,
    max_active_runs=2,
    tags=["example", "backfill"],
    doc_md=__doc__,
    dag_display_name="Backfill-conscious mapping",
)
def backfill_mapping() -> None:
    @task
    def list_shops() -> list[str]:
        return shop_list(get_current_context()["params"]["shops"])

    @task(
        max_active_tis_per_dag=20,
        retries=AUTOMATIC_TRIES - 1,
        retry_delay=RETRY_DELAY,
        execution_timeout=dt.timedelta(minutes=5),
        map_index_template="{{ task.op_kwargs['shop'] }}",
    )
    def add_up(shop: str) -> dict[str, Any]:
        context = get_current_context()
        params, ti = context["params"], context["ti"]
        fixed = Variable.get(FIXED, default="no") == "yes"
        time.sleep(params["seconds_per_shop"])
        rehearsal = Rehearsal(params, ti.map_index, ti.try_number, fixed)
        if rehearsal.asks_for("offline_shops", failing_tries=AUTOMATIC_TRIES):
            raise TillOffline(f"the till of {shop} does not answer")
        return takings_of(shop, day_of(context.get("logical_date")))

    @task(trigger_rule="all_done")
    def publish_day(shops: list[str], results: list[dict[str, Any]]) -> dict[str, Any]:
        return summarize_day(shops, results, day_of(get_current_context().get("logical_date")))

    shops = list_shops()
    publish_day(shops, add_up.expand(shop=shops))


backfill_mapping()
