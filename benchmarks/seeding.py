"""A run of 10,000 or 100,000 instances, written into Airflow's database from one that really ran (AIRFLOW.md §14).

Out of 200 instances 188 succeed with a result, 6 succeed with ``{"status": "failed"}``, 5 fail and one is skipped.
Every failure has a log as Airflow's task runner writes it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from examples.demo.airflow import AirflowStandalone

DAG: Final = "big_map"
TASK: Final = "work"
_WHERE: Final = "dag_id = %(dag)s AND run_id = %(run)s AND task_id = %(task)s"
_SAME: Final = "t.dag_id = %(dag)s AND t.run_id = %(run)s AND t.task_id = %(task)s"
_FAILED: Final = "g.i %% 40 = 39"
_STATE: Final = f"CASE WHEN {_FAILED} THEN 'failed' WHEN g.i %% 200 = 7 THEN 'skipped' ELSE 'success' END"
_SOFT: Final = "g.i %% 200 IN (11, 43, 77, 111, 143, 177)"
_ERRORS: Final = (
    ("ConnectionError", "host 10.0.{index}.7:5432 refused after 3000 ms", "fetch"),
    ("KeyError", "'customer_{index}'", "transform"),
    ("TimeoutError", "no answer from shard {index} within 30 s", "fetch"),
)


def seed(airflow: AirflowStandalone, run_id: str, count: int) -> None:
    """Give the finished run ``count`` instances of its mapped task: rows, rendered fields, results, logs."""
    names: dict[str, Any] = {"dag": DAG, "run": run_id, "task": TASK, "count": count}
    with psycopg.connect(airflow.database_url, autocommit=True) as database:
        later = "(g.i - %(count)s) * 0.05 - g.i %% 13 - 30"
        moment = f"t.start_date + make_interval(secs => {later})"
        seconds = "0.4 + (g.i * 7919 %% 1000) / 50.0"
        _copy(database, "task_instance", names, {
            "id": "gen_random_uuid()",
            "map_index": "g.i",
            "state": _STATE,
            "rendered_map_index": "'s3://landing/part-' || lpad(g.i::text, 6, '0') || '.parquet'",
            "try_number": f"CASE WHEN {_FAILED} THEN 3 ELSE 1 + (g.i %% 50 = 3)::int END",
            "start_date": moment,
            "end_date": f"{moment} + make_interval(secs => {seconds})",
            "duration": seconds,
            "queued_dttm": f"{moment} - make_interval(secs => 1 + g.i %% 5)",
            "scheduled_dttm": f"{moment} - make_interval(secs => 2 + g.i %% 5)",
        })  # fmt: skip
        _copy(database, "rendered_task_instance_fields", names, {
            "map_index": "g.i",
            "rendered_fields": "jsonb_build_object('op_kwargs', jsonb_build_object('item', g.i))",
        })  # fmt: skip
        value = (
            f"CASE WHEN {_SOFT} THEN jsonb_build_object('id', g.i, 'status', 'failed', 'error', "
            "'schema mismatch in row ' || g.i, 'rows_processed', 0) "
            "ELSE jsonb_build_object('id', g.i, 'status', 'ok', 'rows_processed', 1000 + g.i %% 500, "
            "'rows_dropped', g.i %% 17) END"
        )
        _copy(database, "xcom", names, {
            "map_index": "g.i",
            "value": value,
            "timestamp": f"t.timestamp + make_interval(secs => {later} + {seconds})",
        }, only=f"{_STATE} = 'success'")  # fmt: skip
        database.execute("VACUUM ANALYZE task_instance, xcom, rendered_task_instance_fields")
    for index in range(39, count, 40):
        _write_log(airflow.home / "logs", run_id, index)


def _copy(
    database: psycopg.Connection[Any], table: str, names: dict[str, Any], own: dict[str, str], only: str = "true"
) -> None:
    """The row of index 0, again for the indices from 1 on, with the columns of ``own`` as they say."""
    found = database.execute(
        "SELECT column_name, is_generated, column_default FROM information_schema.columns WHERE table_name = %s",
        [table],
    ).fetchall()
    columns = [name for name, generated, default in found if generated == "NEVER" and name != "dag_run_id_seq"]
    values = [sql.SQL(own[name]) if name in own else sql.Identifier("t", name) for name in columns]
    statement = sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {values} FROM {table} t, generate_series(1, %(count)s - 1) AS g(i) "
        "WHERE t.map_index = 0 AND {same} AND {only}"
    ).format(
        table=sql.Identifier(table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        values=sql.SQL(", ").join(values),
        same=sql.SQL(
            _WHERE.replace("dag_id", "t.dag_id").replace("run_id", "t.run_id").replace("task_id", "t.task_id")
        ),
        only=sql.SQL(only),
    )
    if table == "xcom":
        database.execute("DELETE FROM xcom WHERE map_index > 0 AND " + _WHERE, names)
    database.execute(statement, names)


def _write_log(logs: Path, run_id: str, index: int) -> None:
    kind, text, function = _ERRORS[index // 40 % len(_ERRORS)]
    entry = {
        "timestamp": "2026-11-24T02:10:00.000000Z",
        "event": "Task failed with exception",
        "level": "error",
        "logger": "task",
        "error_detail": [
            {
                "exc_type": kind,
                "exc_value": text.format(index=index),
                "exc_notes": [],
                "syntax_error": None,
                "is_cause": False,
                "frames": [{"filename": "etl.py", "lineno": 42, "name": function}],
                "is_group": False,
                "exceptions": [],
            }
        ],
    }
    folder = logs / f"dag_id={DAG}" / f"run_id={run_id}" / f"task_id={TASK}" / f"map_index={index}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "attempt=3.log").write_text(json.dumps(entry) + "\n")
