"""The local copy of Airflow: Dags, their runs, mapped tasks and instances. It can be deleted and rebuilt at any time.

``deleted_at`` marks what Airflow no longer has.
"""

from __future__ import annotations

import uuid
from typing import Any, Final, NamedTuple

from django.db import models
from django.db.models import Q
from django.utils.functional import cached_property

from panel.domain.outcome_rules import Rule
from panel.domain.outcomes import Outcome, ResultState
from panel.domain.values import Kept
from panel.servers.models import Server

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
    structure_final = models.BooleanField(default=False)
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


class Held(NamedTuple):
    """What is stored of a result: the whole value or, when ``shortened``, a preview of it."""

    value: Any
    shortened: bool


TOLD_APART: Final = (Outcome.HARD_FAILURE, Outcome.RETRYING, Outcome.SOFT_FAILURE, Outcome.UPSTREAM_FAILED)
"""The outcomes that few instances have and everybody sorts: indexes of their own find them among many others."""
SORTED_APART: Final = ("label_folded", "try_number", "start_date", "end_date", "duration")


class Instance(models.Model):
    """One mapped instance as last read. Rows are narrow: values and the details of errors have tables of their own.

    While a cleared instance has not started again, times and result are empty: Airflow still shows the old try's.
    ``result_try`` and ``error_try`` are the tries whose result and error were read. ``version`` is the version of the
    mapped task in which the row changed last. ``error_frame`` is where the error was raised, ``file:line in function``.
    ``number_…`` hold the numeric fields of the result (``MappedTask.result_fields``). The folded columns serve
    searches that ignore case on both databases; an empty label is null there, so that it sorts last. The key to the
    mapped task has no index of its own: others begin with it.
    """

    mapped_task = models.ForeignKey(MappedTask, on_delete=models.CASCADE, related_name="instances", db_index=False)
    map_index = models.PositiveIntegerField()
    version = models.PositiveBigIntegerField(default=0)
    ti_id = models.CharField(max_length=40)
    label = models.CharField(max_length=250, blank=True)
    label_folded = models.CharField(max_length=250, null=True)  # noqa: DJ001 - empty labels sort last
    state = models.CharField(max_length=30, blank=True)
    outcome = models.CharField(max_length=20, choices=[(o.value, o.value) for o in Outcome])
    try_number = models.PositiveIntegerField(default=0)
    max_tries = models.PositiveIntegerField(default=0)
    scheduled_at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(null=True)
    start_date = models.DateTimeField(null=True)
    end_date = models.DateTimeField(null=True)
    duration = models.FloatField(null=True)
    error_type = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    error_folded = models.TextField(blank=True)
    error_frame = models.CharField(max_length=300, blank=True)
    error_group = models.CharField(max_length=16, blank=True)
    error_try = models.PositiveIntegerField(null=True)
    result_state = models.CharField(
        max_length=12, choices=[(s.value, s.value) for s in ResultState], default=ResultState.NONE.value
    )
    result_reason = models.CharField(max_length=300, blank=True)
    result_try = models.PositiveIntegerField(null=True)
    number_0 = models.FloatField(null=True)
    number_1 = models.FloatField(null=True)
    number_2 = models.FloatField(null=True)
    number_3 = models.FloatField(null=True)
    number_4 = models.FloatField(null=True)
    number_5 = models.FloatField(null=True)
    note = models.TextField(blank=True)

    new_result: Kept | None = None
    """The value to be stored together with this row, if one was read just now."""
    new_numbers: dict[str, float] | None = None
    """The numbers in it by name, for the ``number_…`` columns."""

    class Meta:
        ordering = ["map_index"]
        constraints = [models.UniqueConstraint(fields=["mapped_task", "map_index"], name="instance_once_a_task")]
        indexes = [
            models.Index(fields=["mapped_task", "outcome", "map_index"], name="instances_by_outcome"),
            models.Index(fields=["mapped_task", "error_group", "map_index"], name="instances_by_error_group"),
            models.Index(fields=["mapped_task", "version"], name="instances_by_version"),
            # One for each column of the list: a page is a range of it, read forwards or backwards (panel.keyset).
            models.Index(fields=["mapped_task", "try_number", "map_index"], name="instances_by_try"),
            models.Index(fields=["mapped_task", "start_date", "map_index"], name="instances_by_start"),
            models.Index(fields=["mapped_task", "end_date", "map_index"], name="instances_by_end"),
            models.Index(fields=["mapped_task", "duration", "map_index"], name="instances_by_duration"),
            # Most maps have no labels and few numbers: then these hold nothing and cost nothing.
            *(
                models.Index(
                    fields=["mapped_task", name, "map_index"],
                    name=f"instances_by_{name}",
                    condition=Q(**{f"{name}__isnull": False}),
                )
                for name in ("label_folded", *(f"number_{slot}" for slot in range(6)))
            ),
            *(
                models.Index(
                    fields=["mapped_task", "outcome", name, "map_index"],
                    name=f"failures_by_{name}",
                    condition=Q(outcome__in=[outcome.value for outcome in TOLD_APART]),
                )
                for name in SORTED_APART
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mapped_task_id}[{self.map_index}]"

    @cached_property
    def held(self) -> Held | None:
        """The stored value; lists read those of all their rows at once (``selectors.with_results``)."""
        held = InstanceResult.objects.filter(mapped_task_id=self.mapped_task_id, map_index=self.map_index)
        row = held.values_list("value", "shortened").first()
        return Held(*row) if row else None

    @property
    def result(self) -> Any:
        """The value, its preview when ``result_shortened``, or the reference where it is held elsewhere."""
        return self.held.value if self.held else None

    @property
    def result_shortened(self) -> bool:
        return self.held is not None and self.held.shortened


class InstanceResult(models.Model):
    """The result of one instance: the whole ``value`` or, when ``shortened``, a preview of it."""

    mapped_task = models.ForeignKey(MappedTask, on_delete=models.CASCADE, related_name="results", db_index=False)
    map_index = models.PositiveIntegerField()
    value = models.JSONField(null=True)
    shortened = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mapped_task", "map_index"], name="result_once_an_instance")]

    def __str__(self) -> str:
        return f"{self.mapped_task_id}[{self.map_index}]"


class TryError(models.Model):
    """Why one try of one instance failed, from its log: exception, frame of the user's code (``file:line in
    function``), and what caused it: ``[{"type", "message", "frame"}]``, nearest cause first."""

    mapped_task = models.ForeignKey(MappedTask, on_delete=models.CASCADE, related_name="try_errors", db_index=False)
    map_index = models.PositiveIntegerField()
    try_number = models.PositiveIntegerField()
    error_type = models.CharField(max_length=200, blank=True)
    message = models.TextField(blank=True)
    frame = models.CharField(max_length=300, blank=True)
    causes = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mapped_task", "map_index", "try_number"], name="error_once_a_try")
        ]

    def __str__(self) -> str:
        return f"{self.mapped_task_id}[{self.map_index}] try {self.try_number}: {self.error_type}"


class ErrorGroup(models.Model):
    """Failures of one mapped task that agree: a rollup of its instances, kept together with them.

    ``group`` is the id of domain.error_groups, the same in every run. ``message`` is masked; ``first_seen`` and
    ``last_seen`` are end dates; ``example_index`` is its lowest index, so that it stays while others come and go.
    """

    mapped_task = models.ForeignKey(MappedTask, on_delete=models.CASCADE, related_name="error_groups", db_index=False)
    group = models.CharField(max_length=16, db_index=True)
    outcome = models.CharField(max_length=20)
    error_type = models.CharField(max_length=200, blank=True)
    message = models.TextField(blank=True)
    count = models.PositiveIntegerField()
    example_index = models.PositiveIntegerField()
    first_seen = models.DateTimeField(null=True)
    last_seen = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-count", "group"]
        constraints = [models.UniqueConstraint(fields=["mapped_task", "group"], name="error_group_once_a_task")]

    def __str__(self) -> str:
        return f"{self.error_type}: {self.message[:60]}"


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
