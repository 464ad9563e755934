"""The trace of what people do with launches."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from panel.access.services import record_event
from panel.launches.models import Launch


def record(user: AbstractBaseUser | None, action: str, launch: Launch, **detail: Any) -> None:
    """In the caller's transaction. ``detail`` holds no values of params: some are secret."""
    record_event(
        user=user,
        action=action,
        target_kind="launch",
        target_id=str(launch.pk),
        server_slug=launch.server_slug,
        detail={"dag_id": launch.dag_id, **detail},
    )
