"""``python -m tests.fakes.airflow --port N``: the fake as a process of its own, for tests that kill workers.

Prints ``ready http://127.0.0.1:N`` once it listens (``--port 0`` takes a free port). Ends when its standard input
closes with ``--until-eof``, so that it never outlives the test that started it.
"""

from __future__ import annotations

import argparse
import sys
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from tests.fakes.airflow.app import FakeAirflow


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def get_environ(self) -> dict[str, Any]:
        return super().get_environ() | {"fake.connection": self.connection}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def handle(self) -> None:
        """One request a connection, and no traceback when a fault has closed it."""
        try:
            self.raw_requestline = self.rfile.readline(65_537)
            if self.raw_requestline and self.parse_request():
                handler = Handler(self.rfile, self.wfile, self.get_stderr(), self.get_environ(), multithread=True)
                handler.request_handler = self  # type: ignore[attr-defined]  # as wsgiref itself does
                handler.run(self.server.get_app())  # type: ignore[attr-defined]  # a WSGIServer's
        except OSError:
            pass


class Handler(ServerHandler):
    http_version = "1.1"

    def finish_response(self) -> None:
        if self.status is None:  # a fault has closed the connection without an answer
            return
        super().finish_response()

    def send_preamble(self) -> None:
        super().send_preamble()
        self._write(b"Connection: close\r\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.airflow", description="A fake Airflow 3 for tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--version", default="3.3.2")
    parser.add_argument("--clamp", type=int, default=100)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input is closed")
    options = parser.parse_args()
    with Server(("127.0.0.1", options.port), Quiet) as server:
        server.set_app(FakeAirflow(options.version, clamp=options.clamp, prefix=options.prefix))
        sys.stdout.write(f"ready http://127.0.0.1:{server.server_port}{options.prefix}\n")
        sys.stdout.flush()
        if options.until_eof:
            threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
        server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
