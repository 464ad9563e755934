"""Paging, ordering and filters, shared by all list routes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tests.fakes.airflow.wire import Answer, Request, refuse

Row = TypeVar("Row")
Shown = Callable[[Row], dict[str, Any]]


def ordered(
    rows: Sequence[Row], order_by: Sequence[str], value: Callable[[Row, str], Any], allowed: set[str]
) -> list[Row]:
    """Rows by these names, ``-`` for descending, empty values last, as PostgreSQL does. Unknown names are a 400."""
    result = list(rows)
    for name in reversed(order_by):
        field = name.lstrip("-")
        if field not in allowed:
            raise refuse(400, f"Ordering with '{field}' is disallowed or the attribute does not exist on the model")
        down = name.startswith("-")
        full = [row for row in result if value(row, field) is not None]
        empty = [row for row in result if value(row, field) is None]
        full.sort(key=lambda row, field=field: value(row, field), reverse=down)
        result = empty + full if down else full + empty
    return result


NO_CURSORS = {"total_entries_limit": None, "next_cursor": None, "previous_cursor": None}


def page(request: Request, name: str, rows: Sequence[Row], shown: Shown[Row], clamp: int | None, **more: Any) -> Answer:
    """``limit`` (50 by default, silently clamped) and ``offset``."""
    limit = request.integer("limit", 50)
    if clamp is not None:
        limit = min(limit, clamp)
    offset = request.integer("offset", 0)
    chosen = rows[offset : offset + limit]
    return Answer(200, {name: [shown(row) for row in chosen], "total_entries": len(rows), **more})


def cursor_page(
    request: Request, name: str, rows: Sequence[Row], shown: Shown[Row], clamp: int | None, *, total: bool
) -> Answer:
    """``cursor``: empty for the first page, then what ``next_cursor`` said. 3.2 gives no ``total`` with it."""
    limit = max(1, min(request.integer("limit", 50), clamp or 10**9))
    cursor = request.get("cursor") or ""
    try:
        start = int(base64.urlsafe_b64decode(cursor.encode()).decode().removeprefix("after:")) if cursor else 0
    except ValueError:
        raise refuse(400, "Invalid cursor token") from None
    more = start + limit < len(rows)
    token = base64.urlsafe_b64encode(f"after:{start + limit}".encode()).decode() if more else None
    answer = {
        name: [shown(row) for row in rows[start : start + limit]],
        "total_entries": min(len(rows), 50_000) if total else None,
    }
    return Answer(200, answer | {"total_entries_limit": 50_000, "next_cursor": token, "previous_cursor": None})
