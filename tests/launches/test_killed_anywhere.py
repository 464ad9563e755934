"""A worker that is killed at any statement or request of a launch, a stop or a backfill: one of it, whatever comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from itertools import count

import pytest
from django.utils import timezone

from panel.launches.backfill_submission import submit_backfill
from panel.launches.backfills import request_backfill
from panel.launches.models import Backfill, Launch, LaunchStop
from panel.launches.services import request_launch
from panel.launches.stop_sending import stop_run
from panel.launches.stopping import request_stop
from panel.launches.submission import submit_launch
from tests.launches.backfilling import DAG, asked
from tests.mirror.dying import Death, killed_at_request, killed_at_statement

pytestmark = pytest.mark.django_db

Kill = Callable[[int], AbstractContextManager[Death]]
KILLS: dict[str, Kill] = {
    "at a statement": killed_at_statement,
    "before a request": partial(killed_at_request, after=False),
    "after a request": partial(killed_at_request, after=True),
}
KILLED = pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS)
MOST = 200
"""More than any of these takes: a kill that never stops coming would be a fault of the test."""


def deaths(kill: Kill, work: Callable[[], object]) -> Iterator[int]:
    """The work, killed at its first step, its second, and so on; ends with the one that is done before."""
    for number in count():
        assert number < MOST
        with kill(number) as death:
            work()
        yield number
        if not death.came:
            assert number > 0, "nothing was killed"
            return


def time_passes() -> None:
    """Longer than any claim and any pause between two attempts."""
    ago = timezone.now() - timedelta(hours=1)
    for model in (Launch, LaunchStop, Backfill):
        model.objects.exclude(claimed_until=None).update(claimed_until=ago)
        model.objects.update(next_attempt_at=ago)
    LaunchStop.objects.exclude(sent_at=None).update(sent_at=ago)


@KILLED
def test_a_launch_becomes_one_run(kill, server, deployer, deploy_dag, fake_airflow):
    def work() -> None:
        launch = request_launch(user=deployer, server=server, dag_id="deploy", params={"version": "1"}).launch
        submit_launch(launch_id=launch.pk)

    for _number in deaths(kill, work):
        time_passes()
        for launch in Launch.objects.filter(state="submitting"):
            submit_launch(launch_id=launch.pk)
        made = [run.run_id for run in fake_airflow.world.runs.values()]
        assert sorted(made) == sorted(Launch.objects.values_list("dag_run_id", flat=True)), (
            "one for each that is stored"
        )
        assert set(Launch.objects.values_list("state", flat=True)) <= {"queued", "running"}


@KILLED
def test_a_stop_ends_the_run_once(kill, server, deployer, deploy_dag, fake_airflow):
    def started() -> Launch:
        launch = request_launch(user=deployer, server=server, dag_id="deploy", params={"version": "1"}).launch
        submit_launch(launch_id=launch.pk)
        return launch

    at = started()

    def work() -> None:
        stop = request_stop(user=deployer, launch=Launch.objects.get(pk=at.pk), reason="wrong version").stop
        stop_run(stop_id=stop.pk)

    for _number in deaths(kill, work):
        for stop in LaunchStop.objects.filter(launch=at):
            time_passes()
            stop_run(stop_id=stop.pk)
            stop.refresh_from_db()
            assert stop.state == "done"
            run = next(run for run in fake_airflow.world.runs.values() if run.run_id == at.dag_run_id)
            assert run.state == "failed"
            assert run.note.count("Stopped by") == 1
        at = started()


@KILLED
def test_a_backfill_is_made_once(kill, server, deployer, daily_dag, fake_airflow):
    def work() -> None:
        backfill = request_backfill(user=deployer, server=server, dag_id=DAG, asked=asked()).backfill
        submit_backfill(backfill_id=backfill.pk)

    for _number in deaths(kill, work):
        stored = list(Backfill.objects.values_list("pk", flat=True))
        for backfill_id in stored:
            time_passes()
            submit_backfill(backfill_id=backfill_id)
        assert len(fake_airflow.world.backfills) == len(stored) <= 1
        assert set(Backfill.objects.values_list("state", flat=True)) <= {"running"}
        fake_airflow.world.backfills.clear()
        fake_airflow.world.runs.clear()
        Backfill.objects.all().delete()
