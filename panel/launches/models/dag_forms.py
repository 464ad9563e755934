"""The last known params of Dags."""

from __future__ import annotations

import json
from typing import Any

from django.db import models

from panel.servers.models import Server


class DagForm(models.Model):
    """A Dag's params as last read, for the time when Airflow is away. ``params``: ``[[name, param], …]`` in order;
    ``version`` names the version of the Dag they are of."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="+")
    dag_id = models.CharField(max_length=250)
    display_name = models.TextField(blank=True)
    description = models.TextField(blank=True)
    params_json = models.TextField(default="[]")
    version = models.CharField(max_length=60, blank=True)
    max_active_tasks = models.PositiveIntegerField(null=True)
    is_paused = models.BooleanField(default=False)
    is_stale = models.BooleanField(default=False)
    has_import_errors = models.BooleanField(default=False)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["server", "dag_id"], name="form_once_a_dag")]

    def __str__(self) -> str:
        return self.dag_id

    @property
    def params(self) -> list[tuple[str, dict[str, Any]]]:
        return [(name, param) for name, param in json.loads(self.params_json)]
