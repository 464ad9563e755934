"""The mirror's tasks: ids in, one call."""

from __future__ import annotations

from celery import shared_task

from panel.mirror import outcome_rules_changing, services, sweeps, sync_requests


@shared_task(name="mirror.sweep")
def sweep() -> None:
    sweeps.sweep()


@shared_task(name="mirror.sync_server")
def sync_server(server_id: int) -> None:
    services.sync_server(server_id=server_id)


@shared_task(name="mirror.sync_dag")
def sync_dag(dag_pk: int) -> None:
    services.sync_dag(dag_pk=dag_pk)


@shared_task(name="mirror.sync_run")
def sync_run(run_pk: int) -> None:
    services.sync_run(run_pk=run_pk)


@shared_task(name="mirror.sync_mapped_task")
def sync_mapped_task(mapped_task_id: str, full: int = 0) -> None:
    services.sync_mapped_task(mapped_task_id=mapped_task_id, full=bool(full))


@shared_task(name="mirror.answer_sync_request")
def answer_sync_request(request_id: int) -> None:
    sync_requests.answer_sync_request(request_id=request_id)


@shared_task(name="mirror.rederive_outcomes")
def rederive_outcomes(server_id: int) -> None:
    outcome_rules_changing.rederive_outcomes(server_id=server_id)
