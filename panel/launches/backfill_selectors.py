"""Reading backfills."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet

from panel.launches.backfill_states import MOVING, OPEN, UNFINISHED, BackfillState
from panel.launches.models import Backfill, BackfillRun
from panel.launches.selectors import unclaimed
from panel.servers.models import Server

ASK_EVERY: Final = timedelta(seconds=5)


def backfills(*, server: str = "", dag_id: str = "", states: Sequence[str] = ()) -> QuerySet[Backfill]:
    """All, or those of a server, a Dag, in some states."""
    found = Backfill.objects.select_related("server")
    if server:
        found = found.filter(server_slug=server)
    if dag_id:
        found = found.filter(dag_id=dag_id)
    if states:
        found = found.filter(state__in=states)
    return found


def backfill(backfill_id: UUID) -> Backfill:
    """Raises Backfill.DoesNotExist."""
    return Backfill.objects.select_related("server", "user").get(pk=backfill_id)


def backfill_of_key(user: User, idempotency_key: str) -> Backfill | None:
    """What this user has asked for with this key."""
    if not idempotency_key:
        return None
    return Backfill.objects.filter(user=user, idempotency_key=idempotency_key).first()


def open_backfill(server: Server, dag_id: str) -> Backfill | None:
    """The one that is on its way or goes on: Airflow takes no second one of the Dag."""
    return Backfill.objects.filter(server=server, dag_id=dag_id, state__in=OPEN).order_by("created_at").first()


def known_in_airflow(server: Server, airflow_id: int, to_date: datetime) -> Backfill | None:
    """Ours, by Airflow's id and the end that only ours has: an Airflow that was set up anew counts from 1 again."""
    return Backfill.objects.filter(server=server, airflow_id=airflow_id, to_date=to_date).first()


def runs_of(backfill: Backfill) -> QuerySet[BackfillRun]:
    """In the order in which they start."""
    return BackfillRun.objects.filter(backfill=backfill).order_by("position")


def due_backfills(now: datetime, limit: int) -> list[UUID]:
    """Those to submit that nobody is working on, longest waiting first."""
    due = Backfill.objects.filter(unclaimed(now), state=BackfillState.SUBMITTING, next_attempt_at__lte=now)
    return list(due.order_by("next_attempt_at").values_list("pk", flat=True)[:limit])


def backfills_to_ask_about(now: datetime) -> QuerySet[Backfill]:
    """Those that go on, or whose runs do, and were not asked about a moment ago; longest unasked first."""
    moving = Q(state__in=UNFINISHED)
    for state in sorted(MOVING):
        moving |= Q(state=BackfillState.CANCELLED, **{f"counts__{state}__gt": 0})
    unasked = Q(watched_at=None) | Q(watched_at__lt=now - ASK_EVERY)
    found = Backfill.objects.filter(moving, unasked, server__isnull=False, airflow_id__isnull=False)
    return found.select_related("server").order_by(F("watched_at").asc(nulls_first=True))
