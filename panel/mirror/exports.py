"""The filtered list of instances as a stream of CSV or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from panel.domain.selection import Selection
from panel.downloads import CONTENT_TYPES, csv_lines, json_lines
from panel.mirror.instance_lists import listed
from panel.mirror.models import MappedTask
from panel.mirror.result_fields import columns_of
from panel.mirror.selectors import selected
from panel.mirror.serializers import instance_rows

COLUMNS: Final = (
    "map_index", "label", "state", "outcome", "try_number", "start_date", "end_date", "duration", "error_type",
    "error_message", "error_group", "result", "note", "airflow_url", "queued_at", "error_frame",
)  # fmt: skip
CHUNK: Final = 1_000

__all__ = ["CONTENT_TYPES", "lines"]


def lines(mapped_task: MappedTask, selection: Selection, wanted: str) -> Iterator[str]:
    """The lines of an export in this format (``csv``, ``jsonl``), read from the database as they are sent."""
    return _csv(mapped_task, selection) if wanted == "csv" else json_lines(_rows(mapped_task, selection))


def _rows(mapped_task: MappedTask, selection: Selection) -> Iterator[dict[str, Any]]:
    rows = selected(listed(mapped_task), mapped_task, selection, walked_by="map_index")
    last = -1
    while part := list(rows.filter(map_index__gt=last)[:CHUNK]):  # a cursor would have PostgreSQL make all of it first
        yield from instance_rows(mapped_task, part)
        last = part[-1].map_index


def _csv(mapped_task: MappedTask, selection: Selection) -> Iterator[str]:
    names = list(columns_of(mapped_task))
    rows = (
        [*(row[name] for name in COLUMNS), *(row["numbers"][name] for name in names)]
        for row in _rows(mapped_task, selection)
    )
    return csv_lines([*COLUMNS, *names], rows)
