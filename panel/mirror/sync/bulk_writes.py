"""Two statements that the ORM has no form for, to write 10,000 results in a fraction of a second.

``bulk_update`` builds a CASE a row and column, ``bulk_create`` prepares all 30 columns of rows of which five change:
both take seconds. The SQL is the same for SQLite and PostgreSQL, which name the columns of VALUES alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Final

from django.db import connection

from panel.domain.values import Kept
from panel.mirror.models import Instance, InstanceResult, MappedTask
from panel.mirror.sync.unread import Unread

BATCH: Final = 1_000
"""Rows a statement: at most 32,000 parameters, as SQLite takes."""
Statement = tuple[str, list[Any]]
"""SQL and its parameters: made anywhere, executed by the thread that has the transaction."""
_NOTHING: Final = object()


def update_statements(
    rows: Sequence[Instance | Unread], columns: Sequence[str], before: Mapping[str, Any]
) -> Iterator[Statement]:
    """Write these columns of rows that were read from the database. A column that says the same in all rows is sent
    once; hence by outcome: those without an error agree in most columns. ``before`` is what columns are known to hold
    in all these rows: one that still does is not sent at all, and the indexes that it is in are left alone."""
    by_outcome = attrgetter("outcome")
    groups = (list(group) for _outcome, group in groupby(sorted(rows, key=by_outcome), by_outcome))
    for part in chain.from_iterable(map(_parts, groups)):
        said = {name: set(map(attrgetter(name), part)) for name in columns}
        alike = [name for name in columns if len(said[name]) == 1 and said[name] != {before.get(name, _NOTHING)}]
        own = [name for name in columns if len(said[name]) > 1]
        settings = [f"{_quoted(name)} = %s" for name in alike]
        settings += [f"{_quoted(name)} = v.column{place}" for place, name in enumerate(own, start=2)]
        sql = (
            f"UPDATE {_table(Instance)} SET {', '.join(settings)} FROM (VALUES {_rows(own, len(part))}) AS v "  # noqa: S608 - names of our own columns
            f"WHERE {_table(Instance)}.id = v.column1"
        )
        params = [getattr(part[0], name) for name in alike]
        params += chain.from_iterable(map(attrgetter("pk", *own), part)) if own else [row.pk for row in part]
        yield sql, params


def result_statements(mapped_task: MappedTask, rows: Sequence[Instance | Unread]) -> Iterator[Statement]:
    """Write the values that were read (``new_result``)."""
    task = _id(mapped_task)
    for part in _parts([row for row in rows if row.new_result is not None]):
        sql = (
            f"INSERT INTO {_table(InstanceResult)} (mapped_task_id, map_index, value, shortened) VALUES "  # noqa: S608 - names of our own columns
            f"{', '.join([_row(4)] * len(part))} ON CONFLICT (mapped_task_id, map_index) "
            "DO UPDATE SET value = EXCLUDED.value, shortened = EXCLUDED.shortened"
        )
        params = [
            value
            for row in part
            if (kept := row.new_result) is not None
            for value in (task, row.map_index, _written(kept), kept.shortened)
        ]
        yield sql, params


def execute(statements: Iterable[Statement]) -> None:
    with connection.cursor() as cursor:
        for sql, params in statements:
            cursor.execute(sql, params)


def _written(kept: Kept) -> str | None:
    return None if kept.value is None else kept.written or json.dumps(kept.value)


def _rows(columns: Sequence[str], count: int) -> str:
    """The types stand in the first row: PostgreSQL would take every parameter for a text."""
    types = {field.name: field.cast_db_type(connection) for field in Instance._meta.concrete_fields}
    typed = ", ".join(f"CAST(%s AS {types[name]})" for name in ("id", *columns))
    return ", ".join([f"({typed})", *[_row(1 + len(columns))] * (count - 1)])


def _row(columns: int) -> str:
    return f"({', '.join(['%s'] * columns)})"


def _parts(rows: Sequence[Instance | Unread]) -> Iterator[Sequence[Instance | Unread]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _table(model: type[Instance] | type[InstanceResult]) -> str:
    return _quoted(model._meta.db_table)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def _id(mapped_task: MappedTask) -> Any:
    return MappedTask._meta.pk.get_db_prep_value(mapped_task.pk, connection)
