"""A launch's state follows its run: from the mirror where that is fresh, else by asking Airflow."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import Airflow, AirflowError, NotFound
from panel.launches.approvals import expire_launches
from panel.launches.models import Launch
from panel.launches.selectors import (
    ASK_EVERY,
    changed_in_mirror,
    due_launches,
    due_stops,
    launches_to_ask_about,
    servers_to_ask,
)
from panel.launches.states import RUN_STATES, State
from panel.mirror.models import DagRun
from panel.mirror.services import find_or_fetch_run
from panel.servers.client import open_client
from panel.servers.models import Server
from panel.wake import wake

logger = logging.getLogger(__name__)

WAKES_A_SWEEP: Final = 100
ASKED_A_PASS: Final = 40


def sweep_launches() -> None:
    """Wake whoever has something to do; follow the mirror at once, as that costs one query."""
    now = timezone.now()
    for launch_id in due_launches(now, WAKES_A_SWEEP):
        wake("launches.submit", str(launch_id))
    for stop_id in due_stops(now, WAKES_A_SWEEP):
        wake("launches.stop", str(stop_id))
    expire_launches()
    follow_mirror(now=now)
    for server_id in servers_to_ask(now):
        wake("launches.watch", server_id)


def follow_mirror(*, now: datetime) -> None:
    """Take over what the mirror has seen, also of a finished run that goes on because of a retry."""
    since = now - timedelta(days=settings.MIRROR_DAYS)
    for launch in changed_in_mirror(since):
        if launch.mirror_deleted_at is not None:
            _write(launch.pk, **_gone(launch))
        else:
            _write(
                launch.pk,
                state=launch.mirror_state,
                message="",
                started_at=launch.mirror_start,
                finished_at=launch.mirror_end,
            )


def ask_airflow(*, server_id: int) -> None:
    """The states of launched runs that the mirror does not show, from Airflow's list of runs.

    When the server cannot be asked, that is noted on the server and a later sweep tries again.
    """
    server, now = Server.objects.filter(pk=server_id).first(), timezone.now()
    if server is None:
        return
    chosen = [launch for launch in launches_to_ask_about(server, now)[:ASKED_A_PASS] if asked_again(launch, now)]
    if not chosen:
        return
    try:
        with open_client(server) as airflow:
            for launch in chosen:
                _ask(airflow, launch)
    except AirflowError as error:
        logger.info("The runs launched on %s cannot be followed now: %s", server.slug, error.code)


def _ask(airflow: Airflow, launch: Launch) -> None:
    try:
        run = airflow.runs.find(launch.dag_id, launch.dag_run_id)
    except NotFound:
        _write(launch.pk, **_gone(launch))
        return
    if run.state in RUN_STATES and run.state != launch.state:
        _write(launch.pk, state=run.state, message="", started_at=run.start_date, finished_at=run.end_date)


def mirror_run(*, launch_id: UUID) -> None:
    """Have the mirror take up the run of a launch, so that its targets can be seen.

    When the server cannot be asked, that is noted on the server, and the next view of the launch asks again.
    """
    launch = Launch.objects.select_related("server").filter(pk=launch_id, state__in=RUN_STATES).first()
    if launch is None or launch.server is None:
        return
    try:
        find_or_fetch_run(server=launch.server, dag_id=launch.dag_id, run_id=launch.dag_run_id)
    except DagRun.DoesNotExist:
        _write(launch.pk, **_gone(launch))
    except AirflowError as error:
        logger.info("The run of launch %s cannot be read now: %s", launch.pk, error.code)


def asked_again(launch: Launch, now: datetime) -> bool:
    """Claim the next question about this run: one at a time, and only when the last one was a while ago."""
    due = Q(watched_at=None) | Q(watched_at__lt=now - ASK_EVERY)
    return bool(Launch.objects.filter(due, pk=launch.pk).update(watched_at=now))


def _gone(launch: Launch) -> dict[str, Any]:
    return {
        "state": State.FAILED if launch.state not in {State.SUCCESS, State.FAILED} else launch.state,
        "message": _("Airflow no longer has this run: it was deleted there."),
        "finished_at": launch.finished_at or timezone.now(),
    }


def _write(launch_id: UUID, **changes: Any) -> None:
    Launch.objects.filter(pk=launch_id, state__in=RUN_STATES).update(**changes, version=F("version") + 1)
