"""The Dag *Database shards* on a real Airflow and a real PostgreSQL: what the panel shows, what its retry loads."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from examples.dags.mapped_patterns.shards import email_hash
from examples.demo.airflow import AirflowStandalone
from examples.demo.sources import ROWS_A_SHARD, SHARDS
from tests.live.story import InAirflow, Panel, add_server

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

DAG = "database_shards"


@pytest.fixture
def panel(real_airflow: AirflowStandalone, broker_url: str, person: Any, as_user: Any, woken: Any) -> Panel:
    real_airflow.wait_for_dags([DAG])
    add_server(real_airflow)
    return Panel(as_user(person("olga", "operator", "deployer")), woken)


def most_at_once(rows: dict[int, dict[str, Any]]) -> int:
    """How many instances ran at the same time, at most."""
    moments = [(row["start_date"], 1) for row in rows.values()] + [(row["end_date"], -1) for row in rows.values()]
    running = [0]
    for _, change in sorted(moments):
        running.append(running[-1] + change)
    return max(running)


def test_broken_and_empty_shards_miss_the_volume_and_their_retry_loads_every_row_once(
    panel: Panel, real_airflow: AirflowStandalone
) -> None:
    run_id = panel.launch(DAG, {"broken_shards": "2", "empty_shards": "5"}, "shards-live")
    held = InAirflow(real_airflow, DAG, run_id)
    assert held.run()["state"] == "failed", "90,000 rows are fewer than 100,000"
    counts = held.xcom("check_volume", "counts")
    assert (counts["rows_loaded"], counts["missing"]) == ((SHARDS - 2) * ROWS_A_SHARD, ["02", "05"])

    task = panel.mapped_task(DAG, run_id, "load_shard")
    rows = {row["label"]: row for row in panel.instances(task)}
    assert len(rows) == SHARDS
    assert {name: row["outcome"] for name, row in rows.items() if row["outcome"] != "success"} == {
        "02": "hard_failure",
        "05": "soft_failure",
    }
    # PostgreSQL's farewell reaches the client, or only the end of the line does.
    assert rows["02"]["error_message"].startswith(("terminating connection", "server closed the connection"))
    assert "customers_05 has no rows" in rows["05"]["error_message"]
    assert rows["00"]["result"] == {
        "shard": "00",
        "status": "ok",
        "rows_loaded": ROWS_A_SHARD,
        "rows_replaced": 0,
        "batches": 2,
    }
    loaded = held.rows("load_shard")
    assert {(row["pool"], row["pool_slots"]) for row in loaded.values()} == {("db_etl", 1)}
    assert most_at_once(loaded) <= 3
    with psycopg.connect(real_airflow.url_of("warehouse")) as warehouse:
        broken = warehouse.execute("SELECT count(*) FROM analytics.customers WHERE shard = '02'").fetchone()
    assert broken == (0,), "a try that breaks off leaves nothing"

    job = panel.retry(task, "the database is back", "retry-shards")
    assert (job["state"], job["counts"]["recovered"]) == ("done", 2)
    panel.until(lambda: held.run()["state"] == "success", "a green run")
    assert held.xcom("check_volume", "return_value")["rows_loaded"] == SHARDS * ROWS_A_SHARD

    again = panel.launch(DAG, {}, "shards-again")
    rows_again = panel.instances(panel.mapped_task(DAG, again, "load_shard"))
    assert {row["result"]["rows_replaced"] for row in rows_again} == {ROWS_A_SHARD}
    with psycopg.connect(real_airflow.url_of("warehouse")) as warehouse:
        columns = warehouse.execute("SELECT * FROM analytics.customers LIMIT 0").description
        kept = warehouse.execute(
            "SELECT email_hash FROM analytics.customers WHERE shard = '01' AND customer_id = %s", [ROWS_A_SHARD + 7]
        ).fetchone()
        total = warehouse.execute("SELECT count(*) FROM analytics.customers").fetchone()
    assert total == (SHARDS * ROWS_A_SHARD,), "loading again doubles nothing"
    assert [column.name for column in columns or []] == [
        "shard",
        "customer_id",
        "email_hash",
        "country",
        "signed_up_on",
    ]
    assert kept == (email_hash("customer.7@example.com", "a-secret-of-the-tests"),)
