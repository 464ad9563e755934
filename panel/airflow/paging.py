"""Lists, read to their end whatever page size the server allows.

Airflow clamps ``limit`` silently to ``[api] maximum_page_limit`` (1 to whatever), so the length of the first page says
nothing and every step goes by what really came. A row that a moving list shows twice is taken once, the later one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from panel.airflow.transport import Params, Transport

Row = TypeVar("Row")

PAGE: Final = 1_000
"""Rows asked for by a GET; most servers cut it to 100."""
BULK_PAGE: Final = 10_000
"""Rows asked for by a listing POST, which is not clamped (AIRFLOW.md §0.2). About 11 MB."""


class Page(msgspec.Struct, Generic[Row]):
    """One page. Airflow names the rows after the resource, so each list renames them in a class of its own."""

    rows: list[Row]
    total_entries: int | None = None
    """``None`` in cursor pages of 3.2."""
    next_cursor: str | None = None


def by_offset(
    transport: Transport,
    path: str,
    page: type[Page[Row]],
    params: Params = (),
    *,
    key: Callable[[Row], Hashable],
    most: int | None = None,
    until: Callable[[Row], bool] | None = None,
) -> list[Row]:
    """GET with ``limit`` and ``offset`` until all rows, ``most`` of them, or one that satisfies ``until`` are there."""
    limit = PAGE if most is None else min(PAGE, most)

    def read(offset: int) -> Page[Row]:
        return transport.read(path, page, [*params, ("limit", limit), ("offset", offset)])

    return _collected(read, key, most, until)


def cursor_pages(transport: Transport, path: str, page: type[Page[Row]], params: Params = ()) -> Iterator[list[Row]]:
    """GET with ``cursor`` (3.2.2+), which neither misses nor repeats a row when others come or go meanwhile."""
    cursor: str | None = ""
    seen = set()
    while cursor is not None and cursor not in seen:
        seen.add(cursor)
        answer = transport.read(path, page, [*params, ("limit", PAGE), ("cursor", cursor)])
        yield answer.rows
        cursor = answer.next_cursor


def by_post(
    transport: Transport, path: str, page: type[Page[Row]], body: Mapping[str, Any], *, key: Callable[[Row], Hashable]
) -> list[Row]:
    """The listing POST, with ``page_limit`` and ``page_offset``."""

    def read(offset: int) -> Page[Row]:
        return transport.list_by_post(path, page, {**body, "page_limit": BULK_PAGE, "page_offset": offset})

    return _collected(read, key)


def _collected(
    read: Callable[[int], Page[Row]],
    key: Callable[[Row], Hashable],
    most: int | None = None,
    until: Callable[[Row], bool] | None = None,
) -> list[Row]:
    rows: dict[Hashable, Row] = {}
    offset = 0
    while True:
        answer = read(offset)
        before = len(rows)
        rows |= {key(row): row for row in answer.rows}
        offset += len(answer.rows)
        # A page without anything new ends it too: a server that ignores ``offset`` must not hold us for ever.
        done = len(rows) == before or (answer.total_entries is not None and offset >= answer.total_entries)
        if done or (most is not None and len(rows) >= most) or (until is not None and any(map(until, answer.rows))):
            return list(rows.values())[:most]
