"""Whether a server can be reached, as last seen by whoever called it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from panel.airflow import AirflowError
from panel.servers.models import Server

NOTED_EVERY: Final = timedelta(seconds=3)
"""A server that answers is noted this often at most: pages and syncs call it many times a second."""
LONGEST_ERROR: Final = 2_000


def note_reached(*, server: Server) -> None:
    """The server answered as it should just now."""
    now = timezone.now()
    stale = ~Q(healthy=True) | Q(last_success_at=None) | Q(last_success_at__lt=now - NOTED_EVERY)
    Server.objects.filter(stale, pk=server.pk).update(
        healthy=True, last_error="", last_success_at=now, unreachable_since=None
    )


def note_failed(*, server: Server, error: AirflowError) -> None:
    """The server could not be used just now; ``unreachable_since`` keeps the first time in a row."""
    now = timezone.now()
    Server.objects.filter(pk=server.pk).update(
        healthy=False,
        last_error=str(error)[:LONGEST_ERROR],
        last_error_at=now,
        unreachable_since=Coalesce(F("unreachable_since"), now),
    )
