"""Tasks: the heartbeat that /readyz looks for."""

from __future__ import annotations

from celery import shared_task

from panel.ui import health


@shared_task(name="ui.beat")
def beat() -> None:
    health.beat()
