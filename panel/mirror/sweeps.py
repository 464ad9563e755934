"""The sweep: finds in the database what is due and wakes the worker for it. Cheap, and safe to run at any time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from panel.domain import states
from panel.mirror.claims import due
from panel.mirror.models import Dag, DagRun, MappedTask, ServerMirror, SyncRequest
from panel.mirror.sync_requests import wake_overdue
from panel.servers.models import Server
from panel.wake import wake

WAKE_AGAIN: Final = timedelta(seconds=60)
"""What was woken is not woken again so soon: the message is in the broker's queue, or it got lost."""
ACTIVE_TASKS: Final = 12
OTHERS: Final = 6
"""At most so many a server and sweep, so that neither Airflow nor the queue is flooded."""
REQUESTS_KEPT: Final = timedelta(days=1)


def sweep() -> int:
    """Wake what is due; how much that was. Of a server that cannot be reached only the server itself."""
    for server in Server.objects.filter(mirror=None):
        ServerMirror.objects.get_or_create(server=server, defaults={"due_at": timezone.now()})
    woken = wake_overdue()
    for mirror in _taken(ServerMirror.objects.all(), 100):
        wake("mirror.sync_server", mirror.server_id)
        woken += 1
    for server in Server.objects.filter(unreachable_since=None):
        woken += _sweep_server(server)
    SyncRequest.objects.filter(requested_at__lt=timezone.now() - REQUESTS_KEPT).delete()
    return woken


def _sweep_server(server: Server) -> int:
    finished = Q(run__state__in=states.FINISHED_RUN)
    tasks = MappedTask.objects.filter(run__dag__server=server)
    chosen_tasks = _taken(tasks.exclude(finished), ACTIVE_TASKS) + _taken(tasks.filter(finished), OTHERS)
    chosen_dags = _taken(Dag.objects.filter(server=server), OTHERS)
    chosen_runs = _taken(DagRun.objects.filter(dag__server=server), OTHERS)
    for mapped_task in chosen_tasks:
        wake("mirror.sync_mapped_task", str(mapped_task.pk), 0)
    for dag in chosen_dags:
        wake("mirror.sync_dag", dag.pk)
    for run in chosen_runs:
        wake("mirror.sync_run", run.pk)
    return len(chosen_tasks) + len(chosen_dags) + len(chosen_runs)


def _taken(rows: QuerySet[Any], most: int) -> list[Any]:
    """The rows that are due longest, put off so that the next sweep does not wake them again.

    Two sweeps at once each take what the other has not: the update is conditional.
    """
    later = timezone.now() + WAKE_AGAIN
    waiting = rows.filter(due()).order_by(F("due_at").asc(), "pk")[:most]
    model = rows.model._default_manager
    return [row for row in waiting if model.filter(pk=row.pk, due_at=row.due_at).update(due_at=later)]
