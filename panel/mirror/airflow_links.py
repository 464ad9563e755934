"""Where Airflow's own pages show the same thing (the paths of the Airflow 3 user interface)."""

from __future__ import annotations

from urllib.parse import quote

from panel.mirror.models import Dag, DagRun, Instance, MappedTask


def dag_url(dag: Dag) -> str:
    return f"{dag.server.base_url}/dags/{_quoted(dag.dag_id)}"


def run_url(run: DagRun) -> str:
    return f"{dag_url(run.dag)}/runs/{_quoted(run.run_id)}"


def mapped_task_url(task: MappedTask) -> str:
    return f"{run_url(task.run)}/tasks/{_quoted(task.task_id)}/mapped"


def instance_url(instance: Instance) -> str:
    return f"{mapped_task_url(instance.mapped_task)}/{instance.map_index}"


def _quoted(text: str) -> str:
    return quote(text, safe="")
