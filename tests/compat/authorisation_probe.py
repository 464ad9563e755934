"""Run by Airflow's own Python: what the plug-in asks the auth manager, and what it answers who may not read.

Prints one line of JSON: for nothing denied, and for each entity denied, the status and the questions asked.
"""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

from airflow.api_fastapi.common.db.common import _get_session
from airflow.api_fastapi.core_api import security
from fastapi.testclient import TestClient
from mapboard_airflow_plugin.routes import app


class AuthManager:
    def __init__(self, denied: str) -> None:
        self.denied = denied
        self.asked = []

    def is_authorized_dag(self, *, method, access_entity, details, user):
        self.asked.append([method, access_entity.name, details.id])
        return access_entity.name != self.denied


class EmptyDatabase:
    """A session that finds nothing."""

    def get_bind(self):
        return SimpleNamespace(dialect=SimpleNamespace(name="postgresql"))

    def execute(self, statement):
        return io.StringIO()

    def scalar(self, statement):
        return False


def asked(denied: str) -> dict[str, object]:
    manager = AuthManager(denied)
    security.get_auth_manager = lambda: manager
    # The query must not be able to name another Dag.
    answer = TestClient(app).get("/dags/etl/dagRuns/r1/taskInstances/work/results?dag_id=other")
    return {"status": answer.status_code, "asked": manager.asked}


if hasattr(security.DagModel, "get_team_name"):  # 3.1 and later ask the database for it
    security.DagModel.get_team_name = lambda dag_id: None
app.dependency_overrides[security.get_user] = object
app.dependency_overrides[_get_session] = EmptyDatabase
sys.stdout.write(json.dumps({denied or "nothing": asked(denied) for denied in ("", "TASK_INSTANCE", "XCOM")}) + "\n")
