"""JSON as msgspec writes it: in a fifth of the time of the standard library's, which a list of rows feels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

_OTHERS: Final = JSONEncoder()


def _other(value: Any) -> Any:
    return value[:] if isinstance(value, str) else _OTHERS.default(value)  # a text that is safe, an error's detail


class ContentNegotiation(DefaultContentNegotiation):
    """REST framework's, which takes its time over what nearly everybody asks for."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        if format_suffix is None and request.META.get("HTTP_ACCEPT", "*/*") in {"*/*", first.media_type}:
            return first, first.media_type
        chosen: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
        return chosen


class JSONRenderer(BaseRenderer):
    """What msgspec does not know (texts not translated yet, kinds of texts) is written as REST framework would."""

    media_type = "application/json"
    format = "json"
    charset = None  # JSON says it itself
    _encoder: Final = msgspec.json.Encoder(enc_hook=_other)

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return b"" if data is None else self._encoder.encode(data)
