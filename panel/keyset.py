"""Keyset pages: any sortable column, both ways, empty values last, at the same cost on every page.

One implementation for HTML pages and for the REST API; both databases give the same order. An index that ends in
``(column, tiebreak)`` is read as one range from the place of the cursor on, a second one holds the empty values. Ties
follow the direction of the column, so that the same index, read backwards, serves the descending list.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import BooleanField, F, Field, Func, Model, QuerySet, Value
from django.db.models.lookups import GreaterThan, LessThan

from panel.prepared import Narrowed

Row = TypeVar("Row")
MAX_CURSOR_LENGTH: Final = 2_000
_LARGEST: Final = 2**63 - 1
"""The largest number a database compares with."""


class BadCursor(ValueError):
    """The cursor is not one of ours, or belongs to another ordering."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows in the asked order, and the opaque cursors of the pages beside it (``None`` at the ends)."""

    rows: list[Row]
    next_cursor: str | None
    previous_cursor: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    backwards: bool
    value: Any
    tie: Any


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one range of an index: ``empty`` are those without a value; ``beyond`` is where it begins, a value and
    its tie or a tie alone, nothing for all of it."""

    empty: bool = False
    beyond: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class _Walk:
    """One way through an ordered list; ``rising``: values and ties grow on the way."""

    model: type[Model]
    field: str
    tiebreak: str
    rising: bool
    backwards: bool

    def parts(self, place: _Place | None) -> list[_Part]:
        """What lies beyond ``place``, in order: at most the filled values and the empty ones."""
        if self.field == self.tiebreak:
            return [_Part(beyond=() if place is None else (place.value,))]
        filled, empty = _Part(), [_Part(empty=True)] if self._nullable else []
        if place is None:
            return [filled, *empty]
        if place.value is None:
            beyond = [_Part(empty=True, beyond=(place.tie,)) for _each in empty]
            return [*beyond, filled] if self.backwards else beyond
        return [_Part(beyond=(place.value, place.tie)), *([] if self.backwards else empty)]

    def rows(self, part: _Part, rows: QuerySet[Any, Row], most: int) -> QuerySet[Any, Row]:
        if self.field != self.tiebreak and self._nullable:
            # That the value is there follows from the comparison, but the databases must be told so to use a partial
            # index.
            rows = rows.filter(**{f"{self.field}__isnull": part.empty})
        if len(part.beyond) == 1:
            rows = rows.filter(**self._beyond_tie(*part.beyond))
        elif part.beyond:
            rows = rows.filter(self._beyond(*part.beyond))
        return (self._ordered_ties(rows) if part.empty else self._ordered(rows))[:most]

    def fetch(self, part: _Part, rows: QuerySet[Any, Row] | Narrowed[Row], most: int) -> list[Row]:
        """The first ``most`` rows of the part."""
        if isinstance(rows, Narrowed):
            names = (self.field, self.tiebreak)[2 - len(part.beyond) :]
            params = [
                _field(self.model, name).get_db_prep_value(value, connection)
                for name, value in zip(names, part.beyond, strict=True)
            ]
            shape = (self, part.empty, len(part.beyond), most)
            return rows.fetch(shape, lambda narrowed: self.rows(part, narrowed, most), params)
        return list(self.rows(part, rows, most))

    @property
    def _nullable(self) -> bool:
        return _field(self.model, self.field).null

    def _ordered(self, rows: QuerySet[Any, Row]) -> QuerySet[Any, Row]:
        return rows.order_by(*[self._sign + name for name in dict.fromkeys([self.field, self.tiebreak])])

    def _ordered_ties(self, rows: QuerySet[Any, Row]) -> QuerySet[Any, Row]:
        return rows.order_by(self._sign + self.tiebreak)

    @property
    def _sign(self) -> str:
        return "" if self.rising else "-"

    def _beyond_tie(self, tie: Any) -> dict[str, Any]:
        return {f"{self.tiebreak}__{'gt' if self.rising else 'lt'}": tie}

    def _beyond(self, value: Any, tie: Any) -> GreaterThan | LessThan:
        """``(column, tie) > (value, tie)`` as SQL's row values: an OR of the two would not be read as one range."""
        here = _RowValue(F(self.field), F(self.tiebreak))
        there = _RowValue(
            Value(value, output_field=_field(self.model, self.field)),
            Value(tie, output_field=_field(self.model, self.tiebreak)),
        )
        return GreaterThan(here, there) if self.rising else LessThan(here, there)


class _RowValue(Func):
    template = "(%(expressions)s)"
    output_field = BooleanField()


def keyset_page(
    queryset: QuerySet[Any, Row] | Narrowed[Row],
    *,
    ordering: str,
    tiebreak: str = "pk",
    cursor: str | None = None,
    page_size: int = 100,
) -> Page[Row]:
    """One page of ``queryset``, whose rows are objects or named tuples with at least the two fields of the order.

    ``ordering`` is a field name, ``-`` in front for descending; ``tiebreak`` a unique field, which orders equal values
    in the same direction. Empty values come last either way. Raises BadCursor.
    """
    descending = ordering.startswith("-")
    field = ordering.removeprefix("-")
    place = _place(queryset.model, cursor, ordering, field, tiebreak) if cursor else None
    backwards = place is not None and place.backwards
    walk = _Walk(queryset.model, field, tiebreak, rising=descending == backwards, backwards=backwards)
    found: list[Row] = []
    for part in walk.parts(place):
        found += walk.fetch(part, queryset, page_size + 1)
        if len(found) > page_size:
            break
    more = len(found) > page_size
    found = found[:page_size]
    if backwards:
        found.reverse()
    has_next = backwards or more
    has_previous = more if backwards else place is not None
    return Page(
        rows=found,
        next_cursor=_cursor(found[-1], ordering, field, tiebreak, backwards=False) if found and has_next else None,
        previous_cursor=_cursor(found[0], ordering, field, tiebreak, backwards=True)
        if found and has_previous
        else None,
    )


def _cursor(row: Any, ordering: str, field: str, tiebreak: str, *, backwards: bool) -> str:
    values = [ordering, int(backwards), _plain(getattr(row, field)), _plain(getattr(row, tiebreak))]
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _place(model: type[Model], cursor: str, ordering: str, field: str, tiebreak: str) -> _Place:
    if len(cursor) > MAX_CURSOR_LENGTH:
        raise BadCursor
    try:
        given, backwards, value, tie = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if given != ordering or tie is None or (value is None and field == tiebreak):
            raise BadCursor
        return _Place(bool(backwards), _typed(model, field, value), _typed(model, tiebreak, tie))
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error, ValidationError) as error:
        raise BadCursor from error


def _typed(model: type[Model], name: str, value: Any) -> Any:
    if isinstance(value, str) and "\x00" in value:  # PostgreSQL takes none
        raise BadCursor
    typed = None if value is None else _field(model, name).to_python(value)
    if isinstance(typed, int) and abs(typed) > _LARGEST:
        raise BadCursor
    return typed


def _field(model: type[Model], name: str) -> Field[Any, Any]:
    return model._meta.pk if name == "pk" else model._meta.get_field(name)  # type: ignore[return-value]  # plain fields
