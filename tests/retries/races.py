"""Six processes that do the same thing at the same moment, each with a connection of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection

STAGE = """
import json, os, sys
import django
django.setup()
from django.core.management import call_command
from django.db import connections
if sys.argv[1] == "migrate":
    call_command("migrate", verbosity=0)
from django.contrib.auth.models import Group, User
from panel.mirror.models import MappedTask
from panel.problems import Problem
from panel.retries.models import RetryJob
from panel.retries.policies import Policy
from panel.retries.services import request_retry
from panel.servers.encryption import encrypt
from panel.servers.models import Server
from tests.fakes.airflow import FakeAirflow
from tests.retries.conftest import Etl, Jobs
import panel.servers.client as client
import panel.wake
fake = FakeAirflow()
client.transport_for = lambda server: fake.transport()
panel.wake._send = lambda name, args: None
server = Server.objects.create(slug="race", name="Race", base_url=fake.base_url, username="op",
                               secret_encrypted=encrypt(fake.password("op")))
people = [User.objects.create_user(f"race-{n}") for n in range(2)]
for person in people:
    person.groups.set(Group.objects.filter(name="operator"))
etl = Etl(fake, server)
task = etl.stage(40, failed=range(40))
"""

RACE = """
gate, opened = os.pipe()
told, tell = os.pipe()
connections.close_all()
children = []
for n in range(6):
    if (child := os.fork()) == 0:
        os.close(opened)
        os.read(gate, 1)  # all of them at once
        code = "crashed"
        try:
            press(n)
            code = ""
        except Problem as problem:
            code = problem.code
        finally:
            connections.close_all()
            os.write(tell, f"{code}\\n".encode())
            os._exit(0)
    children.append(child)
os.close(opened)
for child in children:
    os.waitpid(child, 0)
os.close(tell)
with open(told) as lines:
    codes = lines.read().split("\\n")
jobs = RetryJob.objects.filter(server=server)
print(json.dumps({
    "jobs": sorted(job.username for job in jobs),
    "indices": sorted(index for job in jobs for index in job.items.values_list("map_index", flat=True)),
    "refused": sorted(code for code in codes if code),
}))
"""


def six_at_once(press: str, folder: Path, **variables: str) -> dict[str, Any]:
    """``press`` is source that defines ``press(n)`` for the n-th process. What became of it: ``jobs`` (by whom), their
    ``indices``, and ``refused`` (the codes).

    A database of its own where the test's is in memory; on PostgreSQL the test's own.
    """
    if connection.vendor == "sqlite":
        url, first = f"sqlite:///{folder / 'race.sqlite3'}", "migrate"
    else:
        url, first = _url_of(connection.settings_dict), "there"
    known = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", STAGE + press + RACE, first],
        cwd=settings.BASE_DIR,
        env={**known, "MAPBOARD_VAR_DIR": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _url_of(database: dict[str, Any]) -> str:
    login = f"{quote(database['USER'])}:{quote(database['PASSWORD'])}@" if database["USER"] else ""
    port = f":{database['PORT']}" if database["PORT"] else ""
    host = database["HOST"]
    if host.startswith("/"):
        return f"postgres://{login}/{database['NAME']}?host={quote(host, safe='')}"
    return f"postgres://{login}{host}{port}/{database['NAME']}"
