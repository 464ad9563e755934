"""One pass over one server: its Dags now and then, the runs that changed every time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from panel.airflow import Airflow, DagRun
from panel.mirror.claims import Claim, bring_forward
from panel.mirror.models import Dag, ServerMirror
from panel.mirror.sync.clocks import MARGIN, safe_time
from panel.mirror.sync.dags import ACTIVE_LIMIT, read_import_errors, store_dags
from panel.mirror.sync.runs import store_runs, worth_keeping
from panel.servers.models import Server

SERVER_EVERY: Final = timedelta(seconds=5)
DAGS_EVERY: Final = timedelta(seconds=60)
CHANGED_LIMIT: Final = 2_000


def read_server(airflow: Airflow, claim: Claim[ServerMirror]) -> list[Dag]:
    """Bring the list of Dags and the runs of all Dags up to date. Answers the new Dags.

    Raises AirflowError, ClaimLost.
    """
    mirror = claim.row
    server, started_at = mirror.server, timezone.now()
    new: list[Dag] = []
    if server.dags_synced_at is None or server.dags_synced_at <= started_at - DAGS_EVERY:
        new = store_dags(airflow, server)
        mirror.import_errors = read_import_errors(airflow)
        ServerMirror.objects.filter(pk=mirror.pk).update(import_errors=mirror.import_errors)
        Server.objects.filter(pk=server.pk).update(dags_synced_at=started_at)
        claim.renew()
    rows = _changed_runs(airflow, mirror.runs_watermark)
    _store(server, rows)
    mirror.runs_watermark = safe_time(airflow, started_at)
    ServerMirror.objects.filter(pk=mirror.pk).update(runs_watermark=mirror.runs_watermark)
    if len(rows) >= CHANGED_LIMIT:  # more changed than was told: every Dag looks for itself
        bring_forward(Dag.objects.filter(server=server, deleted_at=None).exclude(mapped_task_ids=[]), started_at)
    return new


def _changed_runs(airflow: Airflow, watermark: datetime | None) -> list[DagRun]:
    if watermark is None:
        return airflow.runs.list("~", states=("running", "queued"), limit=ACTIVE_LIMIT)
    return airflow.runs.list("~", updated_after=watermark - MARGIN, limit=CHANGED_LIMIT)


def _store(server: Server, rows: list[DagRun]) -> None:
    """Only Dags that are known to have mapped tasks get their runs mirrored. A run queued since the Dag was read makes
    it due: it may be the first of a new version."""
    by_dag: dict[str, list[DagRun]] = {}
    for row in rows:
        if worth_keeping(row):
            by_dag.setdefault(row.dag_id, []).append(row)
    for dag in Dag.objects.filter(server=server, dag_id__in=list(by_dag)).select_related("server"):
        if dag.mapped_task_ids:
            store_runs(dag, by_dag[dag.dag_id])
        read_at = dag.synced_at
        if read_at is not None and any(row.queued_at and row.queued_at > read_at for row in by_dag[dag.dag_id]):
            bring_forward(Dag.objects.filter(pk=dag.pk), timezone.now())
