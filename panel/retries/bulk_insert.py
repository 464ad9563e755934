"""Writing 10,000 items in a fraction of a second: ``bulk_create`` takes two for them, most of it for its own SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final, TypeAlias

from django.db import connection, models

from panel.retries.models import RetryItem

AnyField: TypeAlias = "models.Field[Any, Any]"

PARAMETERS: Final = 30_000
"""SQLite takes 32,766 in a statement."""


def insert_items(items: Sequence[RetryItem]) -> None:
    """Insert rows that are new, in their order; they learn no keys by it. Raises IntegrityError.

    A column that says the same in all rows is sent once.
    """
    if not items:
        return
    fields = [field for field in RetryItem._meta.concrete_fields if not field.primary_key]
    columns = {field: _prepared(field, items) for field in fields}
    # One column at least is kept apart: there must be rows to select from.
    alike = [field for field in fields[1:] if len(set(columns[field])) == 1]
    own = [field for field in fields if field not in alike]
    insert = _insert_lists if connection.vendor == "postgresql" else _insert_values
    insert(alike, [columns[field][0] for field in alike], own, [columns[field] for field in own])


def _insert_lists(alike: list[AnyField], same: list[Any], own: list[AnyField], columns: list[list[Any]]) -> None:
    """PostgreSQL takes each column as one parameter: 30,000 of them would be looked for in the text, one by one. As
    JSON, for psycopg takes ten times as long to write down a list."""
    lists = ", ".join(
        f"CAST(ARRAY(SELECT json_array_elements_text(CAST(%s AS json))) AS {field.cast_db_type(connection)}[])"
        for field in own
    )
    written = [json.dumps(column, default=str) for column in columns]
    with connection.cursor() as cursor:
        cursor.execute(f"{_head(alike, own)} FROM UNNEST({lists}) AS v({_columns(own)})", [*same, *written])


def _insert_values(alike: list[AnyField], same: list[Any], own: list[AnyField], columns: list[list[Any]]) -> None:
    rows = list(zip(*columns, strict=True))
    at_once = (PARAMETERS - len(same)) // len(own)
    for start in range(0, len(rows), at_once):
        part = rows[start : start + at_once]
        values = ", ".join([f"({', '.join(['%s'] * len(own))})"] * len(part))
        sql = f"WITH v({_columns(own)}) AS (VALUES {values}) {_head(alike, own)} FROM v"
        with connection.cursor() as cursor:
            cursor.execute(sql, [*chain.from_iterable(part), *same])


def _head(alike: Sequence[AnyField], own: Sequence[AnyField]) -> str:
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in (*alike, *own))
    values = ", ".join([*(f"CAST(%s AS {field.cast_db_type(connection)})" for field in alike), f"{_columns(own)}"])
    return f"INSERT INTO {connection.ops.quote_name(RetryItem._meta.db_table)} ({names}) SELECT {values}"


def _columns(own: Sequence[AnyField]) -> str:
    return ", ".join(f"c{place}" for place in range(len(own)))


def _prepared(field: AnyField, items: Sequence[RetryItem]) -> list[Any]:
    """Each value as the database takes it: texts and whole numbers as they are, any other is prepared once."""
    values = list(map(attrgetter(field.attname), items))
    others = {value for value in set(values) if type(value) not in (str, int)}
    known = {value: field.get_db_prep_save(value, connection) for value in others}
    return [known.get(value, value) for value in values] if known else values
