"""What Airflow's REST API v2 answers, as typed structs.

Tolerant: unknown fields are ignored, and a field that some version of Airflow 3 does not send has a default.
Every text in here comes from outside and is untrusted. Times are timezone-aware; durations are seconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, field


class Version(Struct, frozen=True):
    """``GET /api/v2/version``."""

    version: str
    git_version: str | None = None


class DagVersion(Struct, frozen=True):
    id: str = ""
    version_number: int | None = None
    bundle_name: str | None = None


class DagTag(Struct, frozen=True):
    name: str


class Dag(Struct, frozen=True):
    """A row of ``GET /api/v2/dags``."""

    dag_id: str
    dag_display_name: str | None = None
    is_paused: bool = False
    is_stale: bool = False
    has_import_errors: bool = False
    description: str | None = None
    tags: list[DagTag] = field(default_factory=list)
    timetable_summary: str | None = None
    max_active_tasks: int | None = None
    max_active_runs: int | None = None
    file_token: str | None = None
    has_task_concurrency_limits: bool | None = None
    timetable_partitioned: bool = False
    is_backfillable: bool | None = None

    @property
    def can_be_backfilled(self) -> bool | None:
        """Whether its schedule admits backfills. Below 3.3 Airflow does not say; a Dag without a schedule never does.

        Runs of a partitioned schedule have no dates to follow them by: not supported here.
        """
        if self.timetable_partitioned or self.timetable_summary in (None, "None"):
            return False
        return self.is_backfillable


class Param(Struct, frozen=True):
    """One Dag param: ``value`` is the default or null, ``schema`` its JSON schema (AIRFLOW.md §2)."""

    value: Any = None
    schema: dict[str, Any] = field(default_factory=dict)
    description: str | None = None
    source: str | None = None


class DagDetails(Dag, frozen=True):
    """``GET /api/v2/dags/{dag_id}/details``. ``params`` keeps the order of declaration."""

    params: dict[str, Param] = field(default_factory=dict)
    doc_md: str | None = None
    latest_dag_version: DagVersion | None = None
    render_template_as_native_obj: bool = False


class Task(Struct, frozen=True):
    """A row of ``GET /api/v2/dags/{dag_id}/tasks``. ``is_mapped`` is false inside a mapped task group."""

    task_id: str
    is_mapped: bool = False
    operator_name: str | None = None
    trigger_rule: str | None = None
    retries: float | None = None
    pool: str | None = None
    pool_slots: float | None = None
    downstream_task_ids: list[str] = field(default_factory=list)


class DagRun(Struct, frozen=True):
    """A row of ``GET /api/v2/dags/{dag_id}/dagRuns``."""

    dag_run_id: str
    dag_id: str
    state: str
    run_type: str | None = None
    logical_date: datetime | None = None
    queued_at: datetime | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    run_after: datetime | None = None
    conf: dict[str, Any] | None = None
    note: str | None = None
    triggered_by: str | None = None
    triggering_user_name: str | None = None


class Backfill(Struct, frozen=True):
    """A row of ``GET /api/v2/backfills``. ``completed_at`` is set by the scheduler some seconds after the last run
    has ended, or by a cancel."""

    id: int
    dag_id: str
    from_date: datetime
    to_date: datetime
    max_active_runs: int
    reprocess_behavior: str = "none"
    is_paused: bool = False
    dag_run_conf: dict[str, Any] | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None


class Pool(Struct, frozen=True):
    """A row of ``GET /api/v2/pools``; below zero slots it has no bound."""

    name: str
    slots: int


class PlannedRun(Struct, frozen=True):
    """A row of a backfill's dry run; without a ``logical_date`` in Dags whose schedule is partitioned (3.2+)."""

    logical_date: datetime | None = None
    partition_key: str | None = None


class TaskInstance(Struct, frozen=True):
    """One task instance of a list; ``map_index`` is -1 for an unmapped or not yet expanded task, ``state`` null for no
    status.

    While ``state`` is null after a clear, the times are those of the old try (AIRFLOW.md §5). Only what lists are read
    for: the rest is half of the bytes of a list of 10,000, and is not made into objects.
    """

    id: str
    task_id: str
    dag_id: str
    dag_run_id: str
    map_index: int = -1
    state: str | None = None
    try_number: int = 0
    max_tries: int = 0
    start_date: datetime | None = None
    end_date: datetime | None = None
    duration: float | None = None
    queued_when: datetime | None = None
    scheduled_when: datetime | None = None
    rendered_map_index: str | None = None
    note: str | None = None


class ClearedInstance(TaskInstance, frozen=True):
    """A row of the answer to a clear: with what it will take of a pool, and the version it belongs to."""

    pool: str | None = None
    pool_slots: int | None = None
    dag_version: DagVersion | None = None


class TaskInstanceDetails(TaskInstance, frozen=True):
    """One task instance with what it was given to work on."""

    rendered_fields: dict[str, Any] | None = None
    pool: str | None = None
    operator: str | None = None
    hostname: str | None = None
    dag_version: DagVersion | None = None


class Try(Struct, frozen=True):
    """A row of ``…/taskInstances/{task}/{index}/tries``, the current try included."""

    try_number: int
    state: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    duration: float | None = None
    hostname: str | None = None


class XCom(Struct, frozen=True):
    """One XCom with its value."""

    key: str
    map_index: int = -1
    timestamp: datetime | None = None
    value: Any = None


class XComRef(Struct, frozen=True):
    """A row of the XCom list, which has no values: which index has one, and since when."""

    key: str
    map_index: int = -1
    timestamp: datetime | None = None


class LogFrame(Struct, frozen=True):
    filename: str = ""
    lineno: int | None = None
    name: str = ""


class ErrorDetail(Struct, frozen=True):
    """One exception of a log entry's ``error_detail``; the first is the raised one, the others its causes."""

    exc_type: str = ""
    exc_value: str = ""
    is_cause: bool = False
    frames: list[LogFrame] = field(default_factory=list)


class LogEntry(Struct, frozen=True):
    """One structured log line."""

    event: str = ""
    timestamp: datetime | None = None
    level: str | None = None
    logger: str | None = None
    error_detail: list[ErrorDetail] | None = None


class Log(Struct, frozen=True):
    """One page of a try's log; ``continuation_token`` is null once the try has ended and all is read."""

    content: list[LogEntry] = field(default_factory=list)
    continuation_token: str | None = None


class AuditEntry(Struct, frozen=True):
    """A row of ``GET /api/v2/eventLogs``: ``event`` is the name of what was called, ``owner`` who did, ``extra`` the
    request's body as JSON text."""

    event_log_id: int
    when: datetime
    event: str
    owner: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    extra: str | None = None


class ImportError(Struct, frozen=True):  # noqa: A001 - Airflow's own name
    import_error_id: int
    filename: str = ""
    stack_trace: str = ""
    timestamp: datetime | None = None
