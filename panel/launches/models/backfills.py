"""Backfills and their runs."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.conf import settings
from django.db import models

from panel.launches.backfill_states import MOVING, OPEN, WAITING, BackfillState, Reprocess
from panel.launches.models.asked_params import AskedParams
from panel.servers.models import Server


class Backfill(AskedParams, models.Model):
    """A range of dates of one Dag, run at once by Airflow.

    ``to_date`` is as it is sent: the second that was asked for, and microseconds of our own. No schedule fires within a
    second, so they change nothing but tell this backfill from any other in Airflow's list, for Airflow takes no key of
    ours. ``planned``: the runs that Airflow's dry run named right before it was sent; none until then.

    ``sent_at``: a request that may make it has left; from then on only Airflow knows whether there is one. ``counts``
    are its runs by state. ``forecast`` is what was foreseen before it started (forecasting). The others are those of
    Launch.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    server = models.ForeignKey(Server, null=True, on_delete=models.SET_NULL, related_name="+")
    server_slug = models.SlugField()
    dag_id = models.CharField(max_length=250)
    from_date = models.DateTimeField()
    to_date = models.DateTimeField()
    reprocess = models.CharField(max_length=10, choices=Reprocess, default=Reprocess.NONE)
    max_active_runs = models.PositiveIntegerField()
    run_backwards = models.BooleanField(default=False)
    params_json = models.TextField(default="{}")
    secret_params = models.JSONField(default=list)
    note = models.TextField(blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    username = models.CharField(max_length=150)
    protected = models.BooleanField(default=False)
    forecast = models.JSONField(default=dict)

    state = models.CharField(max_length=20, choices=BackfillState, default=BackfillState.SUBMITTING)
    message = models.TextField(blank=True)
    fields = models.JSONField(default=dict)
    version = models.PositiveBigIntegerField(default=1)
    airflow_id = models.PositiveBigIntegerField(null=True)
    planned = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict)

    idempotency_key = models.CharField(max_length=200, null=True)  # noqa: DJ001 - null: any number without a key
    body_hash = models.CharField(max_length=64)

    checked = models.BooleanField(default=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    claim = models.UUIDField(null=True)
    claimed_until = models.DateTimeField(null=True)

    created_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    watched_at = models.DateTimeField(null=True)
    synced_at = models.DateTimeField(null=True)
    read_whole_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["user", "idempotency_key"], name="backfill_key_once_a_user"),
            models.UniqueConstraint(fields=["server_slug", "dag_id", "to_date"], name="backfill_tag_once"),
        ]
        indexes = [
            models.Index(fields=["state", "next_attempt_at"], name="backfills_due"),
            models.Index(fields=["-created_at"], name="backfills_newest"),
            models.Index(fields=["server_slug", "dag_id", "-created_at"], name="backfills_of_dag"),
        ]

    def __str__(self) -> str:
        return f"{self.dag_id} {self.from_date:%Y-%m-%d} – {self.to_date:%Y-%m-%d}"

    @property
    def until(self) -> datetime:
        """The last moment, as it was asked for."""
        return self.to_date.replace(microsecond=0)

    @property
    def is_live(self) -> bool:
        """Whether anything is expected to change by itself."""
        return self.state in OPEN or any(self.counts.get(state) for state in MOVING)

    @property
    def ended(self) -> int:
        """Runs that ended or never will begin."""
        going: int = sum(self.counts.get(state, 0) for state in (*MOVING, WAITING))
        return self.planned - going

    @property
    def can_be_cancelled(self) -> bool:
        return self.state in OPEN and (self.state != BackfillState.SUBMITTING or self.sent_at is None)


class BackfillRun(models.Model):
    """One run of a backfill, by its logical date. ``run_id`` is empty until it was seen in Airflow."""

    backfill = models.ForeignKey(Backfill, on_delete=models.CASCADE, related_name="runs")
    position = models.PositiveIntegerField()
    logical_date = models.DateTimeField()
    run_id = models.CharField(max_length=250, blank=True)
    state = models.CharField(max_length=20)
    start_date = models.DateTimeField(null=True)
    end_date = models.DateTimeField(null=True)
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["backfill", "logical_date"], name="backfill_run_once_a_date"),
            models.UniqueConstraint(fields=["backfill", "position"], name="backfill_run_position"),
        ]

    def __str__(self) -> str:
        return self.run_id or f"{self.logical_date:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def seconds(self) -> float | None:
        """How long it took; ``None`` while it has not ended."""
        if self.start_date is None or self.end_date is None:
            return None
        return (self.end_date - self.start_date).total_seconds()
