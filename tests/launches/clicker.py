"""A process of its own that launches, as one of several web processes and workers does at the same moment.

``python -m tests.launches.clicker prepare BASE_URL``: the server and the user.
``python -m tests.launches.clicker click KEY``: says "ready", waits for a line, then requests and submits a launch with
that key, and prints its id; ``backfill KEY`` does the same with a backfill of three days. The database is the one that
``DATABASE_URL`` names.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import django

django.setup()

from django.contrib.auth.models import Group, User  # noqa: E402 - after django.setup()

from panel.launches.backfill_orders import Asked  # noqa: E402 - as above
from panel.launches.backfill_submission import submit_backfill  # noqa: E402 - as above
from panel.launches.backfills import request_backfill  # noqa: E402 - as above
from panel.launches.services import request_launch  # noqa: E402 - as above
from panel.launches.submission import submit_launch  # noqa: E402 - as above
from panel.servers.encryption import encrypt  # noqa: E402 - as above
from panel.servers.models import Server  # noqa: E402 - as above
from tests.fakes.airflow.auth import password_of  # noqa: E402 - as above


def prepare(base_url: str) -> None:
    User.objects.create_user("dora").groups.add(Group.objects.get(name="deployer"))
    Server.objects.create(
        slug="prod",
        name="Production",
        base_url=base_url,
        username="admin",
        secret_encrypted=encrypt(password_of("admin")),
    )


def click(key: str) -> None:
    user, server = User.objects.get(username="dora"), Server.objects.get(slug="prod")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    requested = request_launch(user=user, server=server, dag_id="deploy", params={"n": 1}, idempotency_key=key)
    submit_launch(launch_id=requested.launch.pk)
    sys.stdout.write(f"{requested.launch.pk}\n")


def backfill(key: str) -> None:
    user, server = User.objects.get(username="dora"), Server.objects.get(slug="prod")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    days = {"from_date": datetime(2026, 11, 1, tzinfo=UTC), "to_date": datetime(2026, 11, 3, tzinfo=UTC)}
    asked = Asked(**days, max_active_runs=1, params={"n": 1})
    requested = request_backfill(user=user, server=server, dag_id="deploy", asked=asked, idempotency_key=key)
    submit_backfill(backfill_id=requested.backfill.pk)
    sys.stdout.write(f"{requested.backfill.pk}\n")


if __name__ == "__main__":
    {"prepare": prepare, "click": click, "backfill": backfill}[sys.argv[1]](*sys.argv[2:])
