"""The panel inside a benchmark's process: its server, a run's mapped task, a signed-in browser. Import after set_up."""

from __future__ import annotations

import io
import sys

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client

from benchmarks.part import Order
from benchmarks.seeding import DAG, TASK
from config.wsgi import application
from panel.mirror.models import DagRun, MappedTask
from panel.mirror.services import find_or_fetch_run, sync_mapped_task
from panel.servers.models import Server
from panel.servers.services import ServerDetails, add_server


def bench_server(order: Order) -> Server:
    if known := Server.objects.filter(slug="bench").first():
        return known
    details = ServerDetails(
        name="bench",
        base_url=order.base_url,
        authentication=Server.Authentication.PASSWORD,
        username=order.username,
        secret=order.password,
    )
    return add_server(user=None, slug="bench", details=details)


def empty_task(order: Order, count: int) -> MappedTask:
    """The mapped task as the mirror has it before its first read."""
    server = bench_server(order)
    DagRun.objects.filter(dag__server=server, run_id=order.runs[count]).delete()
    run = find_or_fetch_run(server=server, dag_id=DAG, run_id=order.runs[count])
    return MappedTask.objects.select_related("run__dag__server").get(run=run, task_id=TASK)


def mirrored_task(order: Order, count: int) -> MappedTask:
    """The mapped task with everything read: states, results, errors."""
    task = empty_task(order, count)
    while not MappedTask.objects.get(pk=task.pk).complete:
        if not sync_mapped_task(mapped_task_id=task.pk):
            task.refresh_from_db()
            raise SystemExit(f"The mirror could not read the run: {task.last_error}")
    return MappedTask.objects.select_related("run__dag__server").get(pk=task.pk)


class Browser:
    """Somebody who is signed in and asks the WSGI application itself: what a request takes is what the server takes."""

    def __init__(self, session_key: str) -> None:
        self._environ = {
            "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "SERVER_NAME": "localhost", "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost",
            "HTTP_ACCEPT": "application/json", "HTTP_COOKIE": f"{settings.SESSION_COOKIE_NAME}={session_key}",
            "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.errors": sys.stderr, "wsgi.multithread": True,
            "wsgi.multiprocess": False, "wsgi.run_once": False,
        }  # fmt: skip

    def get(self, address: str) -> bytes:
        """The body of the answer. Ends the program when it is not 200."""
        path, _, query = address.removeprefix("http://localhost").partition("?")
        said: list[str] = []
        answer = application(
            self._environ | {"PATH_INFO": path, "QUERY_STRING": query, "wsgi.input": io.BytesIO()},
            lambda status, _headers, _error=None: said.append(status),
        )
        body = b"".join(answer)
        answer.close()
        if not said[0].startswith("200 "):
            raise SystemExit(f"{address}: {said[0]} {body[:500]!r}")
        return body


def signed_in() -> Browser:
    user, _created = User.objects.get_or_create(username="bench")
    user.groups.set(Group.objects.filter(name="viewer"))
    client = Client()
    client.force_login(user)
    return Browser(client.cookies[settings.SESSION_COOKIE_NAME].value)
