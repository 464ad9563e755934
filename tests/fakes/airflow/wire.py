"""HTTP for the fake: a request read from WSGI, an answer, and Airflow's error shapes."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
}


@dataclass
class Request:
    """One request as it came in. ``body`` is the decoded JSON, or the raw text when it is not JSON."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any = None
    user: str = ""

    @classmethod
    def read(cls, environ: dict[str, Any]) -> Request:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        raw = environ["wsgi.input"].read(length) if length else b""
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode(errors="replace")
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        headers["content-type"] = environ.get("CONTENT_TYPE") or ""
        return cls(
            method=environ["REQUEST_METHOD"],
            path=_utf8(environ["PATH_INFO"]),
            query=parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True),
            headers=headers,
            body=body,
        )

    def get(self, name: str) -> str | None:
        values = self.all(name)
        return values[-1] if values else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]

    def integer(self, name: str, default: int) -> int:
        value = self.get(name)
        if value is None:
            return default
        try:
            number = int(value)
        except ValueError:
            message = "Input should be a valid integer, unable to parse string as an integer"
            raise invalid("int_parsing", ["query", name], message, value) from None
        if number < 0 and name in ("limit", "offset"):
            raise invalid("greater_than_equal", ["query", name], "Input should be greater than or equal to 0", value)
        return number

    def moment(self, name: str) -> datetime | None:
        """A time filter, with Airflow's two traps: an unescaped plus sign, and a time without a zone."""
        value = self.get(name)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            message = "Input should be a valid datetime or date, unexpected extra characters at the end of the input"
            raise invalid("datetime_from_date_parsing", ["query", name], message, value) from None
        if moment.tzinfo is None:
            raise Answer(500, {"detail": database_error("Database error")})
        return moment


@dataclass(frozen=True)
class Recorded:
    """One request that came in, in the order of arrival."""

    method: str
    path: str
    query: list[tuple[str, str]]
    body: Any
    user: str


@dataclass
class Answer(Exception):
    """What goes back; raised as well as returned."""

    status: int
    json: Any = None
    text: str | bytes | None = None
    content_type: str | None = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, start_response: Callable[..., Any], *, compressed: bool) -> list[bytes]:
        if self.text is None:
            body = json.dumps(self.json, separators=(",", ":")).encode()
        else:
            body = self.text if isinstance(self.text, bytes) else self.text.encode()
        headers = dict(self.headers)
        if self.content_type:
            headers["Content-Type"] = self.content_type
        if compressed and len(body) > 500 and "Content-Encoding" not in headers:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body))
        start_response(f"{self.status} {REASONS.get(self.status, 'Status')}", list(headers.items()))
        return [body]


SPA = '<!doctype html><html lang="en"><head><title>Airflow</title></head><body><div id="root"></div></body></html>'


def page_of_airflow() -> Answer:
    """What any unknown address outside ``/api`` answers: Airflow's own pages."""
    return Answer(200, text=SPA, content_type="text/html; charset=utf-8")


def refuse(status: int, detail: Any) -> Answer:
    return Answer(status, {"detail": detail})


def invalid(kind: str, location: list[Any], message: str, given: Any) -> Answer:
    """One entry of a 422 list; like the real one, it echoes what was sent."""
    return refuse(422, [{"type": kind, "loc": location, "msg": message, "input": given}])


def database_error(reason: str) -> dict[str, str]:
    message = (
        "Serious error when handling your request. Check logs for more details - "
        "you will find it in api server when you look for ID QD1iZ7bf"
    )
    return {"reason": reason, "statement": "hidden", "orig_error": "hidden", "message": message}


TYPES: dict[str, tuple[type | tuple[type, ...], str, str]] = {
    "bool": (bool, "bool_type", "Input should be a valid boolean"),
    "str": (str, "string_type", "Input should be a valid string"),
    "int": (int, "int_type", "Input should be a valid integer"),
    "list": (list, "list_type", "Input should be a valid list"),
    "dict": (dict, "dict_type", "Input should be a valid dictionary"),
}


def strict(body: Any, fields: dict[str, str], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The body, if it holds only known fields of the right type (``str?`` admits null); else Airflow's 422."""
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise invalid("model_attributes_type", ["body"], message, body)
    errors = [
        {"type": "missing", "loc": ["body", name], "msg": "Field required", "input": body}
        for name in required
        if name not in body
    ]
    for name, value in body.items():
        kind = fields.get(name)
        if kind is None:
            errors.append(
                {
                    "type": "extra_forbidden",
                    "loc": ["body", name],
                    "msg": "Extra inputs are not permitted",
                    "input": value,
                }
            )
        elif not (value is None and kind.endswith("?")) and not isinstance(value, TYPES[kind.rstrip("?")][0]):
            _, error, message = TYPES[kind.rstrip("?")]
            errors.append({"type": error, "loc": ["body", name], "msg": message, "input": value})
    if errors:
        raise refuse(422, errors)
    return body


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


Handler = Callable[..., Answer]


class Routes:
    """``{name}`` matches one path segment. A path that matches with another method answers 405."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler, str]] = []

    def add(self, method: str, pattern: str, handler: Handler, need: str = "read") -> None:
        regex = re.compile("".join(_part(part) for part in re.split(r"(\{\w+\})", pattern)))
        self._routes.append((method, regex, handler, need))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str], str] | None:
        other = False
        for wanted, regex, handler, need in self._routes:
            if match := regex.fullmatch(path):
                if wanted == method:
                    return handler, match.groupdict(), need
                other = True
        if other:
            raise refuse(405, "Method Not Allowed")
        return None


def _part(part: str) -> str:
    return f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)


def _utf8(text: str) -> str:
    """WSGI gives the path's bytes as latin-1; httpx's transport gives text."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text
