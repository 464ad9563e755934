"""Launches."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import models

from panel.launches.models.asked_params import AskedParams
from panel.launches.states import RUN_STATES, UNFINISHED_RUN, State
from panel.mirror.airflow_links import run_url
from panel.mirror.models import Dag, DagRun
from panel.servers.models import Server

if TYPE_CHECKING:
    from panel.launches.models.stops import LaunchStop


SEARCHED_LENGTH: Final = 20_000


def searchable(note: str, params: Mapping[str, Any], secrets: Collection[str]) -> str:
    """Note and values as they are searched: each value as ``name=value``, secret ones left out."""
    values = [f"{name}={_as_text(value)}" for name, value in params.items() if name not in secrets]
    return "\n".join([note, *values]).casefold()[:SEARCHED_LENGTH]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Launch(AskedParams, models.Model):
    """One run started by form. ``dag_run_id`` is ours, so that no repeat makes a second run in Airflow.

    ``params`` are what was given, as typed, and what Airflow gets as ``conf``. ``checked``: they were checked against
    the Dag's params as Airflow has them; false when Airflow was away, then the check comes before sending.
    ``sent_at``: a request that may start the run has left; from then on only Airflow knows whether there is a run.
    ``fields`` are messages of a refusal by param; ``message`` is what the last attempt said. ``version`` grows with
    every change, for pages that poll. ``claim`` and ``claimed_until`` keep workers out of each other's way.

    ``protected``: the guard rails of the Dag stood before it. With ``approval_hash`` it needed somebody's yes, which
    holds for exactly the Dag, version and values that the hash is over, and until ``expires_at``; ``decided_by`` said
    yes or no. ``secret_params`` are names whose values are never shown. ``form_slug``: the launch form it came through;
    ``""`` for the bare one of the Dag.
    ``search_text`` is what the history is searched by, casefolded, as SQLite folds only ASCII; no secret is in it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    server = models.ForeignKey(Server, null=True, on_delete=models.SET_NULL, related_name="launches")
    server_slug = models.SlugField()
    dag_id = models.CharField(max_length=250)
    dag_run_id = models.CharField(max_length=250)
    params_json = models.TextField(default="{}")
    note = models.TextField(blank=True)
    search_text = models.TextField(blank=True)
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
    form_slug = models.SlugField(max_length=50, blank=True, db_index=False)
    form_version = models.PositiveIntegerField(null=True)

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

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding:
            self.search_text = searchable(self.note, self.params, self.secret_params)
        super().save(*args, **kwargs)

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
    def last_stop(self) -> LaunchStop | None:
        """What somebody asked last to end the run; lists have read the stops of all their rows at once."""
        return max(self.stops.all(), key=lambda stop: stop.asked_at, default=None)

    @property
    def ended_by_stop(self) -> LaunchStop | None:
        """The stop that ended the run as it is now; ``None`` where it ended by itself, or goes on again."""
        stop, failed = self.last_stop, self.state == State.FAILED
        return stop if stop and failed and self.finished_at and stop.run_ended_at == self.finished_at else None

    @property
    def can_be_stopped(self) -> bool:
        """Whether there is, or may be, a run that goes on."""
        return self.state in UNFINISHED_RUN or (self.state == State.SUBMITTING and self.sent_at is not None)

    @property
    def can_be_cancelled(self) -> bool:
        return self.state == State.AWAITING_APPROVAL or (self.state == State.SUBMITTING and self.sent_at is None)
