"""Lists as files: lines of CSV or of JSON, made while they are sent."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

CONTENT_TYPES: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Line:
    """What csv writes to: it gives each line back, and so does ``writerow``."""

    def write(self, line: str) -> str:
        return line


def csv_lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """A line of column names, then the rows; no cell is a formula."""
    writer = csv.writer(_Line())
    yield writer.writerow([_cell(name) for name in columns])
    for row in rows:
        yield writer.writerow([_cell(value) for value in row])


def json_lines(rows: Iterable[Any]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=_text) + "\n"


def _text(value: Any) -> str:
    """Moments as the REST API writes them."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _cell(value: Any) -> Any:
    """Texts that a spreadsheet would take for a formula are made plain text by an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, datetime):
        return _text(value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
