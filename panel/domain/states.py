"""Airflow's task-instance and Dag-run states (Airflow 3.0 to 3.3), as it spells them in its REST API.

A task instance without a state is ``None`` in the API ("no status").
"""

from __future__ import annotations

SUCCESS = "success"
FAILED = "failed"
SKIPPED = "skipped"
UPSTREAM_FAILED = "upstream_failed"
REMOVED = "removed"
RUNNING = "running"
QUEUED = "queued"

FINISHED = frozenset({SUCCESS, FAILED, SKIPPED, UPSTREAM_FAILED, REMOVED})
"""States in which a task instance rests until somebody clears it."""

ACTIVE = frozenset({"running", "restarting", "deferred", "up_for_reschedule"})
"""States in which work of the instance is under way (or parked by itself)."""

CLEARABLE = frozenset({SUCCESS, FAILED, SKIPPED, UPSTREAM_FAILED})
"""States that may be cleared without racing a process or burning a try (AIRFLOW.md §5)."""

FINISHED_RUN = frozenset({SUCCESS, FAILED})
"""Terminal Dag-run states; the others are ``queued`` and ``running``."""
