"""Writing the audit trail."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User

from panel.access.models import AuditEvent


def record_event(
    *,
    user: AbstractBaseUser | AnonymousUser | None,
    action: str,
    target_kind: str,
    target_id: str,
    server_slug: str = "",
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """Add one row, in the caller's transaction, so that a change and its trace stand or fall together.

    ``action`` is ``room.verb`` (``retries.request``); ``user`` is ``None`` for the command line. ``detail`` must
    hold no secret.
    """
    known = user if isinstance(user, User) else None
    return AuditEvent.objects.create(
        user=known,
        username=known.get_username() if known else "(command line)",
        action=action,
        server_slug=server_slug,
        target_kind=target_kind,
        target_id=target_id,
        detail=detail or {},
    )
