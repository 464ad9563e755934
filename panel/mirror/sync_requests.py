"""Asking for one mapped task to be brought up to date, and waiting for the worker's answer in the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from django.db import IntegrityError
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import AirflowError, TimedOut
from panel.mirror.claims import unclaimed
from panel.mirror.models import DagRun, MappedTask, SyncRequest
from panel.mirror.services import find_or_fetch_run, sync_dag, sync_mapped_task
from panel.mirror.sync.runs import plan_mapped_task
from panel.servers.client import open_client
from panel.servers.models import Server
from panel.wake import wake

MOST_WAITERS: Final = 4
"""Requests of one web process that may wait at a time; further ones are answered at once and ask again."""
WAIT_SECONDS: Final = 55.0
WORK_SECONDS: Final = 600.0
CLAIM: Final = timedelta(seconds=120)
"""Renewed between passes: a worker that died keeps nobody waiting for long."""
OVERDUE: Final = timedelta(seconds=10)
POLL_SECONDS: Final = 0.25

_waiters = threading.BoundedSemaphore(MOST_WAITERS)


def request_sync(*, server: Server, dag_id: str, run_id: str, task_id: str) -> SyncRequest:
    """Ask the worker to bring this mapped task up to date; who asks while it is under way joins."""
    key = {"server": server, "dag_id": dag_id, "run_id": run_id, "task_id": task_id}
    now = timezone.now()
    values = {"state": SyncRequest.State.PENDING, "message": "", "error_code": "", "requested_at": now}
    try:
        request, created = SyncRequest.objects.get_or_create(**key, defaults={"requested_at": now})
    except IntegrityError:  # somebody else asked for the same at the same moment
        request, created = SyncRequest.objects.get(**key), False
    settled = SyncRequest.objects.filter(pk=request.pk).exclude(state=SyncRequest.State.PENDING)
    again = settled.update(answered_at=None, claimed_until=None, **values)
    if created or again:
        wake("mirror.answer_sync_request", request.pk)
    request.refresh_from_db()
    return request


def wait_for_answer(*, request: SyncRequest) -> SyncRequest:
    """The request once it is answered, or as it stands after WAIT_SECONDS, or at once where too many wait."""
    with _waiting() as may_wait:
        ends_at = time.monotonic() + (WAIT_SECONDS if may_wait else 0)
        while request.state == SyncRequest.State.PENDING and time.monotonic() < ends_at:
            time.sleep(POLL_SECONDS)
            request.refresh_from_db()
    return request


def answer_sync_request(*, request_id: int) -> None:
    """The worker's part: do what was asked, and leave what came of it in the row. Never raises AirflowError."""
    mine = SyncRequest.objects.filter(pk=request_id, state=SyncRequest.State.PENDING)
    if not mine.filter(unclaimed()).update(claimed_until=timezone.now() + CLAIM):
        return
    request = mine.select_related("server").get()
    try:
        _bring_up_to_date(request)
    except (DagRun.DoesNotExist, MappedTask.DoesNotExist) as error:
        _answer(request, SyncRequest.State.NOT_FOUND, str(error))
    except AirflowError as error:
        _answer(request, SyncRequest.State.FAILED, str(error), error.code)


def wake_overdue() -> int:
    """Wake the worker again for requests that nobody has taken up; how many."""
    pending = SyncRequest.objects.filter(state=SyncRequest.State.PENDING)
    overdue = pending.filter(unclaimed() & Q(requested_at__lt=timezone.now() - OVERDUE))
    ids = list(overdue.values_list("pk", flat=True)[:50])
    for request_id in ids:
        wake("mirror.answer_sync_request", request_id)
    return len(ids)


def _bring_up_to_date(request: SyncRequest) -> None:
    mapped_task = _find_mapped_task(request)
    ends_at = time.monotonic() + WORK_SECONDS
    full = True
    while time.monotonic() < ends_at:
        SyncRequest.objects.filter(pk=request.pk).update(claimed_until=timezone.now() + CLAIM)
        done = sync_mapped_task(mapped_task_id=mapped_task.pk, full=full)
        mapped_task.refresh_from_db()  # gone when the run turns out not to have the task
        if mapped_task.run.deleted_at is not None:
            raise DagRun.DoesNotExist(_("Airflow does not have this run."))
        read_since = mapped_task.full_synced_at is not None and mapped_task.full_synced_at >= request.requested_at
        if read_since and mapped_task.complete:
            _answer(request, SyncRequest.State.DONE)
            return
        if not done and mapped_task.last_error:
            _answer(request, SyncRequest.State.FAILED, mapped_task.last_error, mapped_task.last_error_code)
            return
        full = not read_since
        if not done:
            time.sleep(POLL_SECONDS)  # another worker is at it
    _answer(request, SyncRequest.State.FAILED, _("Reading it all takes too long; it goes on by itself."), TimedOut.code)


def _find_mapped_task(request: SyncRequest) -> MappedTask:
    """Raises DagRun.DoesNotExist, MappedTask.DoesNotExist, AirflowError."""
    run = find_or_fetch_run(server=request.server, dag_id=request.dag_id, run_id=request.run_id)
    mapped_tasks = MappedTask.objects.select_related("run__dag__server").filter(run=run, task_id=request.task_id)
    if not mapped_tasks.exists():  # known to a version of the Dag that the mirror has not read
        with open_client(request.server) as airflow:
            rows = airflow.instances.bulk(request.dag_id, request.run_id, [request.task_id])
        if any(row.map_index >= 0 and row.task_id == request.task_id for row in rows):
            plan_mapped_task(run, request.task_id)
        else:
            sync_dag(dag_pk=run.dag_id)
    mapped_task = mapped_tasks.first()
    if mapped_task is None:
        raise MappedTask.DoesNotExist(_("This run has no mapped task of that name."))
    return mapped_task


@contextmanager
def _waiting() -> Iterator[bool]:
    """Whether this request may wait: waits must not fill the web server."""
    taken = _waiters.acquire(blocking=False)
    try:
        yield taken
    finally:
        if taken:
            _waiters.release()


def _answer(request: SyncRequest, state: SyncRequest.State, message: str = "", error_code: str = "") -> None:
    SyncRequest.objects.filter(pk=request.pk).update(
        state=state,
        message=message,
        error_code=error_code,
        answered_at=timezone.now(),
        claimed_until=None,
    )
