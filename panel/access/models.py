"""Who did what: the audit trail. It is never pruned."""

from __future__ import annotations

from django.conf import settings
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
