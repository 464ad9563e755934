"""The filtered history as a stream of CSV or JSON lines. Secret params are masked as everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.db.models import QuerySet

from panel.downloads import CONTENT_TYPES, csv_lines, json_lines
from panel.launches.models import Launch

CHUNK: Final = 500
COLUMNS: Final = (
    "id", "server", "dag_id", "dag_run_id", "state", "message", "params", "note", "requested_by", "protected",
    "decided_by", "decided_at", "decision_comment", "stop_state", "stopped_by", "stop_reason", "created_at",
    "accepted_at", "started_at", "finished_at",
)  # fmt: skip

__all__ = ["COLUMNS", "CONTENT_TYPES", "lines"]


def lines(chosen: QuerySet[Launch], wanted: str) -> Iterator[str]:
    """The lines in this format (``csv``, ``jsonl``), newest first, read from the database as they are sent."""
    rows = (_row(launch) for launch in chosen.order_by("-created_at", "-pk").iterator(chunk_size=CHUNK))
    return csv_lines(COLUMNS, (list(row.values()) for row in rows)) if wanted == "csv" else json_lines(rows)


def _row(launch: Launch) -> dict[str, Any]:
    stop = launch.last_stop
    values: dict[str, Any] = {
        "id": str(launch.pk),
        "server": launch.server_slug,
        "params": launch.shown_params,
        "requested_by": launch.username,
        "decided_by": launch.decided_by_name,
        "stop_state": stop.state if stop else "",
        "stopped_by": stop.username if stop else "",
        "stop_reason": stop.reason if stop else "",
    }
    return {name: values[name] if name in values else getattr(launch, name) for name in COLUMNS}
