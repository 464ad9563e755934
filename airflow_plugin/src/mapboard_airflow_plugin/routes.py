"""The two routes: which format is spoken here, and the results of a mapped task, page by page.

Imports of Airflow's own modules are here only. They are internal to Airflow, and have had these names from 3.0 to 3.3.
"""

from __future__ import annotations

import json

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query, Response

from mapboard_airflow_plugin.results import MOST_ROWS, has_instances, rows_as_json

CONTENT_TYPE = "application/vnd.mapboard.mapped-results+json"
"""By it the panel knows this answer from the page that Airflow sends for an unknown address."""
FORMAT = 1
"""Counted up when an older panel could misread the answers. New fields are no reason."""

# No document of its own: Airflow would show it to everybody.
app = FastAPI(title="Mapboard", openapi_url=None)


def may_read(entity: DagAccessEntity):
    """Airflow's own check, by the path's ``dag_id``: it must be named exactly so, or any Dag would do."""
    return Depends(requires_access_dag(method="GET", access_entity=entity))


@app.get("/format")
def show_format() -> Response:
    """Needs no login, like Airflow's ``/version``: it tells nothing but that the plug-in is here."""
    return Response(json.dumps({"format": FORMAT}), media_type=CONTENT_TYPE)


@app.get(
    "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/results",
    dependencies=[may_read(DagAccessEntity.TASK_INSTANCE), may_read(DagAccessEntity.XCOM)],
)
def show_results(
    dag_id: str,
    dag_run_id: str,
    task_id: str,
    session: SessionDep,
    after: int = Query(-1, ge=-1),
    limit: int = Query(MOST_ROWS, ge=1, le=MOST_ROWS),
) -> Response:
    """The instances with map_index above ``after``, at most ``limit`` of them."""
    rows, next_after = rows_as_json(session, dag_id, dag_run_id, task_id, after=after, limit=limit)
    if not rows and not has_instances(session, dag_id, dag_run_id, task_id):
        detail = f"No instance of the task `{task_id}` in the run `{dag_run_id}` of the Dag `{dag_id}` was found"
        raise HTTPException(404, detail)
    head = json.dumps({"format": FORMAT, "next_after": next_after})[:-1]
    return Response(f'{head}, "rows": [{",".join(rows)}]}}', media_type=CONTENT_TYPE)
