"""What makes the mirror read Airflow. Requests only wake the worker; ``sync_…`` does the work, one worker a row."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Least
from django.utils import timezone

from panel.airflow import NotFound
from panel.domain import states
from panel.mirror.claims import ClaimLost, bring_forward, claim, take_due
from panel.mirror.models import Dag, DagRun, MappedTask
from panel.mirror.read_requests import REQUESTED
from panel.mirror.selectors import findable
from panel.mirror.sync.dags import fetch_dag
from panel.mirror.sync.mapped_tasks import sync_claimed
from panel.mirror.sync.passes import pass_dag, pass_run, pass_server
from panel.mirror.sync.runs import store_runs
from panel.servers.client import open_client
from panel.servers.models import Server
from panel.wake import wake

REQUEST_SECONDS: Final = 30.0
"""A request that nobody answered for so long may be made again; until then further viewers join it."""
REST_SECONDS_AN_INSTANCE: Final = 0.006
"""Of a map that ended: one that was changed since is read in full, 0.3 ms an instance, and rests twenty times as long.
Who clears it starts its run again, and that is noticed at once; a retry that clears it bit by bit is not slowed."""
LATE: Final = 2
"""Data so many times as old as it should be shows that nobody was looking."""
DAG_FRESH: Final = timedelta(seconds=15)
AT_ONCE: Final = 12


def request_refresh(*, mapped_task: MappedTask) -> bool:
    """Somebody looks at this mapped task, which was read from the database just now: have Airflow asked again soon.

    While it may change, it is due a few seconds after each read, and the sweep sees to that: at the same rhythm for one
    who looks as for hundreds. What nobody looked at for a while is read at once. Whether the worker was woken.
    """
    if mapped_task.run.dag.server.unreachable_since is not None:
        return False  # the health check finds out when it is back
    now, fresh = timezone.now(), timedelta(seconds=settings.MIRROR_FRESH_SECONDS)
    unanswered_since = now - timedelta(seconds=REQUEST_SECONDS)
    synced_at, requested_at = mapped_task.synced_at, mapped_task.refresh_requested_at
    may_change = mapped_task.run.state not in states.FINISHED_RUN or not mapped_task.complete
    rest = LATE * fresh if may_change else max(fresh, timedelta(seconds=mapped_task.total * REST_SECONDS_AN_INSTANCE))
    late = synced_at is None or synced_at < now - rest
    is_asked_for = requested_at is not None and requested_at >= max(synced_at or unanswered_since, unanswered_since)
    if is_asked_for or not (may_change or late):
        return False  # nothing is written for a look
    answered = (
        Q(refresh_requested_at=None)
        | Q(refresh_requested_at__lte=F("synced_at"))
        | Q(refresh_requested_at__lt=unanswered_since)
    )
    # Should the wake-up get lost, the sweep finds it.
    due_at = now + timedelta(seconds=REQUEST_SECONDS) if late or synced_at is None else synced_at + fresh
    asked = MappedTask.objects.filter(answered, pk=mapped_task.pk, synced_at=synced_at).update(
        refresh_requested_at=now, due_at=Least(Coalesce(F("due_at"), due_at), due_at)
    )
    if asked and late:
        wake("mirror.sync_mapped_task", str(mapped_task.pk), 0)
    return bool(asked and late)


def request_dag_refresh(*, dag: Dag) -> bool:
    """Somebody looks at this Dag, which was read from the database just now: have it and its runs read."""
    if dag.server.unreachable_since is not None or not _read_at_once(dag, DAG_FRESH):
        return False
    wake("mirror.sync_dag", dag.pk)
    return True


def request_run_refresh(*, dag: Dag, run_id: str) -> bool:
    """Somebody looks at this run (or has just started it): have it and its mapped tasks read.

    A run the mirror does not have is left to ``find_or_fetch_run``.
    """
    run = DagRun.objects.filter(dag=dag, run_id=run_id).first()
    if run is None or dag.server.unreachable_since is not None:
        return False
    now, fresh = timezone.now(), timedelta(seconds=settings.MIRROR_FRESH_SECONDS)
    if run.opened_at is None or run.opened_at < now - fresh:
        DagRun.objects.filter(pk=run.pk).update(opened_at=now)
    woken = _read_at_once(run, fresh)
    if woken:
        wake("mirror.sync_run", run.pk)
    for mapped_task in run.mapped_tasks.select_related("run__dag__server"):
        woken = request_refresh(mapped_task=mapped_task) or woken
    return woken


def _read_at_once(row: Dag | DagRun, fresh: timedelta) -> bool:
    """Whether this row, at which somebody looks, is to be read at once; else the sweep reads it when it is ``fresh`` no
    longer, at the same rhythm for one who looks as for hundreds."""
    now = timezone.now()
    late = row.synced_at is None or row.synced_at < now - LATE * fresh
    moment = now if late or row.synced_at is None else row.synced_at + fresh
    if row.due_at is not None and row.due_at <= moment:
        return False  # nothing is written for a look
    return bool(bring_forward(type(row)._default_manager.filter(pk=row.pk), moment)) and late


def note_secret_params(*, server: Server, dag_id: str, names: list[str]) -> None:
    """These params of the Dag hold secrets: what its runs were given for them is shown nowhere."""
    Dag.objects.filter(server=server, dag_id=dag_id).exclude(secret_params=names).update(secret_params=names)


def find_or_fetch_run(*, server: Server, dag_id: str, run_id: str) -> DagRun:
    """The run, asked of Airflow where the mirror does not have it (an old one, or one just started).

    Raises DagRun.DoesNotExist when Airflow does not know it either, AirflowError.
    """
    dag_id, run_id = findable(dag_id), findable(run_id)
    known = DagRun.objects.select_related("dag__server").filter(dag__server=server, dag__dag_id=dag_id, run_id=run_id)
    run = known.first()
    if run is not None:
        return run
    try:
        with open_client(server) as airflow:
            row = airflow.runs.find(dag_id, run_id)
            dag = Dag.objects.select_related("server").filter(server=server, dag_id=dag_id).first()
            if dag is None or dag.structure_synced_at is None:
                dag = fetch_dag(airflow, server, dag_id)
    except NotFound as error:
        raise DagRun.DoesNotExist(str(error)) from error
    store_runs(dag, [row])
    known.update(opened_at=timezone.now())
    run = known.get()
    for mapped_task_id in run.mapped_tasks.values_list("pk", flat=True):
        wake("mirror.sync_mapped_task", str(mapped_task_id), 0)
    return run


def sync_mapped_task(*, mapped_task_id: UUID | str, full: bool = False) -> bool:
    """Read one mapped task now: its run's state, what changed (everything when ``full``), results, errors.

    One worker at a time: ``False`` while another one is at it, and when Airflow did not answer as it should (then
    ``last_error`` says why and what was known stays). Never raises AirflowError.
    """
    mapped_task = MappedTask.objects.filter(pk=mapped_task_id).first()
    held = claim(mapped_task) if mapped_task is not None else None
    if held is None:
        return False
    held.row = MappedTask.objects.select_related("run__dag__server").get(pk=held.row.pk)
    try:
        done = sync_claimed(held, full=full)
    except ClaimLost:
        return False
    if done and held.row.pk is not None and _is_due(held.row):
        wake("mirror.sync_mapped_task", str(mapped_task_id), 0)  # the budget of this pass is spent
    return done


def _is_due(mapped_task: MappedTask) -> bool:
    """Whether the next pass follows at once: there is more to read, or somebody asked for it during this one."""
    asked = bring_forward(MappedTask.objects.filter(REQUESTED, pk=mapped_task.pk), timezone.now())
    return bool(asked) or (mapped_task.due_at is not None and mapped_task.due_at <= timezone.now())


def sync_server(*, server_id: int) -> None:
    """Read a server's Dags (now and then) and the runs that changed; new Dags and active runs are read at once."""
    server = Server.objects.filter(pk=server_id).first()
    new = pass_server(server) if server is not None else None
    if new is None:
        return
    for dag in new:
        wake("mirror.sync_dag", dag.pk)
    active = MappedTask.objects.filter(run__dag__server=server).exclude(run__state__in=states.FINISHED_RUN)
    for mapped_task in take_due(active, AT_ONCE):
        wake("mirror.sync_mapped_task", str(mapped_task.pk), 0)


def sync_dag(*, dag_pk: int) -> bool:
    """Read one Dag's structure and runs now; ``False`` as with ``sync_mapped_task``."""
    dag = Dag.objects.select_related("server").filter(pk=dag_pk).first()
    return dag is not None and pass_dag(dag)


def sync_run(*, run_pk: int) -> bool:
    """Read one run's state now and wake what it makes due; ``False`` as with ``sync_mapped_task``."""
    run = DagRun.objects.select_related("dag__server").filter(pk=run_pk).first()
    if run is None or not pass_run(run):
        return False
    with suppress(DagRun.DoesNotExist):
        run.refresh_from_db()
    due = run.mapped_tasks.filter(due_at__lte=timezone.now())
    for mapped_task_id in due.values_list("pk", flat=True):
        wake("mirror.sync_mapped_task", str(mapped_task_id), 0)
    return True
