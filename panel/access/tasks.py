"""What the worker does for this room."""

from __future__ import annotations

from celery import shared_task

from panel.access.sessions import SessionStore


@shared_task(name="access.clear_sessions")
def clear_sessions() -> None:
    """Delete the sessions that are over. Any number of times at once."""
    SessionStore.clear_expired()
