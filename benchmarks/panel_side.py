"""The panel inside a benchmark's process: its server, a run's mapped task, a signed-in browser. Import after set_up."""

from __future__ import annotations

from django.contrib.auth.models import Group, User
from django.test import Client

from benchmarks.part import Order
from benchmarks.seeding import DAG, TASK
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


def signed_in() -> Client:
    import config.wsgi  # noqa: F401 - the process is then as one that serves

    user, _created = User.objects.get_or_create(username="bench")
    user.groups.set(Group.objects.filter(name="viewer"))
    browser = Client(headers={"host": "localhost"})
    browser.force_login(user)
    return browser
