"""Input that says more than we know is an error: a misspelt key or filter must never widen what is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from panel.problems import BadRequest

LIST_PARAMETERS: Final = frozenset({"cursor", "page_size", "ordering"})
MOST_NAMED: Final = 20
LONGEST_NAMED: Final = 100


class StrictSerializer(serializers.Serializer[Any]):
    """A body (or a part of one) whose unknown and read-only keys are errors beside those of the other fields.

    ``field = OtherStrictSerializer()`` is strict as well; the messages then stand under ``field.key``.
    """

    def to_internal_value(self, data: Any) -> Any:
        unknown = self._unknown(data)
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if unknown and isinstance(error.detail, dict):
                raise serializers.ValidationError({**unknown, **error.detail}) from error
            raise
        if unknown:
            raise serializers.ValidationError(unknown)
        return value

    def _unknown(self, data: Any) -> dict[str, list[str]]:
        if not isinstance(data, Mapping):
            return {}
        known = [name for name, field in self.fields.items() if not field.read_only]
        message = _("There is no such field here. Known: %(names)s.") % {"names": ", ".join(known)}
        return {key: [message] for key in _named(set(map(str, data)) - set(known))}


class StrictQuery(APIView):
    """A view whose query string may hold ``filters`` (and, on lists with ``orderings``, what pages a list).

    Everything else answers 400. Put it before the generic view: ``class RunList(StrictQuery, ListAPIView)``.
    """

    filters: ClassVar[frozenset[str]] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        known = self.filters | (LIST_PARAMETERS if hasattr(self, "orderings") else frozenset())
        unknown = _named(set(request.query_params) - known)
        if unknown:
            names = ", ".join(sorted(known)) or _("none")
            message = _("There is no such filter here. Known: %(names)s.") % {"names": names}
            raise BadRequest(_("The query string holds an unknown filter."), {name: [message] for name in unknown})


def _named(unknown: set[str]) -> list[str]:
    return [name[:LONGEST_NAMED] for name in sorted(unknown)[:MOST_NAMED]]
