"""The Dag *S3 prefix files* on a real Airflow and a real S3 API: what the panel shows, what its retry writes."""

from __future__ import annotations

import re
import urllib.request
from typing import Any

import pytest

from examples.demo.airflow import AirflowStandalone
from examples.demo.sources import S3Server
from tests.live.story import InAirflow, Panel, add_server

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

DAG = "s3_prefix_files"
FILES, ROWS = 24, 500  # as examples.demo.s3_server makes them; it cannot be imported here


@pytest.fixture
def panel(real_airflow: AirflowStandalone, broker_url: str, person: Any, as_user: Any, woken: Any) -> Panel:
    real_airflow.wait_for_dags([DAG])
    add_server(real_airflow)
    return Panel(as_user(person("olga", "operator", "deployer")), woken)


def objects(s3: S3Server, prefix: str) -> dict[str, str]:
    """Key → when it was written, as the bucket lists them."""
    with urllib.request.urlopen(f"{s3.base_url}/orders?list-type=2&prefix={prefix}", timeout=30) as answer:
        listing = answer.read().decode()
    return dict(re.findall(r"<Key>([^<]+)</Key><LastModified>([^<]+)</LastModified>", listing))


def test_damaged_and_refused_files_turn_the_run_red_and_their_retry_overwrites_only_their_outputs(
    panel: Panel, real_airflow: AirflowStandalone, s3_server: S3Server
) -> None:
    params = {"output_prefix": "live/", "damaged_files": "3,17", "incomplete_files": "9"}
    run_id = panel.launch(DAG, params, "files-live")
    held = InAirflow(real_airflow, DAG, run_id)
    assert held.run()["state"] == "failed", "3 of 24 files are more than 10%"
    assert held.xcom("summarize", "counts")["failed_percent"] == 12.5

    task = panel.mapped_task(DAG, run_id, "process_file")
    rows = {row["map_index"]: row for row in panel.instances(task)}
    assert [rows[index]["label"] for index in range(FILES)] == [f"part-{number:04d}.parquet" for number in range(FILES)]
    assert {index: row["outcome"] for index, row in rows.items() if row["outcome"] != "success"} == {
        3: "hard_failure",
        9: "soft_failure",
        17: "hard_failure",
    }
    assert rows[3]["error_type"].endswith("ArrowInvalid")
    assert "amount_cents" in rows[9]["error_message"]
    assert rows[3]["try_number"] == 4, "three automatic retries"
    for row in rows.values():
        if row["outcome"] == "success":
            assert row["result"]["rows_processed"] + row["result"]["rows_dropped"] == ROWS
    written = objects(s3_server, "live/")
    assert len(written) == FILES - 3

    job = panel.retry(task, "the files were repaired", "retry-files")
    assert (job["state"], job["counts"]["recovered"]) == ("done", 3)
    panel.until(lambda: held.run()["state"] == "success", "a green run")
    summary = held.xcom("summarize", "return_value")
    assert (summary["failed"], summary["rows_processed"] + summary["rows_dropped"]) == (0, FILES * ROWS)
    assert summary["rows_dropped"] > 0
    after = objects(s3_server, "live/")
    assert after.keys() == {f"live/incoming/part-{number:04d}.parquet" for number in range(FILES)}
    assert {key: after[key] for key in written} == written, "nothing else was written again"


def test_a_prefix_without_files_fails_at_once_and_nothing_is_judged(
    panel: Panel, real_airflow: AirflowStandalone
) -> None:
    run_id = panel.launch(DAG, {"prefix": "nothing-here/"}, "files-empty")
    held = InAirflow(real_airflow, DAG, run_id)
    assert held.run()["state"] == "failed"
    assert held.rows("list_files")[-1]["state"] == "failed"
    assert held.rows("list_files")[-1]["try_number"] == 1
    assert held.rows("summarize")[-1]["state"] == "upstream_failed"
