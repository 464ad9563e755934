"""Keyset pages: any sortable column, both ways, empty values last, at the same cost on every page.

One implementation for HTML pages and for the REST API; both databases give the same order.
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
from django.db.models import F, Model, Q, QuerySet

Row = TypeVar("Row", bound=Model)
MAX_CURSOR_LENGTH: Final = 2_000


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


def keyset_page(
    queryset: QuerySet[Row], *, ordering: str, tiebreak: str = "pk", cursor: str | None = None, page_size: int = 100
) -> Page[Row]:
    """One page of ``queryset``.

    ``ordering`` is a field name, ``-`` in front for descending; ``tiebreak`` a unique field, always ascending.
    Raises BadCursor.
    """
    descending = ordering.startswith("-")
    field = ordering.removeprefix("-")
    place = _place(queryset.model, cursor, ordering, field, tiebreak) if cursor else None
    backwards = place is not None and place.backwards
    rows = queryset.order_by(*_order(field, tiebreak, descending=descending, backwards=backwards))
    if place is not None:
        rows = rows.filter(_beyond(place, field, tiebreak, descending=descending))
    found = list(rows[: page_size + 1])
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


def _order(field: str, tiebreak: str, *, descending: bool, backwards: bool) -> list[Any]:
    if field == tiebreak:
        return [F(field).desc() if descending != backwards else F(field).asc()]
    first = F(field).desc(nulls_last=True) if descending else F(field).asc(nulls_last=True)
    if backwards:
        first = F(field).asc(nulls_first=True) if descending else F(field).desc(nulls_first=True)
    return [first, F(tiebreak).desc() if backwards else F(tiebreak).asc()]


def _beyond(place: _Place, field: str, tiebreak: str, *, descending: bool) -> Q:
    """The rows on the far side of ``place`` in the direction of travel."""
    if field == tiebreak:
        return Q(**{f"{field}__{'gt' if descending == place.backwards else 'lt'}": place.value})
    tie = Q(**{f"{tiebreak}__{'lt' if place.backwards else 'gt'}": place.tie})
    empty = Q(**{f"{field}__isnull": True})
    if place.value is None:
        return (~empty | (empty & tie)) if place.backwards else (empty & tie)
    beyond = Q(**{f"{field}__{'gt' if descending == place.backwards else 'lt'}": place.value})
    same = Q(**{field: place.value}) & tie
    return (beyond | same) if place.backwards else (beyond | same | empty)


def _cursor(row: Model, ordering: str, field: str, tiebreak: str, *, backwards: bool) -> str:
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
        if given != ordering or tie is None:
            raise BadCursor
        return _Place(bool(backwards), _typed(model, field, value), _typed(model, tiebreak, tie))
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error, ValidationError) as error:
        raise BadCursor from error


def _typed(model: type[Model], field: str, value: Any) -> Any:
    if isinstance(value, str) and "\x00" in value:  # PostgreSQL takes none
        raise BadCursor
    known = model._meta.pk if field == "pk" else model._meta.get_field(field)
    return value if value is None else known.to_python(value)  # type: ignore[union-attr]  # only plain fields are sorted by
