"""The local copy of Airflow: Dags, their runs, mapped tasks and instances. It can be deleted and rebuilt at any time.

``deleted_at`` marks what Airflow no longer has. ``claimed_until`` is how workers keep out of each other's way: a
conditional update claims the row for a while (SQLite has no row locks).
"""

from __future__ import annotations

import uuid
from typing import Final

from django.db import models

from panel.domain.outcomes import Outcome, ResultState
from panel.servers.models import Server

_NAMESPACE: Final = uuid.UUID("6f1c1f3e-6c0b-5d0a-9a53-6d6170626f61")


def mapped_task_uuid(server_slug: str, dag_id: str, run_id: str, task_id: str) -> uuid.UUID:
    """The id of a mapped task: the same after the mirror was deleted and rebuilt."""
    return uuid.uuid5(_NAMESPACE, "\x1f".join((server_slug, dag_id, run_id, task_id)))


class Dag(models.Model):
    """A Dag that Airflow lists. ``tasks`` is its structure, read again only when ``structure_version`` changes:
    ``[{"task_id", "is_mapped", "downstream": [task ids], "trigger_rule", "retries", "pool"}]`` in declared order.
    """

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="dags")
    dag_id = models.CharField(max_length=250)
    display_name = models.CharField(max_length=250, blank=True)
    description = models.TextField(blank=True)
    is_paused = models.BooleanField(default=False)
    is_stale = models.BooleanField(default=False)
    has_import_errors = models.BooleanField(default=False)
    tags = models.JSONField(default=list)
    mapped_task_ids = models.JSONField(default=list)
    tasks = models.JSONField(default=list)
    structure_version = models.CharField(max_length=100, blank=True)
    structure_synced_at = models.DateTimeField(null=True)
    synced_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["dag_id"]
        constraints = [models.UniqueConstraint(fields=["server", "dag_id"], name="dag_once_a_server")]

    def __str__(self) -> str:
        return self.dag_id


class DagRun(models.Model):
    """One run of a Dag that has mapped tasks. ``reconciled_at`` is set by the full read after the run finished."""

    dag = models.ForeignKey(Dag, on_delete=models.CASCADE, related_name="runs")
    run_id = models.CharField(max_length=250)
    state = models.CharField(max_length=20, db_index=True)
    run_type = models.CharField(max_length=40, blank=True)
    conf = models.JSONField(default=dict)
    note = models.TextField(blank=True)
    triggering_user = models.CharField(max_length=250, blank=True)
    logical_date = models.DateTimeField(null=True)
    run_after = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(null=True)
    start_date = models.DateTimeField(null=True)
    end_date = models.DateTimeField(null=True)
    synced_at = models.DateTimeField(null=True)
    reconciled_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-run_after", "-pk"]
        constraints = [models.UniqueConstraint(fields=["dag", "run_id"], name="run_once_a_dag")]
        indexes = [models.Index(fields=["dag", "-run_after"], name="runs_of_dag")]

    def __str__(self) -> str:
        return self.run_id


class MappedTask(models.Model):
    """One mapped task of one run, with its counts by outcome kept as a rollup that equals the rows.

    ``total`` leaves out ``removed``; ``unexpanded_state`` is the state of the ``-1`` row while there are no
    instances ("" once expanded, "none" for no status). ``version`` grows with every change, for pages that poll.
    ``watermark`` is the start of the last read of changes; ``complete``: state and results are all read.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    run = models.ForeignKey(DagRun, on_delete=models.CASCADE, related_name="mapped_tasks")
    task_id = models.CharField(max_length=250)
    position = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)
    unread_results = models.PositiveIntegerField(default=0)
    unexpanded_state = models.CharField(max_length=30, blank=True)
    version = models.PositiveBigIntegerField(default=0)
    watermark = models.DateTimeField(null=True)
    synced_at = models.DateTimeField(null=True)
    full_synced_at = models.DateTimeField(null=True)
    complete = models.BooleanField(default=False)
    last_error = models.TextField(blank=True)
    refresh_requested_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["position", "task_id"]
        constraints = [models.UniqueConstraint(fields=["run", "task_id"], name="mapped_task_once_a_run")]

    def __str__(self) -> str:
        return self.task_id


class Instance(models.Model):
    """One mapped instance as last read.

    While a cleared instance has not started again, times and result are empty: Airflow still shows the old try's.
    ``result`` is the whole value or, when ``result_shortened``, a preview as text. ``result_try`` is the try whose
    result was read. The folded columns serve searches that ignore case on both databases.
    """

    mapped_task = models.ForeignKey(MappedTask, on_delete=models.CASCADE, related_name="instances")
    map_index = models.PositiveIntegerField()
    ti_id = models.CharField(max_length=40)
    label = models.CharField(max_length=250, blank=True)
    label_folded = models.CharField(max_length=250, blank=True)
    state = models.CharField(max_length=30, blank=True)
    outcome = models.CharField(max_length=20, choices=[(o.value, o.value) for o in Outcome])
    try_number = models.PositiveIntegerField(default=0)
    max_tries = models.PositiveIntegerField(default=0)
    queued_at = models.DateTimeField(null=True)
    start_date = models.DateTimeField(null=True)
    end_date = models.DateTimeField(null=True)
    duration = models.FloatField(null=True)
    error_type = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    error_folded = models.TextField(blank=True)
    error_group = models.CharField(max_length=16, blank=True)
    error_try = models.PositiveIntegerField(null=True)
    result = models.JSONField(null=True)
    result_state = models.CharField(
        max_length=12, choices=[(s.value, s.value) for s in ResultState], default=ResultState.NONE.value
    )
    result_reason = models.CharField(max_length=300, blank=True)
    result_shortened = models.BooleanField(default=False)
    result_try = models.PositiveIntegerField(null=True)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["map_index"]
        constraints = [models.UniqueConstraint(fields=["mapped_task", "map_index"], name="instance_once_a_task")]
        indexes = [
            models.Index(fields=["mapped_task", "outcome", "map_index"], name="instances_by_outcome"),
            models.Index(fields=["mapped_task", "error_group"], name="instances_by_error_group"),
        ]

    def __str__(self) -> str:
        return f"{self.mapped_task_id}[{self.map_index}]"
