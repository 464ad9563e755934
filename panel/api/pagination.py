"""Lists: ``{"results", "count", "next", "previous"}``, keyset cursors, ``page_size`` up to 500."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.db.models import QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from panel.keyset import Page, keyset_page
from panel.prepared import Narrowed
from panel.problems import BadRequest

if TYPE_CHECKING:
    from rest_framework.views import APIView  # DRF's settings import this module while its views are being loaded

MAX_PAGE_SIZE: Final = 500


class KeysetPagination(BasePagination):
    """Reads ``cursor``, ``page_size`` and ``ordering``.

    The view says what may be sorted by: ``orderings`` (``{public name: field}``), ``default_ordering`` (a public
    name, ``-`` for descending) and ``tiebreak`` (a unique field); and how many there are, where it knows without
    counting (``known_count``).
    """

    page: Page[Any]
    count: int
    request: Request

    def paginate_queryset(
        self,
        queryset: QuerySet[Any] | Narrowed[Any] | Sequence[Any],
        request: Request,
        view: APIView | None = None,
    ) -> list[Any] | None:
        if not isinstance(queryset, QuerySet | Narrowed):
            raise TypeError("Keyset pages are made of querysets.")
        self.request = request
        known: int | None = getattr(view, "known_count", None)
        self.count = queryset.count() if known is None else known
        self.page = keyset_page(
            queryset,
            ordering=self._ordering(request, view),
            tiebreak=getattr(view, "tiebreak", "pk"),
            cursor=request.query_params.get("cursor") or None,
            page_size=_page_size(request),
        )
        return self.page.rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "results": data,
                "count": self.count,
                **self._links(),
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["results", "count", "next", "previous"],
            "properties": {
                "results": schema,
                "count": {"type": "integer", "description": "All matching rows, on every page."},
                "next": link,
                "previous": link,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        names = [sign + name for name in getattr(view, "orderings", {}) for sign in ("", "-")]
        parameters: list[dict[str, Any]] = [
            {"name": "cursor", "in": "query", "schema": {"type": "string"}},
            {"name": "page_size", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE}},
        ]
        if names:
            parameters.append({"name": "ordering", "in": "query", "schema": {"type": "string", "enum": names}})
        return parameters

    def _ordering(self, request: Request, view: APIView | None) -> str:
        orderings: dict[str, str] = getattr(view, "orderings", {"pk": "pk"})
        default: str = getattr(view, "default_ordering", next(iter(orderings)))
        asked = request.query_params.get("ordering") or default
        name = asked.removeprefix("-")
        if name not in orderings:
            known = ", ".join(orderings)
            raise BadRequest("This list cannot be sorted that way.", {"ordering": [f"One of {known}; - in front."]})
        return ("-" if asked.startswith("-") else "") + orderings[name]

    def _links(self) -> dict[str, str | None]:
        """The address that was asked for, with the cursors of the pages beside this one in place of its own."""
        path, _, _query = self.request.build_absolute_uri().partition("?")
        asked = [(name, value) for name, values in self.request.query_params.lists() for value in values]
        others = [pair for pair in asked if pair[0] != "cursor"]
        cursors = {"next": self.page.next_cursor, "previous": self.page.previous_cursor}
        return {
            name: None if cursor is None else f"{path}?{urlencode([*others, ('cursor', cursor)])}"
            for name, cursor in cursors.items()
        }


def _page_size(request: Request) -> int:
    text = request.query_params.get("page_size", "100")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PAGE_SIZE):
        raise BadRequest("page_size is out of range.", {"page_size": [f"A number from 1 to {MAX_PAGE_SIZE}."]})
    return int(text)
