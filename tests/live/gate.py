"""A door before a real Airflow, at which requests that clear can be held: a kill lands while one is in flight."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import urlsplit

Place = Literal["", "before", "after"]
LONGEST = 120.0
"""Seconds that a request is held, and that Airflow may take."""
OF_ONE_CONNECTION = {"connection", "transfer-encoding", "content-length", "host"}


class Gate:
    """Passes everything on to ``base_url``; a clear that is no dry run is held where ``hold`` says. A context manager.

    url: what stands for Airflow's own address.
    """

    def __init__(self, base_url: str) -> None:
        self.airflow = urlsplit(base_url).netloc
        self._moved = threading.Condition()
        self._place: Place = ""
        self._let_pass = 0
        self._lost = False
        self._turn = 0
        self._held: list[tuple[socket.socket, dict[str, Any]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Door", (_Door,), {"gate": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.open()
        self._server.shutdown()
        self._server.server_close()

    def hold(self, place: Place, *, let: int) -> None:
        """``let`` clears pass, then each waits ``before`` Airflow gets it or ``after`` Airflow has carried it out."""
        self._set(place, let, lost=False)

    def open(self, *, lost: bool = False) -> None:
        """Everything passes. What is held goes on, or, when ``lost``, never arrives on the other side."""
        self._set("", 0, lost=lost)

    def held(self, *, by_the_living: bool = True) -> list[dict[str, Any]]:
        """The bodies of the clears that are held and whose sender still waits (or, otherwise, is gone)."""
        with self._moved:
            return [body for sender, body in self._held if _hung_up(sender) != by_the_living]

    def _set(self, place: Place, let: int, *, lost: bool) -> None:
        with self._moved:
            self._place, self._let_pass, self._lost = place, let, lost
            self._turn += 1
            self._moved.notify_all()

    def place_for(self, path: str, body: Mapping[str, Any]) -> Place:
        if not path.endswith("/clearTaskInstances") or body.get("dry_run", True):
            return ""
        with self._moved:
            if self._place and self._let_pass > 0:
                self._let_pass -= 1
                return ""
            return self._place

    def wait(self, sender: socket.socket, body: dict[str, Any]) -> bool:
        """Until the gate is set anew; whether it goes on then."""
        with self._moved:
            turn, one = self._turn, (sender, body)
            self._held.append(one)
            moved = self._moved.wait_for(lambda: self._turn != turn, LONGEST)
            self._held.remove(one)
            return moved and not self._lost


class _Door(BaseHTTPRequestHandler):
    gate: Gate
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(content) if content and "json" in self.headers.get("Content-Type", "") else {}
        place = self.gate.place_for(self.path, body)
        self.close_connection = bool(place)
        if place == "before" and not self.gate.wait(self.connection, body):
            return
        status, headers, answer = self._asked(content)
        if place == "after" and not self.gate.wait(self.connection, body):
            return
        try:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        except OSError:  # nobody waits for it any more
            self.close_connection = True

    do_GET = do_POST = do_PATCH = _pass_on  # noqa: N815 - http.server's names

    def _asked(self, content: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        kept = {name: value for name, value in self.headers.items() if name.lower() not in OF_ONE_CONNECTION}
        connection = HTTPConnection(self.gate.airflow, timeout=LONGEST)
        try:
            connection.request(self.command, self.path, content or None, kept)
            answer = connection.getresponse()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in OF_ONE_CONNECTION]
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def log_message(self, *args: object) -> None:
        """Silence."""


def _hung_up(sender: socket.socket) -> bool:
    """Whether the other end is closed; it sends nothing while it waits for its answer."""
    readable, _, _ = select.select([sender], [], [], 0)
    try:
        return bool(readable) and sender.recv(1, socket.MSG_PEEK) == b""
    except ConnectionResetError:
        return True
