"""The sweep: finds in the database what is due and wakes the worker for it. Cheap, and safe to run at any time."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db.models import Q
from django.utils import timezone

from panel.domain import states
from panel.mirror.claims import take_due
from panel.mirror.models import Dag, DagRun, MappedTask, ServerMirror, SyncRequest
from panel.mirror.outcome_rules_changing import wake_where_stale
from panel.mirror.sync_requests import wake_overdue
from panel.servers.models import Server
from panel.wake import wake

MOST_AT_ONCE: Final = 12
"""At most so many of a kind, server and sweep, so that neither Airflow nor the queue is flooded."""
REQUESTS_KEPT: Final = timedelta(days=1)


def sweep() -> int:
    """Wake what is due; how much that was. Of a server that cannot be reached only the server itself."""
    for server in Server.objects.filter(mirror=None):
        ServerMirror.objects.get_or_create(server=server, defaults={"due_at": timezone.now()})
    woken = wake_overdue() + sum(wake_where_stale(server=server) for server in Server.objects.all())
    for mirror in take_due(ServerMirror.objects.all(), 100):
        wake("mirror.sync_server", mirror.server_id)
        woken += 1
    for server in Server.objects.filter(unreachable_since=None):
        woken += _sweep_server(server)
    SyncRequest.objects.filter(requested_at__lt=timezone.now() - REQUESTS_KEPT).delete()
    return woken


def _sweep_server(server: Server) -> int:
    finished = Q(run__state__in=states.FINISHED_RUN)
    tasks = MappedTask.objects.filter(run__dag__server=server)
    chosen_tasks = take_due(tasks.exclude(finished), MOST_AT_ONCE) + take_due(tasks.filter(finished), MOST_AT_ONCE)
    chosen_dags = take_due(Dag.objects.filter(server=server), MOST_AT_ONCE)
    chosen_runs = take_due(DagRun.objects.filter(dag__server=server), MOST_AT_ONCE)
    for mapped_task in chosen_tasks:
        wake("mirror.sync_mapped_task", str(mapped_task.pk), 0)
    for dag in chosen_dags:
        wake("mirror.sync_dag", dag.pk)
    for run in chosen_runs:
        wake("mirror.sync_run", run.pk)
    return len(chosen_tasks) + len(chosen_dags) + len(chosen_runs)
