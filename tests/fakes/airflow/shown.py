"""Rows as Airflow 3.3.2's REST API shows them."""

from __future__ import annotations

from typing import Any

from tests.fakes.airflow.state import Backfill, Dag, Instance, Run, Task, World
from tests.fakes.airflow.wire import iso


def version_row(dag: Dag) -> dict[str, Any]:
    return {
        "id": dag.version_id,
        "version_number": dag.version_number,
        "dag_id": dag.dag_id,
        "bundle_name": "dags",
        "bundle_version": None,
        "created_at": iso(dag.created_at),
        "dag_display_name": dag.dag_id,
        "bundle_url": None,
    }


def dag_row(dag: Dag) -> dict[str, Any]:
    return {
        "dag_id": dag.dag_id,
        "dag_display_name": dag.dag_id,
        "is_paused": dag.is_paused,
        "is_stale": dag.is_stale,
        "last_parsed_time": iso(dag.created_at),
        "last_parse_duration": 0.05,
        "bundle_name": "dags",
        "bundle_version": None,
        "relative_fileloc": f"{dag.dag_id}.py",
        "fileloc": f"dags/{dag.dag_id}.py",
        "description": dag.description,
        "timetable_summary": "0 0 * * *" if dag.schedule else None,
        "timetable_description": "At 00:00" if dag.schedule else "Never, external triggers only",
        "tags": [{"name": tag, "dag_id": dag.dag_id, "dag_display_name": dag.dag_id} for tag in dag.tags],
        "max_active_tasks": dag.max_active_tasks,
        "max_active_runs": dag.max_active_runs,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": dag.has_task_concurrency_limits,
        "has_import_errors": dag.has_import_errors,
        "last_expired": None,
        "timetable_partitioned": False,
        "timetable_periodic": dag.schedule is not None,
        "next_dagrun_logical_date": None,
        "next_dagrun_data_interval_start": None,
        "next_dagrun_data_interval_end": None,
        "next_dagrun_run_after": None,
        "allowed_run_types": None,
        "owners": ["airflow"],
        "is_backfillable": dag.schedule is not None,
        "file_token": f"token-of-{dag.dag_id}",
    }


def details_row(dag: Dag) -> dict[str, Any]:
    return dag_row(dag) | {
        "catchup": False,
        "dag_run_timeout": None,
        "doc_md": dag.doc_md,
        "start_date": None,
        "end_date": None,
        "params": dag.params,
        "render_template_as_native_obj": False,
        "default_args": {},
        "asset_expression": None,
        "is_paused_upon_creation": None,
        "template_search_path": None,
        "timezone": "UTC",
        "last_parsed": iso(dag.created_at),
        "rerun_with_latest_version": None,
        "owner_links": {},
        "is_favorite": False,
        "concurrency": dag.max_active_tasks,
        "active_runs_count": 0,
        "latest_dag_version": version_row(dag),
    }


def task_row(task: Task) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "task_display_name": task.task_id,
        "owner": "airflow",
        "start_date": None,
        "end_date": None,
        "trigger_rule": task.trigger_rule,
        "depends_on_past": False,
        "wait_for_downstream": False,
        "retries": float(task.retries),
        "queue": "default",
        "pool": task.pool,
        "pool_slots": 1.0,
        "execution_timeout": None,
        "retry_delay": {"__type": "TimeDelta", "days": 0, "seconds": 300, "microseconds": 0},
        "retry_exponential_backoff": 0.0,
        "priority_weight": 1.0,
        "weight_rule": "downstream",
        "ui_color": "#ffefeb",
        "ui_fgcolor": "#000",
        "template_fields": ["templates_dict", "op_args", "op_kwargs"],
        "downstream_task_ids": sorted(task.downstream),
        "operator_name": task.operator_name,
        "params": {},
        "class_ref": {"module_path": "airflow.decorators", "class_name": "_PythonDecoratedOperator"},
        "extra_links": [],
        "is_mapped": task.is_mapped,  # false inside a mapped group, as in Airflow
        "doc_md": None,
    }


def run_row(world: World, run: Run) -> dict[str, Any]:
    duration = (run.end_date - run.start_date).total_seconds() if run.start_date and run.end_date else None
    return {
        "dag_run_id": run.run_id,
        "dag_id": run.dag_id,
        "logical_date": iso(run.logical_date),
        "queued_at": iso(run.queued_at),
        "start_date": iso(run.start_date),
        "end_date": iso(run.end_date),
        "duration": duration,
        "data_interval_start": None,
        "data_interval_end": None,
        "run_after": iso(run.run_after),
        "last_scheduling_decision": None,
        "run_type": run.run_type,
        "state": run.state,
        "triggered_by": "rest_api",
        "triggering_user_name": run.user,
        "conf": run.conf,
        "note": run.note,
        "dag_versions": [version_row(world.dags[run.dag_id])],
        "bundle_version": None,
        "dag_display_name": run.dag_id,
        "partition_key": None,
        "partition_date": None,
    }


def backfill_row(backfill: Backfill) -> dict[str, Any]:
    return {
        "id": backfill.id,
        "dag_id": backfill.dag_id,
        "from_date": iso(backfill.from_date),
        "to_date": iso(backfill.to_date),
        "dag_run_conf": backfill.dag_run_conf,
        "is_paused": backfill.is_paused,
        "reprocess_behavior": backfill.reprocess_behavior,
        "max_active_runs": backfill.max_active_runs,
        "created_at": iso(backfill.created_at),
        "completed_at": iso(backfill.completed_at),
        "updated_at": iso(backfill.updated_at),
        "dag_display_name": backfill.dag_id,
    }


def instance_row(world: World, row: Instance) -> dict[str, Any]:
    dag = world.dags[row.dag_id]
    task = dag.tasks[row.task_id]
    run = world.runs[row.dag_id, row.run_id]
    return {
        "id": row.id,
        "task_id": row.task_id,
        "dag_id": row.dag_id,
        "dag_run_id": row.run_id,
        "map_index": row.map_index,
        "logical_date": iso(run.logical_date),
        "run_after": iso(run.run_after),
        "start_date": iso(row.start_date),
        "end_date": iso(row.end_date),
        "duration": row.duration,
        "state": row.state,
        "try_number": row.try_number,
        "max_tries": row.max_tries,
        "task_display_name": row.task_id,
        "dag_display_name": row.dag_id,
        "hostname": "fake",
        "unixname": "airflow",
        "pool": task.pool,
        "pool_slots": 1,
        "queue": "default",
        "priority_weight": 1,
        "operator": "_PythonDecoratedOperator",
        "operator_name": task.operator_name,
        "queued_when": iso(row.queued_when),
        "scheduled_when": iso(row.scheduled_when),
        "pid": None,
        "executor": None,
        "executor_config": "{}",
        "note": row.note,
        "rendered_map_index": None if row.map_index < 0 else row.label or str(row.map_index),
        "rendered_fields": row.rendered_fields,
        "trigger": None,
        "triggerer_job": None,
        "dag_version": row.dag_version or version_row(dag),
    }


def try_row(shown: dict[str, Any]) -> dict[str, Any]:
    """A row of ``/tries``: no id, no note, no rendered fields."""
    gone = (
        "id",
        "note",
        "rendered_fields",
        "rendered_map_index",
        "trigger",
        "triggerer_job",
        "logical_date",
        "run_after",
    )
    return {name: value for name, value in shown.items() if name not in gone}


def structure(dag: Dag) -> list[dict[str, Any]]:
    """``/ui/grid/structure``: upstream first; groups hold their tasks, nulls are left out."""
    nodes: list[dict[str, Any]] = []
    groups: dict[str, dict[str, Any]] = {}
    for task in _upstream_first(dag):
        mapped = {"is_mapped": True} if task.is_expanded else {}
        node = {"id": task.task_id, "label": task.task_id.removeprefix(f"{task.group}."), **mapped}
        if not task.group:
            nodes.append(node)
            continue
        if task.group not in groups:
            groups[task.group] = {"id": task.group, "label": task.group, "children": []}
            groups[task.group] |= {"is_mapped": True} if task.group_is_mapped else {}
            nodes.append(groups[task.group])
        groups[task.group]["children"].append(node)
    return nodes


def _upstream_first(dag: Dag) -> list[Task]:
    order: list[Task] = []
    left = list(dag.tasks.values())
    while left:
        done = {task.task_id for task in order}
        ready = [task for task in left if set(dag.upstream(task.task_id)) <= done] or left[:1]
        order += ready
        left = [task for task in left if task not in ready]
    return order
