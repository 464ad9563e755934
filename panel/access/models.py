"""Who did what: the audit trail, which is never pruned. Who is signed in: the sessions."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models


class AuditEvent(models.Model):
    """One change somebody made, or was refused. Names are kept beside the keys, so that the row outlives both."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    username = models.CharField(max_length=150)
    action = models.CharField(max_length=60)
    server_slug = models.CharField(max_length=50, blank=True)
    target_kind = models.CharField(max_length=40)
    target_id = models.CharField(max_length=1000)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["target_kind", "target_id"], name="audit_target")]

    def __str__(self) -> str:
        return f"{self.username} {self.action} {self.target_kind} {self.target_id}"


class Session(AbstractBaseSession):
    """A session of the pages, with the user who signed in (null before that). It ends with its user. No constraint
    guards the key: to Django's store a row that cannot be written is a session key that is taken, to be tried again."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )

    @classmethod
    def get_session_store_class(cls) -> Any:
        from panel.access.sessions import SessionStore  # noqa: PLC0415 - which asks for this model

        return SessionStore
