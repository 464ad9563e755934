"""The filtered list of instances as a stream of CSV or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from django.db.models import QuerySet

from panel.mirror import selectors
from panel.mirror.airflow_links import mapped_task_url
from panel.mirror.instance_lists import shown
from panel.mirror.models import Instance, MappedTask
from panel.mirror.result_fields import columns_of
from panel.mirror.serializers import InstanceSerializer

CONTENT_TYPES: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}
COLUMNS: Final = (
    "map_index", "label", "state", "outcome", "try_number", "start_date", "end_date", "duration", "error_type",
    "error_message", "error_group", "result", "note", "airflow_url", "queued_at", "error_frame",
)  # fmt: skip
CHUNK: Final = 1_000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Line:
    """What csv writes to: it gives each line back, and so does ``writerow``."""

    def write(self, line: str) -> str:
        return line


def lines(mapped_task: MappedTask, chosen: QuerySet[Instance], wanted: str) -> Iterator[str]:
    """The lines of an export in this format (``csv``, ``jsonl``), read from the database as they are sent."""
    return _csv(mapped_task, chosen) if wanted == "csv" else _jsonl(mapped_task, chosen)


def _rows(mapped_task: MappedTask, chosen: QuerySet[Instance]) -> Iterator[dict[str, Any]]:
    context = {"mapped_task_url": mapped_task_url(mapped_task), "number_columns": columns_of(mapped_task)}
    shape = InstanceSerializer(context=context)
    rows = shown(chosen, mapped_task).iterator(chunk_size=CHUNK)
    while part := list(islice(rows, CHUNK)):
        for instance in selectors.with_results(part):
            yield shape.to_representation(instance)


def _csv(mapped_task: MappedTask, chosen: QuerySet[Instance]) -> Iterator[str]:
    writer = csv.writer(_Line())
    names = list(columns_of(mapped_task))
    yield writer.writerow([*COLUMNS, *(_cell(name) for name in names)])
    for row in _rows(mapped_task, chosen):
        numbers = row["numbers"]
        yield writer.writerow([_cell(row[name]) for name in COLUMNS] + [_cell(numbers[name]) for name in names])


def _jsonl(mapped_task: MappedTask, chosen: QuerySet[Instance]) -> Iterator[str]:
    for row in _rows(mapped_task, chosen):
        yield json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str) + "\n"


def _cell(value: Any) -> Any:
    """Texts that a spreadsheet would take for a formula are made plain text by an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
