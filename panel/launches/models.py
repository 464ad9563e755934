"""Launches, and the last known params of Dags.

``params_json`` columns are text, not JSONField: PostgreSQL's jsonb forgets the order of keys and turns ``1e16`` into a
whole number, and a launch sends what was typed.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from panel.launches.states import RUN_STATES, State
from panel.mirror.airflow_links import run_url
from panel.mirror.models import MASKED, Dag, DagRun
from panel.servers.models import Server


class Launch(models.Model):
    """One run started by form. ``dag_run_id`` is ours, so that no repeat makes a second run in Airflow.

    ``params`` are what was given, as typed, and what Airflow gets as ``conf``. ``checked``: they were checked against
    the Dag's params as Airflow has them; false when Airflow was away, then the check comes before sending.
    ``sent_at``: a request that may start the run has left; from then on only Airflow knows whether there is a run.
    ``fields`` are messages of a refusal by param; ``message`` is what the last attempt said. ``version`` grows with
    every change, for pages that poll. ``claim`` and ``claimed_until`` keep workers out of each other's way.

    ``protected``: the guard rails of the Dag stood before it. With ``approval_hash`` it needed somebody's yes, which
    holds for exactly the Dag, version and values that the hash is over, and until ``expires_at``; ``decided_by`` said
    yes or no. ``secret_params`` are names whose values are never shown.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    server = models.ForeignKey(Server, null=True, on_delete=models.SET_NULL, related_name="launches")
    server_slug = models.SlugField()
    dag_id = models.CharField(max_length=250)
    dag_run_id = models.CharField(max_length=250)
    params_json = models.TextField(default="{}")
    note = models.TextField(blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    username = models.CharField(max_length=150)

    state = models.CharField(max_length=20, choices=State, default=State.SUBMITTING)
    message = models.TextField(blank=True)
    fields = models.JSONField(default=dict)
    version = models.PositiveBigIntegerField(default=1)

    protected = models.BooleanField(default=False)
    approval_hash = models.CharField(max_length=64, blank=True)
    expires_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    decided_by_name = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)
    decision_comment = models.TextField(blank=True)
    secret_params = models.JSONField(default=list)

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
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["user", "idempotency_key"], name="launch_key_once_a_user"),
            models.UniqueConstraint(fields=["server_slug", "dag_id", "dag_run_id"], name="launch_run_once"),
        ]
        indexes = [
            models.Index(fields=["state", "next_attempt_at"], name="launches_due"),
            models.Index(fields=["-created_at"], name="launches_newest"),
            models.Index(fields=["server_slug", "dag_id", "-created_at"], name="launches_of_dag"),
        ]

    def __str__(self) -> str:
        return self.dag_run_id

    @property
    def params(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.params_json)
        return loaded

    @property
    def shown_params(self) -> dict[str, Any]:
        """The params as anybody may see them."""
        hidden = set(self.secret_params)
        return {name: MASKED if name in hidden and value else value for name, value in self.params.items()}

    @property
    def airflow_url(self) -> str:
        """The run's page in Airflow's own UI; ``""`` while there is none."""
        if self.server is None or not self.has_run:
            return ""
        dag = Dag(server=self.server, dag_id=self.dag_id)
        return run_url(DagRun(dag=dag, run_id=self.dag_run_id))

    @property
    def seconds(self) -> float | None:
        """How long the run took; ``None`` while it has not ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def has_run(self) -> bool:
        """Whether Airflow is known to hold the run."""
        return self.state in RUN_STATES

    @property
    def can_be_cancelled(self) -> bool:
        return self.state == State.AWAITING_APPROVAL or (self.state == State.SUBMITTING and self.sent_at is None)


class DagForm(models.Model):
    """A Dag's params as last read, for the time when Airflow is away. ``params``: ``[[name, param], …]`` in order;
    ``version`` names the version of the Dag they are of."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="+")
    dag_id = models.CharField(max_length=250)
    display_name = models.TextField(blank=True)
    description = models.TextField(blank=True)
    params_json = models.TextField(default="[]")
    version = models.CharField(max_length=60, blank=True)
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


class GuardRails(models.Model):
    """What stands between the form of one Dag and a run of it; admins set it. Without a row nothing does.

    A launch is protected when ``protects`` says so: it is confirmed by typing a word and, with ``needs_approval``,
    needs the yes of somebody else within ``approval_hours``. ``values`` are those that protect: ``[[param, value]]``.
    ``launches_an_hour`` and ``active_runs`` are bounds; null is none.
    """

    class Protects(models.TextChoices):
        NOTHING = "nothing", _("nothing")
        VALUES = "values", _("launches with certain values")
        EVERYTHING = "everything", _("every launch")

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="+")
    dag_id = models.CharField(max_length=250)
    protects = models.CharField(max_length=10, choices=Protects, default=Protects.NOTHING)
    values_json = models.TextField(default="[]")
    needs_approval = models.BooleanField(default=True)
    approval_hours = models.PositiveIntegerField(default=24)
    launches_an_hour = models.PositiveIntegerField(null=True)
    active_runs = models.PositiveIntegerField(null=True)
    updated_at = models.DateTimeField()
    username = models.CharField(max_length=150)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["server", "dag_id"], name="guard_rails_once_a_dag")]

    def __str__(self) -> str:
        return self.dag_id

    @property
    def values(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in json.loads(self.values_json)]


class FreezeWindow(models.Model):
    """A time in which nothing of a Dag (``dag_id`` empty: of the whole server) is launched, approved or sent."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="+")
    dag_id = models.CharField(max_length=250, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)
    reason = models.CharField(max_length=300)
    username = models.CharField(max_length=150)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["starts_at", "pk"]

    def __str__(self) -> str:
        return self.reason
