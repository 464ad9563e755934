"""What people ask of the mirror: how results are judged, what is brought up to date."""

from __future__ import annotations

from django.db import models

from panel.servers.models import Server


class OutcomeRule(models.Model):
    """How soft failures are told in the results of a server, one of its Dags (``dag_id``) or one task of it.

    ``status_pointer`` and ``message_pointer`` are JSON pointers (RFC 6901) into the result; a result whose status is
    one of ``failing_values`` is a soft failure. The most specific rule holds.
    """

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="outcome_rules")
    dag_id = models.CharField(max_length=250, blank=True)
    task_id = models.CharField(max_length=250, blank=True)
    status_pointer = models.CharField(max_length=200)
    failing_values = models.JSONField(default=list)
    message_pointer = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["dag_id", "task_id"]
        constraints = [
            models.UniqueConstraint(fields=["server", "dag_id", "task_id"], name="outcome_rule_once_a_scope")
        ]

    def __str__(self) -> str:
        return f"{self.dag_id}/{self.task_id}: {self.status_pointer}"


class SyncRequest(models.Model):
    """Somebody asked for one mapped task to be brought up to date, known to the mirror or not, and what came of it.

    The row is how the worker's answer reaches the web process that waits for it. One row for each mapped task asked
    for: who asks while one is pending joins it.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        DONE = "done"
        NOT_FOUND = "not_found"
        FAILED = "failed"

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="sync_requests")
    dag_id = models.CharField(max_length=250)
    run_id = models.CharField(max_length=250)
    task_id = models.CharField(max_length=250)
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    message = models.TextField(blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    requested_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["server", "dag_id", "run_id", "task_id"], name="sync_request_once_a_task")
        ]

    def __str__(self) -> str:
        return f"{self.dag_id} {self.run_id} {self.task_id}: {self.state}"
