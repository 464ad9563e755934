"""What people asked to be retried, and what became of each index. Never pruned.

Everything is kept by natural keys (server, dag_id, run_id, task_id, map_index): the mirror may be deleted and rebuilt
under a job. ``claimed_until``, ``claimed_by`` and ``next_at`` are how workers find due jobs and keep out of each
other's way; these times are by the database's clock (``panel.clock``).
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import Q

from panel.mail.outgoing import Outgoing
from panel.retries.states import (
    OPEN_ITEMS,
    Action,
    ChunkKind,
    ChunkState,
    ItemState,
    JobState,
    WaitsFor,
)
from panel.servers.models import Server

LONGEST_REASON: Final = 500
USUAL_CHUNK: Final = 200
LARGEST_CHUNK: Final = 500
FIRST_CHUNK: Final = 50
"""Of a job without a pace: whether Airflow does it shows within two seconds, as it needs 5 to 10 ms for each."""
LONGEST_WHY: Final = 500


class RetryJob(models.Model):
    """One bulk retry: a frozen list of items, a reason, a policy, and a result per item.

    ``selection`` is the ask as JSON; ``left_out`` what of it was not taken on: ``[{"why", "task_id", "count",
    "indices"}]``. ``version`` grows with every change, for pages that poll. ``next_at`` is when the worker looks at the
    job again, null once nothing is left to do. ``claimed_by`` is the worker that has it, as ``host:process:token``.
    ``chunk_now`` is what a chunk may have while Airflow answers slowly, null otherwise. ``canary_passed``: the careful
    first part is over. ``finished_at`` is set once every item has its final state, also for a cancelled job.

    ``counts_from``: results before it no longer stop the job, a person has seen them. ``waits_for`` and ``waits_until``
    tell what a job that sends waits for; ``until`` is null where only results tell. A job may be followed by one more
    for what failed again: ``parent`` is the job before it, ``round`` its number of at most ``rounds``.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="retry_jobs")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    username = models.CharField(max_length=150)
    action = models.CharField(max_length=20, choices=Action, default=Action.RETRY)
    reason = models.CharField(max_length=LONGEST_REASON)
    include_downstream = models.BooleanField(default=True)
    include_settled = models.BooleanField(default=False)
    run_on_latest_version = models.BooleanField(default=False)
    selection = models.JSONField(default=dict)
    left_out = models.JSONField(default=list)
    chunk_size = models.PositiveIntegerField(default=USUAL_CHUNK)
    chunks_per_minute = models.FloatField(null=True)
    canary = models.PositiveIntegerField(null=True)
    canary_max_failure_rate = models.FloatField(null=True)
    canary_by_group = models.BooleanField(default=False)
    canary_passed = models.BooleanField(default=False)
    wave_size = models.PositiveIntegerField(null=True)
    wave_pause_seconds = models.PositiveIntegerField(null=True)
    stop_failure_rate = models.FloatField(null=True)
    counts_from = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)
    window_start = models.CharField(max_length=5, blank=True)
    window_end = models.CharField(max_length=5, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    rounds = models.PositiveSmallIntegerField(default=1)
    round_pause_seconds = models.PositiveIntegerField(null=True)
    round = models.PositiveSmallIntegerField(default=1)
    parent = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="next_round")
    waits_for = models.CharField(max_length=12, choices=WaitsFor, blank=True)
    waits_until = models.DateTimeField(null=True)
    idempotency_key = models.CharField(max_length=200, blank=True)
    body_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=JobState, default=JobState.PLANNED)
    state_reason = models.TextField(blank=True)
    total = models.PositiveIntegerField(default=0)
    version = models.PositiveBigIntegerField(default=1)
    failures_in_a_row = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    claimed_by = models.CharField(max_length=100, blank=True)
    chunk_now = models.PositiveIntegerField(null=True)
    last_chunk_at = models.DateTimeField(null=True)
    progress_at = models.DateTimeField(auto_now_add=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "idempotency_key"], condition=~Q(idempotency_key=""), name="retry_job_once_a_key"
            )
        ]
        indexes = [
            models.Index(fields=["next_at"], name="retry_jobs_due"),
            models.Index(fields=["-created_at"], name="retry_jobs_newest"),
        ]

    def __str__(self) -> str:
        return self.short_id

    @property
    def short_id(self) -> str:
        return self.id.hex[:8]

    @property
    def marks_as(self) -> str:
        """Airflow's state that it marks its instances as; "" for a retry."""
        return Action(self.action).marks_as

    @property
    def is_careful(self) -> bool:
        """The first indices tell whether the rest is retried."""
        return self.canary is not None or self.canary_by_group

    @property
    def starts_at_once(self) -> bool:
        """Each chunk runs when it is sent; otherwise all start together after the last one (AIRFLOW.md §5)."""
        return bool(
            self.is_careful
            or self.chunks_per_minute
            or self.wave_size
            or self.stop_failure_rate is not None
            or self.window_start
        )

    @property
    def waiting_for(self) -> str:
        """What it waits for before it sends on; "" when it does not, or no longer sends by itself."""
        if self.state == JobState.SCHEDULED:
            return WaitsFor.TIME
        return self.waits_for if self.state == JobState.RUNNING else ""

    @property
    def waiting_until(self) -> datetime | None:
        if self.state == JobState.SCHEDULED:
            return self.not_before
        return self.waits_until if self.waiting_for else None

    @property
    def has_more_rounds(self) -> bool:
        return self.round < self.rounds


class RetryRun(models.Model):
    """One Dag run of a job.

    ``downstream`` are the ids of the tasks that run again once after all chunks (of a job that marks: those that
    Airflow clears by itself); ``followers`` the tasks of a mapped
    group that run again with each index (``{task_id: [task ids]}``). ``hanging``: instances were cleared without
    restarting the run, and wait in Airflow until it is. ``closed_at``: nothing is left to send. ``hindrance``: why
    nothing ends at present; ``happened``: what somebody did to the run in Airflow while the job watched it.
    """

    job = models.ForeignKey(RetryJob, on_delete=models.CASCADE, related_name="runs")
    position = models.PositiveIntegerField()
    dag_id = models.CharField(max_length=250)
    run_id = models.CharField(max_length=250)
    downstream = models.JSONField(default=list)
    followers = models.JSONField(default=dict)
    hanging = models.BooleanField(default=False)
    hindrance = models.TextField(blank=True)
    happened = models.TextField(blank=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["job", "dag_id", "run_id"], name="retry_run_once_a_job")]

    def __str__(self) -> str:
        return self.run_id


class RetryTarget(models.Model):
    """One task of a run of a job. ``as_upstream``: not chosen, but retried for the chosen indices below it.

    ``mapped_task_id`` derives from the natural key, for an unmapped task as well.
    """

    run = models.ForeignKey(RetryRun, on_delete=models.CASCADE, related_name="targets")
    position = models.PositiveIntegerField()
    task_id = models.CharField(max_length=250)
    mapped_task_id = models.UUIDField()
    as_upstream = models.BooleanField(default=False)

    class Meta:
        ordering = ["run", "position"]
        constraints = [models.UniqueConstraint(fields=["run", "task_id"], name="retry_target_once_a_run")]
        indexes = [models.Index(fields=["mapped_task_id"], name="retry_targets_of_task")]

    def __str__(self) -> str:
        return self.task_id


class RetryChunk(models.Model):
    """One request to Airflow that clears. Written before it is sent, so that a killed worker's is found again.

    ``before`` holds the ids of instances that are no items (``{"task_id": {"map_index": id}}``); items keep their own.
    ``seconds`` is how long Airflow took. While ``state`` is ``sending`` nobody knows whether Airflow did it; instances
    that are unchanged after ``unsure_until`` were not cleared.
    """

    run = models.ForeignKey(RetryRun, on_delete=models.CASCADE, related_name="chunks")
    kind = models.CharField(max_length=12, choices=ChunkKind)
    state = models.CharField(max_length=10, choices=ChunkState, default=ChunkState.SENDING)
    resets_run = models.BooleanField()
    instances = models.PositiveIntegerField()
    before = models.JSONField(default=dict)
    message = models.TextField(blank=True)
    unsure_until = models.DateTimeField()
    seconds = models.FloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"


class RetryItem(models.Model):
    """One index of a job; ``map_index`` is -1 for an unmapped failed upstream.

    ``ti_id``, ``try_number`` and the ``…_before`` fields are from when it was chosen; ``new_…``, ``outcome`` and
    ``error_…`` from its new try; ``max_tries`` is what our clear left it, so that the clear of somebody else shows.
    Items are sent in the order of their keys, the ``canary`` ones first, then wave by ``wave`` (from 1; 0 where there
    are none). The second constraint is what makes an index belong to one unfinished job only.
    """

    job = models.ForeignKey(RetryJob, on_delete=models.CASCADE, related_name="items")
    target = models.ForeignKey(RetryTarget, on_delete=models.CASCADE, related_name="items")
    mapped_task_id = models.UUIDField()
    map_index = models.IntegerField()
    label = models.CharField(max_length=250, blank=True)
    state = models.CharField(max_length=12, choices=ItemState, default=ItemState.PENDING)
    why = models.CharField(max_length=LONGEST_WHY, blank=True)
    chunk = models.ForeignKey(RetryChunk, null=True, on_delete=models.SET_NULL, related_name="items")
    canary = models.BooleanField(default=False)
    wave = models.PositiveIntegerField(default=0)
    ti_id = models.CharField(max_length=40)
    try_number = models.PositiveIntegerField(default=0)
    outcome_before = models.CharField(max_length=20)
    error_type_before = models.CharField(max_length=200, blank=True)
    error_message_before = models.TextField(blank=True)
    max_tries = models.PositiveIntegerField(null=True)
    new_ti_id = models.CharField(max_length=40, blank=True)
    new_try_number = models.PositiveIntegerField(null=True)
    outcome = models.CharField(max_length=20, blank=True)
    error_type = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    same_error = models.BooleanField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["target", "map_index"], name="retry_item_once_a_job"),
            models.UniqueConstraint(
                fields=["mapped_task_id", "map_index"],
                condition=Q(state__in=[state.value for state in OPEN_ITEMS]),
                name="retry_index_once",
            ),
        ]
        indexes = [models.Index(fields=["job", "state"], name="retry_items_by_state")]

    def __str__(self) -> str:
        return f"{self.target_id}[{self.map_index}]"


class ReportMail(Outgoing):
    """The report of a job, to be sent once to one person when the job is over."""

    job = models.ForeignKey(RetryJob, on_delete=models.CASCADE, related_name="report_mails")

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["job", "user"], name="report_mail_once_a_person")]
        indexes = [models.Index(fields=["next_at"], name="report_mails_due")]

    def __str__(self) -> str:
        return f"{self.job_id} {self.user_id}"
