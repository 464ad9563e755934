"""Dags, their runs and mapped tasks. ``deleted_at`` marks what Airflow no longer has."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.db import models

from panel.domain.outcome_rules import Rule
from panel.servers.models import Server

MASKED: Final = "••••••"
"""What is shown of a secret value."""
_NAMESPACE: Final = uuid.UUID("6f1c1f3e-6c0b-5d0a-9a53-6d6170626f61")


def mapped_task_uuid(server_slug: str, dag_id: str, run_id: str, task_id: str) -> uuid.UUID:
    """The id of a mapped task: the same after the mirror was deleted and rebuilt."""
    return uuid.uuid5(_NAMESPACE, "\x1f".join((server_slug, dag_id, run_id, task_id)))


class Synced(models.Model):
    """What is read again and again: when it was, when it is due, who is at it, and what went wrong.

    ``due_at`` is when the sweep wakes a worker next (null: nothing is expected to change). ``claimed_until`` is how
    workers keep out of each other's way: a conditional update claims the row for a while (SQLite has no row locks).
    ``last_error`` (and the code of its class) is empty after a read that went well; ``failed_reads`` counts those since
    that did not.
    """

    synced_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True, db_index=True)
    claimed_until = models.DateTimeField(null=True)
    failed_reads = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    last_error_code = models.CharField(max_length=50, blank=True)

    class Meta:
        abstract = True


class ServerMirror(Synced):
    """How far the mirror of one server is.

    ``runs_watermark`` is the start of the last read of changed runs. ``import_errors`` are Dag files that Airflow
    could not read: ``[{"filename", "message", "stack_trace", "timestamp"}]``, texts shortened.
    """

    server = models.OneToOneField(Server, on_delete=models.CASCADE, related_name="mirror")
    runs_watermark = models.DateTimeField(null=True)
    import_errors = models.JSONField(default=list)

    def __str__(self) -> str:
        return str(self.server)


class Dag(Synced):
    """A Dag that Airflow lists. ``tasks`` is its structure, read again only when ``structure_version`` changes:
    ``[{"task_id", "is_mapped", "downstream": [task ids], "trigger_rule", "retries", "pool"}]`` in declared order.

    Airflow rewrites a version in place until a run uses it: ``structure_final`` says that it was read after that.
    ``secret_params`` are params whose values are shown nowhere. ``max_active_tasks`` bounds the instances of one run at
    once; ``has_task_limits``: some task has a limit of its own, which Airflow does not name. Null is not known.
    """

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="dags")
    dag_id = models.CharField(max_length=250)
    display_name = models.CharField(max_length=250, blank=True)
    description = models.TextField(blank=True)
    is_paused = models.BooleanField(default=False)
    is_stale = models.BooleanField(default=False)
    has_import_errors = models.BooleanField(default=False)
    tags = models.JSONField(default=list)
    secret_params = models.JSONField(default=list)
    mapped_task_ids = models.JSONField(default=list)
    tasks = models.JSONField(default=list)
    structure_version = models.CharField(max_length=100, blank=True)
    structure_synced_at = models.DateTimeField(null=True)
    structure_final = models.BooleanField(default=False)
    can_be_backfilled = models.BooleanField(null=True)
    max_active_tasks = models.PositiveIntegerField(null=True)
    has_task_limits = models.BooleanField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["dag_id"]
        constraints = [models.UniqueConstraint(fields=["server", "dag_id"], name="dag_once_a_server")]

    def __str__(self) -> str:
        return self.dag_id


class DagRun(Synced):
    """One run of a Dag that has mapped tasks.

    ``changed_at`` is when a change of its state or times was noticed last, ``reconciled_at`` when every mapped task
    had been read in full after it finished. ``opened_at``: somebody opened it, so it is not pruned for a while.
    """

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
    changed_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)
    reconciled_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-run_after", "-pk"]
        constraints = [models.UniqueConstraint(fields=["dag", "run_id"], name="run_once_a_dag")]
        indexes = [models.Index(fields=["dag", "-run_after"], name="runs_of_dag")]

    def __str__(self) -> str:
        return self.run_id

    @property
    def shown_conf(self) -> dict[str, Any]:
        """The conf as anybody may see it."""
        hidden = set(self.dag.secret_params)
        return {name: MASKED if name in hidden and value else value for name, value in self.conf.items()}


class MappedTask(Synced):
    """One mapped task of one run, with its counts by outcome kept as a rollup that equals the rows.

    ``total`` leaves out ``removed``; ``failing`` counts soft, hard and upstream failures; ``unexpanded_state`` is the
    state of the ``-1`` row while there are no instances ("" once expanded, "none" for no status). ``version`` grows
    with every change, for pages that poll; ``changed_at`` is the time of the last one. ``watermark`` is the start of
    the last read of changes, ``full_synced_at`` the start of the last read of everything; ``complete``: state and
    results are all read, as of ``synced_at``.

    ``result_fields`` are the numeric fields found in results, each in one of the ``number_…`` columns of the
    instances: ``[{"name", "slot", "count", "sum", "avg", "min", "max"}]``; a field keeps its slot. ``plots`` is what
    the plots of the page are drawn from. ``unread_errors`` counts failures whose error is not read,
    ``external_results`` results held outside Airflow's database; the ``…_requested_at`` say that somebody asked for
    all of them.
    ``results_reader`` is how results are read at present ("plugin", "wait", "single" or ""). ``rule_revision`` names
    the outcome rule by which the stored outcomes were derived.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    run = models.ForeignKey(DagRun, on_delete=models.CASCADE, related_name="mapped_tasks")
    task_id = models.CharField(max_length=250)
    position = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    failing = models.PositiveIntegerField(default=0, db_index=True)
    counts = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)
    plots = models.JSONField(default=dict)
    result_fields = models.JSONField(default=list)
    results_reader = models.CharField(max_length=10, blank=True)
    rule_revision = models.CharField(max_length=16, blank=True)
    unread_results = models.PositiveIntegerField(default=0)
    unread_errors = models.PositiveIntegerField(default=0)
    external_results = models.PositiveIntegerField(default=0)
    errors_requested_at = models.DateTimeField(null=True)
    resolution_requested_at = models.DateTimeField(null=True)
    unexpanded_state = models.CharField(max_length=30, blank=True)
    version = models.PositiveBigIntegerField(default=0)
    changed_at = models.DateTimeField(null=True)
    watermark = models.DateTimeField(null=True)
    full_synced_at = models.DateTimeField(null=True)
    complete = models.BooleanField(default=False)
    refresh_requested_at = models.DateTimeField(null=True)

    rule: Rule | None = None
    """The outcome rule that holds, once it was asked for: ``outcome_rules.rule_for``."""

    class Meta:
        ordering = ["position", "task_id"]
        constraints = [models.UniqueConstraint(fields=["run", "task_id"], name="mapped_task_once_a_run")]

    def __str__(self) -> str:
        return self.task_id
