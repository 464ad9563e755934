"""Reading launches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypedDict
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery

from panel.access.actions import GRANTS, Action
from panel.domain.states import FINISHED_RUN
from panel.launches.form_rights import through_usable_forms
from panel.launches.models import DagForm, Launch, LaunchStop
from panel.launches.states import RUN_STATES, UNFINISHED_RUN, State, StopState
from panel.mirror.models import Dag, DagRun
from panel.servers.models import Server

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

MIRROR_FRESH: Final = timedelta(seconds=20)
"""A run that the mirror has read this lately need not be asked about."""
ASK_EVERY: Final = timedelta(seconds=5)


def launches(
    *,
    server: str = "",
    dag_id: str = "",
    states: Sequence[str] = (),
    requested_by: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    query: str = "",
    protected: bool | None = None,
) -> QuerySet[Launch]:
    """All launches, or those that all of these hold for. ``until`` itself is left out; ``query`` is looked for in note
    and values, in any case, never in values that are secret."""
    exact = {"server_slug": server, "dag_id": dag_id, "username": requested_by}
    found = Launch.objects.select_related("server").prefetch_related("stops")
    found = found.filter(**{name: value for name, value in exact.items() if value})
    if states:
        found = found.filter(state__in=states)
    if since is not None:
        found = found.filter(created_at__gte=since)
    if until is not None:
        found = found.filter(created_at__lt=until)
    if query:
        found = found.filter(search_text__contains=query.casefold())
    return found if protected is None else found.filter(protected=protected)


def launch(launch_id: UUID) -> Launch:
    """Raises Launch.DoesNotExist."""
    found = Launch.objects.select_related("server", "user", "decided_by").prefetch_related("stops")
    return found.get(pk=launch_id)


def launch_of_key(user: User, idempotency_key: str) -> Launch | None:
    """What this user has launched with this key."""
    if not idempotency_key:
        return None
    return Launch.objects.filter(user=user, idempotency_key=idempotency_key).first()


def launches_to_approve(user: User) -> QuerySet[Launch]:
    """What waits for the yes of somebody else than the one who asked, and who may use its form; the one that expires
    first on top."""
    waiting = Launch.objects.filter(state=State.AWAITING_APPROVAL, user__isnull=False).exclude(user=user)
    return through_usable_forms(user, waiting).order_by("expires_at")


def approvers(launch: Launch) -> QuerySet[User]:
    """Everybody who may say yes or no to this launch and has an address, in the order in which they came."""
    groups = [name for name, actions in GRANTS.items() if Action.LAUNCH in actions]
    may = Q(is_superuser=True) | Q(pk__in=User.objects.filter(groups__name__in=groups).values("pk"))
    found = User.objects.filter(may, is_active=True).exclude(email="").exclude(pk__in=[launch.user_id])
    return found.order_by("pk")


def last_launch(server: Server, dag_id: str, *, before: datetime | None = None) -> Launch | None:
    """The launch of this Dag that reached Airflow last."""
    found = Launch.objects.filter(server_slug=server.slug, dag_id=dag_id, state__in=RUN_STATES)
    if before is not None:
        found = found.filter(created_at__lt=before)
    return found.order_by("-created_at").first()


def open_stop(launch: Launch) -> LaunchStop | None:
    """The stop of which it is not known yet what became of it."""
    return LaunchStop.objects.filter(launch=launch, state=StopState.ASKED).first()


def due_stops(now: datetime, limit: int) -> list[UUID]:
    """Stops that nobody is working on, longest waiting first."""
    due = LaunchStop.objects.filter(state=StopState.ASKED, next_attempt_at__lte=now).filter(unclaimed(now))
    return list(due.order_by("next_attempt_at").values_list("pk", flat=True)[:limit])


def due_launches(now: datetime, limit: int) -> list[UUID]:
    """Launches to submit that nobody is working on, longest waiting first."""
    due = Launch.objects.filter(state=State.SUBMITTING, next_attempt_at__lte=now).filter(unclaimed(now))
    return list(due.order_by("next_attempt_at").values_list("pk", flat=True)[:limit])


def unclaimed(now: datetime) -> Q:
    return Q(claimed_until=None) | Q(claimed_until__lt=now)


def dag_is_known(server: Server, dag_id: str) -> bool:
    """Whether Airflow had this Dag when it was last asked."""
    mirrored = Dag.objects.filter(server=server, dag_id=dag_id, deleted_at=None)
    return mirrored.exists() or DagForm.objects.filter(server=server, dag_id=dag_id).exists()


class Mirrored(TypedDict):
    """What the mirror knows of a launch's run."""

    mirror_state: str
    mirror_start: datetime | None
    mirror_end: datetime | None
    mirror_deleted_at: datetime | None
    mirror_synced_at: datetime | None


def changed_in_mirror(since: datetime) -> QuerySet[WithAnnotations[Launch, Mirrored]]:
    """Launches whose run the mirror shows in another state, or as deleted."""
    run = _mirrored_run()
    seen = Launch.objects.filter(state__in=RUN_STATES, created_at__gte=since).annotate(
        mirror_state=Subquery(run.values("state")[:1]),
        mirror_start=Subquery(run.values("start_date")[:1]),
        mirror_end=Subquery(run.values("end_date")[:1]),
        mirror_deleted_at=Subquery(run.values("deleted_at")[:1]),
        mirror_synced_at=Subquery(run.values("synced_at")[:1]),
    )
    # What was read before Airflow was asked about this launch is older than what the launch knows.
    newer = Q(watched_at=None) | Q(mirror_synced_at__gt=F("watched_at"))
    moved = Q(mirror_state__in=RUN_STATES, mirror_deleted_at=None) & ~Q(mirror_state=F("state"))
    return seen.filter(newer, moved | Q(mirror_deleted_at__isnull=False, message="", state__in=UNFINISHED_RUN))


def launches_to_ask_about(server: Server, now: datetime) -> QuerySet[Launch]:
    """Unfinished launches of this server that the mirror does not keep fresh, longest unasked first."""
    return _to_ask_about(now).filter(server=server).order_by(F("watched_at").asc(nulls_first=True))


def servers_to_ask(now: datetime) -> list[int]:
    """The servers that have such launches."""
    found = _to_ask_about(now).filter(server__isnull=False).order_by("server_id")
    return [server_id for server_id in found.values_list("server_id", flat=True).distinct() if server_id is not None]


def _to_ask_about(now: datetime) -> QuerySet[Launch]:
    known = Q(state__in=FINISHED_RUN) | Q(synced_at__gte=now - MIRROR_FRESH)
    unasked = Q(watched_at=None) | Q(watched_at__lt=now - ASK_EVERY)
    return Launch.objects.filter(unasked, ~Exists(_mirrored_run().filter(known)), state__in=UNFINISHED_RUN)


def _mirrored_run() -> QuerySet[DagRun]:
    return DagRun.objects.filter(
        dag__server__slug=OuterRef("server_slug"), dag__dag_id=OuterRef("dag_id"), run_id=OuterRef("dag_run_id")
    )
