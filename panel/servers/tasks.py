"""Tasks: health checks."""

from __future__ import annotations

from celery import shared_task

from panel.servers import selectors, services


@shared_task(name="servers.check_health")
def check_health() -> None:
    """The sweep: one task for each server that is due, so that a slow one keeps no other waiting."""
    services.request_due_checks()


@shared_task(name="servers.check_server")
def check_server(server_id: int) -> None:
    if services.claim_check(server_id=server_id):
        services.check_server(server=selectors.server_by_id(server_id))
