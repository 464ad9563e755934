"""Stops of launched runs."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from panel.launches.models.launches import Launch
from panel.launches.states import StopState


class LaunchStop(models.Model):
    """Somebody wants the run of a launch ended. A run that a retry starts again may be stopped again, so a launch can
    have several; only one is open at a time.

    ``sent_at``: a request that may end the run has left; its note holds ``mark``, by which the run tells afterwards
    whether Airflow did it. ``succeeded`` are the indices that had succeeded by then, as far as the mirror had read
    them: ``{task_id: [[first, last]]}``; Airflow marks those of a task that runs as failed. ``run_ended_at`` is the
    end of the run that this stop made. ``message`` is what the last attempt said, or why nothing was to be stopped.
    The rest is as in Launch.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    launch = models.ForeignKey(Launch, on_delete=models.CASCADE, related_name="stops")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    username = models.CharField(max_length=150)
    reason = models.TextField()

    state = models.CharField(max_length=10, choices=StopState, default=StopState.ASKED)
    message = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    succeeded = models.JSONField(default=dict)
    run_ended_at = models.DateTimeField(null=True)
    claim = models.UUIDField(null=True)
    claimed_until = models.DateTimeField(null=True)

    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["asked_at", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["launch"], condition=Q(state="asked"), name="launch_stop_once_open")
        ]
        indexes = [models.Index(fields=["state", "next_attempt_at"], name="launch_stops_due")]

    def __str__(self) -> str:
        return self.mark

    @property
    def mark(self) -> str:
        """Stands in the note of the run that was stopped."""
        return f"stop {self.id.hex[:12]}"
