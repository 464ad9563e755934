"""The trace of what people do with launches and backfills."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from panel.access.services import record_event
from panel.launches.models import Backfill, Launch


def record(user: AbstractBaseUser | None, action: str, subject: Launch | Backfill, **detail: Any) -> None:
    """In the caller's transaction. ``detail`` holds no values of params: some are secret."""
    record_event(
        user=user,
        action=action,
        target_kind="backfill" if isinstance(subject, Backfill) else "launch",
        target_id=str(subject.pk),
        server_slug=subject.server_slug,
        detail={"dag_id": subject.dag_id, **detail},
    )
