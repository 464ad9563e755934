"""Faults to inject: wrong answers, lost connections, silence."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fakes.airflow.wire import Answer, Request

HTML = "<!doctype html><html><head><title>Sign in</title></head><body>proxy</body></html>"


@dataclass
class Fault:
    """What the next ``times`` requests get whose path holds ``path`` (and whose method is ``method``).

    One of: ``status`` (with ``detail`` as JSON, or ``text`` as plain text), ``html`` (a page with ``status`` or 200),
    ``garbage`` (JSON that is none), ``json`` (any JSON), ``drop`` (connection lost; ``after=True``: the request was
    carried out first), ``hang`` (no answer for so many seconds; in-process, a read time-out at once). ``skip`` such
    requests pass first.
    """

    status: int | None = None
    detail: Any = "Injected fault"
    text: str | None = None
    html: bool | str = False
    garbage: bool | str = False
    json: Any = None
    drop: bool = False
    after: bool = False
    hang: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    path: str = ""
    method: str | None = None
    times: int = 1
    skip: int = 0

    def hits(self, request: Request) -> bool:
        if self.times <= 0 or self.path not in request.path or self.method not in (None, request.method):
            return False
        self.skip -= 1
        return self.skip < 0

    def answer(self) -> Answer:
        if self.html:
            page = self.html if isinstance(self.html, str) else HTML
            return Answer(self.status or 200, text=page, content_type="text/html; charset=utf-8", headers=self.headers)
        if self.garbage:
            return Answer(
                self.status or 200, text=self.garbage if isinstance(self.garbage, str) else '{"dags": [nonsense'
            )
        if self.json is not None:
            return Answer(self.status or 200, self.json, headers=self.headers)
        if self.text is not None:
            return Answer(
                self.status or 500, text=self.text, content_type="text/plain; charset=utf-8", headers=self.headers
            )
        return Answer(self.status or 500, {"detail": self.detail}, headers=self.headers)


def lose_connection(environ: dict[str, Any], *, refused: bool = False) -> list[bytes]:
    """In-process: the error httpx gives for a lost connection. Served: the socket is really closed."""
    connection: socket.socket | None = environ.get("fake.connection")
    if connection is None:
        raise httpx.ConnectError("Connection refused") if refused else httpx.ReadError("Connection reset by peer")
    connection.shutdown(socket.SHUT_RDWR)
    return []


def stay_silent(environ: dict[str, Any], seconds: float) -> None:
    if environ.get("fake.connection") is None:
        raise httpx.ReadTimeout("timed out")
    time.sleep(seconds)
