"""A proxy in front of Airflow that counts the requests: the load that the panel makes, seen from Airflow's side."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class CountingProxy:
    """Use as a context; ``base_url`` is for the panel, ``asked`` the requests so far by path."""

    def __init__(self, base_url: str) -> None:
        self.asked: Counter[str] = Counter()
        lock = threading.Lock()
        target = urlsplit(base_url).netloc
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with lock:
                    proxy.asked[urlsplit(self.path).path] += 1
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                upstream = http.client.HTTPConnection(target, timeout=120)
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                with suppress(BrokenPipeError, ConnectionResetError):  # the panel may be stopped while it asks
                    self.end_headers()
                    self.wfile.write(content)
                upstream.close()

            do_POST = do_GET  # noqa: N815 - the names that http.server calls

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def count(self) -> int:
        return self.asked.total()

    def __enter__(self) -> CountingProxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
