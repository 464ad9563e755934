"""Airflow's error answers as one error tree.

``detail`` comes in six shapes (AIRFLOW.md §1, and 3.3.2 itself): a string, a list of validation errors, a list of
sentences, a dict from the database layer, ``{"error": …}`` for an unknown route, and plain text. All become one
sentence and, where Airflow names fields, messages by field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from panel.airflow import errors

DETAIL_LENGTH: Final = 2_000
STALE_TOKEN: Final = "Invalid JWT token"  # noqa: S105 - Airflow's sentence, not a secret
_FIELDS: Final = 50
_SHORTEST_SECRET: Final = 6
"""Shorter ones are ordinary words, and blacking them out would only spoil the sentence."""
_PARAM: Final = re.compile(r"Invalid input for param (\S+): (.*)", re.DOTALL)
_SCHEMA_DUMP: Final = re.compile(r"\n\s*\n\s*Failed validating .*", re.DOTALL)

_BY_STATUS: Final[dict[int, type[errors.Rejected]]] = {
    400: errors.Invalid,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.Invalid,
    406: errors.Invalid,
    409: errors.Conflict,
    415: errors.Invalid,
    422: errors.Invalid,
    429: errors.RateLimited,
}


def refusal(status: int, content_type: str, body: bytes, secrets: Sequence[str] = ()) -> errors.Rejected:
    """The error for an answer with an error status. ``secrets`` are blacked out should the server repeat them."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            body = body.replace(secret.encode(), b"[hidden]")
    detail, fields = _read(status, content_type, body)
    kind = errors.ServerFault if status >= 500 else _BY_STATUS.get(status, errors.Rejected)
    if status == 403 and STALE_TOKEN in detail:
        kind = errors.Unauthorized
    return kind(status, detail, fields)


def is_stale_login(error: errors.Rejected) -> bool:
    """Whether a new login may help: 401, and the 403 that Airflow gives to a token with a bad signature."""
    return isinstance(error, errors.Unauthorized)


def _read(status: int, content_type: str, body: bytes) -> tuple[str, dict[str, list[str]]]:
    if "json" in content_type:
        text, fields = _from_json(body)
    elif content_type.startswith("text/plain"):
        text, fields = body[: DETAIL_LENGTH * 4].decode(errors="replace"), {}
    else:
        text, fields = "", {}  # a proxy's HTML page says nothing that the status does not
    return _cut(text) or _phrase(status), fields


def _from_json(body: bytes) -> tuple[str, dict[str, list[str]]]:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return "", {}
    detail = answer.get("detail", answer.get("error")) if isinstance(answer, dict) else None
    if isinstance(detail, str):
        return _sentence(detail)
    if isinstance(detail, list):
        return _validation(detail)
    if isinstance(detail, dict):
        parts = [part for key in ("reason", "message") if isinstance(part := detail.get(key), str) and part]
        return ": ".join(parts), {}
    return "", {}


def _sentence(detail: str) -> tuple[str, dict[str, list[str]]]:
    """A string detail; the failed schema that Airflow prints below it (with the value) is left out."""
    text = _cut(_SCHEMA_DUMP.sub("", detail))
    if match := _PARAM.match(text):
        return text, {match[1]: [match[2]]}
    return text, {}


def _validation(items: list[Any]) -> tuple[str, dict[str, list[str]]]:
    """A 422 list; PATCH answers its 404 as a list of sentences.

    ``input`` echoes the request, secrets included, and is never kept.
    """
    if items and all(isinstance(item, str) for item in items):
        return "; ".join(items[:_FIELDS]), {}
    fields: dict[str, list[str]] = {}
    for item in items[:_FIELDS]:
        if not isinstance(item, dict):
            continue
        location = item.get("loc")
        path = [str(part) for part in location] if isinstance(location, list) else []
        name = ".".join(path[1:] if path[:1] in (["body"], ["query"], ["path"]) else path)[:200]
        fields.setdefault(name, []).append(_cut(str(item.get("msg", "")))[:500])
    told = "; ".join(f"{name}: {', '.join(said)}" if name else ", ".join(said) for name, said in fields.items())
    return told, fields


def _cut(text: str) -> str:
    text = text.strip()
    return text if len(text) <= DETAIL_LENGTH else text[: DETAIL_LENGTH - 1] + "…"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
