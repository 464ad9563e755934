"""JSON as msgspec writes it: in a fifth of the time of the standard library's, which a list of rows feels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from rest_framework.renderers import BaseRenderer
from rest_framework.utils.encoders import JSONEncoder

_OTHERS: Final = JSONEncoder()


def _other(value: Any) -> Any:
    return value[:] if isinstance(value, str) else _OTHERS.default(value)  # a text that is safe, an error's detail


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
