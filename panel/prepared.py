"""Queries whose shape never changes, written down once.

Django takes longer to write down the SQL of a query that brings one row than a database takes to answer it. Those that
every request asks are kept as text: what differs from one to the next are parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

from django.db import connection
from django.db.models import Field, Model, QuerySet
from django.db.models.sql.compiler import SQLCompiler


class Prepared:
    """``rows()`` makes the query, with ``values_list`` and with any value in each place that ``parameters`` name: the
    fields that are compared with, in the order in which the SQL has them."""

    def __init__(self, rows: Callable[[], QuerySet[Any, Any]], parameters: Callable[[], Sequence[Field[Any, Any]]]):
        self._rows = rows
        self._parameters: Final = cache(parameters)
        self._written: Final = cache(self._write)

    def fetch(self, *values: Any) -> list[tuple[Any, ...]]:
        """All its rows for these values of the parameters."""
        sql, compiler = self._written(connection.vendor)
        fields = self._parameters()
        given = [field.get_db_prep_value(value, connection) for field, value in zip(fields, values, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(sql, given)
            found = cursor.fetchall()
        return [tuple(row) for row in compiler.results_iter([found])] if found else []

    def _write(self, _vendor: str) -> tuple[str, SQLCompiler]:
        compiler = self._rows().query.get_compiler(connection=connection)
        sql, given = compiler.as_sql()
        if len(given) != len(self._parameters()):
            raise TypeError(f"{len(self._parameters())} parameters are named, this query has {len(given)}: {sql}")
        return sql, compiler


def columns(model: type[Model], *names: str) -> tuple[str, ...]:
    """These columns in the order of the model, in which ``Model.from_db`` takes their values."""
    found = tuple(field.attname for field in model._meta.concrete_fields if field.attname in names)
    if len(found) != len(names):
        raise TypeError(f"{model.__name__} has of {names} only {found}")
    return found
