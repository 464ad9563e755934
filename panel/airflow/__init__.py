"""The Airflow REST client: typed, tolerant of versions 3.0 to 3.3, one namespace a resource.

    with Airflow("https://airflow.example.com", Password("mapboard", "…")) as airflow:
        for run in airflow.runs.list(states=["running"]):
            rows = airflow.instances.bulk(run.dag_id, run.dag_run_id)

Everything raises from one tree, ``AirflowError``. stdlib, httpx and msgspec only; never Django, never another room.
"""

from panel.airflow.addresses import checked_base_url
from panel.airflow.backfills import BackfillOrder
from panel.airflow.bulk_reads import MappedResult, ResultsPage
from panel.airflow.capabilities import Capabilities
from panel.airflow.client import MOST_IN_FLIGHT, Airflow
from panel.airflow.credentials import BearerToken, Credentials, MemoryTokens, Password, Slots, TokenStore
from panel.airflow.errors import (
    AirflowError,
    BadPayload,
    Conflict,
    Forbidden,
    Invalid,
    NotFinished,
    NotFound,
    NotSent,
    RateLimited,
    Rejected,
    ServerFault,
    TimedOut,
    Unauthorized,
    Unreachable,
    Unsupported,
)
from panel.airflow.logs import LoggedError
from panel.airflow.models import (
    AuditEntry,
    Backfill,
    ClearedInstance,
    Dag,
    DagDetails,
    DagRun,
    DagTag,
    DagVersion,
    ErrorDetail,
    ImportError,  # noqa: A004 - Airflow's own name
    Log,
    LogEntry,
    LogFrame,
    Param,
    PlannedRun,
    Pool,
    Task,
    TaskInstance,
    TaskInstanceDetails,
    Try,
    Version,
    XCom,
    XComRef,
)

__all__ = [
    "MOST_IN_FLIGHT",
    "Airflow",
    "AirflowError",
    "AuditEntry",
    "Backfill",
    "BackfillOrder",
    "BadPayload",
    "BearerToken",
    "Capabilities",
    "ClearedInstance",
    "Conflict",
    "Credentials",
    "Dag",
    "DagDetails",
    "DagRun",
    "DagTag",
    "DagVersion",
    "ErrorDetail",
    "Forbidden",
    "ImportError",
    "Invalid",
    "Log",
    "LogEntry",
    "LogFrame",
    "LoggedError",
    "MappedResult",
    "MemoryTokens",
    "NotFinished",
    "NotFound",
    "NotSent",
    "Param",
    "Password",
    "PlannedRun",
    "Pool",
    "RateLimited",
    "Rejected",
    "ResultsPage",
    "ServerFault",
    "Slots",
    "Task",
    "TaskInstance",
    "TaskInstanceDetails",
    "TimedOut",
    "TokenStore",
    "Try",
    "Unauthorized",
    "Unreachable",
    "Unsupported",
    "Version",
    "XCom",
    "XComRef",
    "checked_base_url",
]
