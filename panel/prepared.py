"""Queries whose shape does not change, written down once.

Django takes longer to write down the SQL of a query that brings one row, or a page of them, than a database takes to
answer it. Those that every request asks are kept as text: what differs from one to the next are parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import BooleanField, Field, Model, QuerySet
from django.db.models.expressions import RawSQL

Row = TypeVar("Row")
MOST_KEPT: Final = 200
LONGEST_KEPT: Final = 10_000
"""Characters of a condition: a longer one (of very many ranges) will hardly be asked with other values."""


class _Written:
    """A query as text. ``params`` are those that it was written down with. Raises EmptyResultSet as Django does."""

    def __init__(self, rows: QuerySet[Any, Any]) -> None:
        self._compiler: Final = rows.query.get_compiler(connection=connection)
        self.sql, self.params = self._compiler.as_sql()
        # Those of SQLite belong to the connection, which is one thread's.
        self._converters = None if connection.vendor == "sqlite" else self._find_converters()

    def fetch(self, params: Sequence[Any]) -> Iterable[Sequence[Any]]:
        """The values of its columns as Django would give them, for these parameters."""
        with connection.cursor() as cursor:
            cursor.execute(self.sql, params)
            found = cursor.fetchall()
        if not found:
            return []
        converters = self._find_converters() if self._converters is None else self._converters
        rows: Iterable[Sequence[Any]] = self._compiler.apply_converters(found, converters) if converters else found
        return rows

    def _find_converters(self) -> dict[int, Any]:
        columns = [column for column, *_ in self._compiler.select[: self._compiler.col_count]]
        converters: dict[int, Any] = self._compiler.get_converters(columns)
        return converters


class Prepared:
    """``rows()`` makes the query, with ``values_list`` and with any value in each place that ``parameters`` name: the
    fields that are compared with, in the order in which the SQL has them."""

    def __init__(self, rows: Callable[[], QuerySet[Any, Any]], parameters: Callable[[], Sequence[Field[Any, Any]]]):
        self._rows = rows
        self._parameters: Final = cache(parameters)
        self._written: Final = cache(self._write)

    def fetch(self, *values: Any) -> list[tuple[Any, ...]]:
        """All its rows for these values of the parameters."""
        written = self._written(connection.vendor)
        fields = self._parameters()
        given = [field.get_db_prep_value(value, connection) for field, value in zip(fields, values, strict=True)]
        return [tuple(row) for row in written.fetch(given)]

    def _write(self, _vendor: str) -> _Written:
        written = _Written(self._rows())
        if len(written.params) != len(self._parameters()):
            raise TypeError(
                f"{len(self._parameters())} parameters are named, this query has {len(written.params)}: {written.sql}"
            )
        return written


@dataclass(frozen=True, slots=True)
class Condition:
    """What is asked of rows, in the words of the database and as it takes the values."""

    sql: str
    params: tuple[Any, ...] = ()

    @classmethod
    def of(cls, rows: QuerySet[Any, Any]) -> Condition:
        """What this queryset filters by, which must be something, in columns of its own table."""
        try:
            sql, params = rows.query.get_compiler(connection=connection).compile(rows.query.where)
        except EmptyResultSet:
            return cls("1 = 0")
        return cls(sql, tuple(params))

    def expression(self) -> RawSQL:
        return RawSQL(self.sql, self.params, BooleanField())  # noqa: S611 - written by Django or of our own words


@dataclass(frozen=True, slots=True, eq=False)
class Narrowed(Generic[Row]):
    """The rows of ``base`` that fulfil the condition. ``base`` is one object for all of them (of ``values_list``), so
    that its queries are written down once for each shape; ``row`` makes a row of its values."""

    base: QuerySet[Any, Any]
    row: Callable[[Sequence[Any]], Row]
    condition: Condition

    @property
    def model(self) -> type[Model]:
        return self.base.model

    def count(self) -> int:
        return self.queryset().count()

    def queryset(self) -> QuerySet[Any, Any]:
        return self.base.filter(self.condition.expression())

    def fetch(
        self,
        shape: Hashable,
        part: Callable[[QuerySet[Any, Any]], QuerySet[Any, Any]],
        params: Sequence[Any],
    ) -> list[Row]:
        """The rows of ``part(self.queryset())``: the same query for each ``shape`` but for ``params``, which come after
        those of the condition."""
        given = [*self.condition.params, *params]
        key = (connection.vendor, self.base, self.condition.sql, shape)
        written = _KEPT.get(key)
        if written is None:
            try:
                written = _Written(part(self.queryset()))
            except EmptyResultSet:  # a value is beyond what its column holds: that is not the shape's
                return []
            if [*written.params] != given:  # as above: a comparison that always holds is left out
                given = [*written.params]
            elif len(self.condition.sql) <= LONGEST_KEPT:
                if len(_KEPT) >= MOST_KEPT:
                    _KEPT.clear()
                _KEPT[key] = written
        return [self.row(row) for row in written.fetch(given)]


_KEPT: Final[dict[Hashable, _Written]] = {}


def columns(model: type[Model], *names: str) -> tuple[str, ...]:
    """These columns in the order of the model, in which ``Model.from_db`` takes their values."""
    found = tuple(field.attname for field in model._meta.concrete_fields if field.attname in names)
    if len(found) != len(names):
        raise TypeError(f"{model.__name__} has of {names} only {found}")
    return found
