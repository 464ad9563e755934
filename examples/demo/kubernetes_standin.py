"""A stand-in for the Kubernetes API, on loopback, for the example *multi_region_deploy*. It says so in every answer.

/clusters/{region}/apis/apps/v1/namespaces/{namespace}/deployments[/{name}]     GET, POST, PUT, DELETE; ?dryRun=All
/stand-in/failures/{region}    PUT {"rollouts": 2} or {"rollouts": null} (until DELETE): rollouts of that region fail
/stand-in                      GET: what this is, which regions fail
"""

import argparse
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from examples.demo.clusters import STAND_IN, Clusters, Refused
from examples.demo.ports import LOOPBACK

MAX_BODY_BYTES = 1024 * 1024
DEPLOYMENTS = re.compile(r"/clusters/([^/]+)/apis/apps/v1/namespaces/([^/]+)/deployments(?:/([^/]+))?")
FAILURES = re.compile(r"/stand-in/failures/([^/]+)")


class KubernetesStandin:
    """The server in a thread: `with KubernetesStandin() as standin`. `cluster_url` has `{region}` to fill in."""

    def __init__(self, *, port: int = 0, clusters: Clusters | None = None) -> None:
        self.clusters = clusters or Clusters()
        self._server = _Server((LOOPBACK, port), _Handler)
        self._server.clusters = self.clusters
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_port}"

    @property
    def cluster_url(self) -> str:
        return self.base_url + "/clusters/{region}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():  # shutdown() would wait for a loop that never began
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    clusters: Clusters
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def version_string(self) -> str:
        return "mapboard-kubernetes-stand-in"

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (the base class's name)
        """Quiet: the Dag's own log says what it asked for."""

    def _answer(self, method: str) -> None:
        try:
            code, body = self._route(method)
        except Refused as refused:
            code, body = refused.code, refused.as_status()
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Stand-In", STAND_IN)
        self.end_headers()
        self.wfile.write(content)

    def _route(self, method: str) -> tuple[int, Any]:
        address = urlsplit(self.path)
        body = self._body() if method in {"POST", "PUT"} else None
        if method == "GET" and address.path in {"/", "/stand-in"}:
            return 200, {"stand_in": STAND_IN, "failing_regions": self.server.clusters.failing_regions()}
        if match := FAILURES.fullmatch(address.path):
            return self._failures(method, unquote(match[1]), body)
        if match := DEPLOYMENTS.fullmatch(address.path):
            region, namespace, name = (unquote(part) if part else "" for part in match.groups())
            dry_run = parse_qs(address.query).get("dryRun") == ["All"]
            return self._deployments(method, (region, namespace, name), body, dry_run)
        raise Refused(404, "NotFound", f"nothing answers at {address.path}")

    def _failures(self, method: str, region: str, body: Any) -> tuple[int, Any]:
        if method == "PUT":
            rollouts = body.get("rollouts", False)
            if rollouts is not None and (isinstance(rollouts, bool) or not isinstance(rollouts, int) or rollouts < 1):
                raise Refused(422, "Invalid", "rollouts: a whole number of 1 or more, or null for 'until switched off'")
            self.server.clusters.fail_region(region, rollouts)
        elif method == "DELETE":
            self.server.clusters.heal_region(region)
        elif method != "GET":
            raise Refused(405, "MethodNotAllowed", "GET, PUT or DELETE")
        return 200, {"stand_in": STAND_IN, "failing_regions": self.server.clusters.failing_regions()}

    def _deployments(self, method: str, place: tuple[str, str, str], body: Any, dry_run: bool) -> tuple[int, Any]:
        region, namespace, name = place
        clusters = self.server.clusters
        if method == "GET" and name:
            return 200, clusters.read(region, namespace, name)
        if method == "GET":
            return 200, {
                "kind": "DeploymentList",
                "apiVersion": "apps/v1",
                "metadata": {},
                "items": clusters.list(region, namespace),
            }
        if method == "POST" and not name:
            return 201, clusters.create(region, namespace, body, dry_run=dry_run)
        if method == "PUT" and name:
            return 200, clusters.replace(region, namespace, name, body, dry_run=dry_run)
        if method == "DELETE" and name:
            clusters.delete(region, namespace, name)
            return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        raise Refused(405, "MethodNotAllowed", f"{method} is not possible here")

    def _body(self) -> Any:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise Refused(413, "RequestEntityTooLarge", f"a body of at most {MAX_BODY_BYTES} bytes is needed")
        try:
            body = json.loads(self.rfile.read(int(length)) or b"null")
        except ValueError:
            raise Refused(400, "BadRequest", "the body is not JSON") from None
        if not isinstance(body, dict):
            raise Refused(400, "BadRequest", "the body must be a JSON object")
        return body


def main() -> None:
    parser = argparse.ArgumentParser(description=STAND_IN)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    standin = KubernetesStandin(port=parser.parse_args().port)
    print(f"{STAND_IN} on {standin.base_url}", flush=True)
    standin.start()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        standin.stop()


if __name__ == "__main__":
    main()
