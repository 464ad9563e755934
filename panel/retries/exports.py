"""The items of a job as a stream of CSV or JSON lines: what was done, index by index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from panel.downloads import CONTENT_TYPES, csv_lines, json_lines
from panel.retries import selectors
from panel.retries.models import RetryItem, RetryJob

CHUNK: Final = 1_000
COLUMNS: Final = (
    "dag_id", "run_id", "task_id", "map_index", "label", "state", "why", "outcome_before", "outcome", "same_error",
    "try_number_before", "try_number", "error_type_before", "error_message_before", "error_type", "error_message",
    "sent_at", "settled_at",
)  # fmt: skip

__all__ = ["COLUMNS", "CONTENT_TYPES", "lines"]


def lines(job: RetryJob, wanted: str) -> Iterator[str]:
    """The lines in this format (``csv``, ``jsonl``), in the order in which the items are sent."""
    rows = (_row(item) for item in selectors.items(job).iterator(chunk_size=CHUNK))
    return csv_lines(COLUMNS, (list(row.values()) for row in rows)) if wanted == "csv" else json_lines(rows)


def _row(item: RetryItem) -> dict[str, Any]:
    values = {name: getattr(item, name) for name in COLUMNS if hasattr(item, name)}
    values |= {
        "dag_id": item.target.run.dag_id,
        "run_id": item.target.run.run_id,
        "task_id": item.target.task_id,
        "try_number_before": item.try_number,
        "try_number": item.new_try_number,
    }
    return {name: values[name] for name in COLUMNS}
