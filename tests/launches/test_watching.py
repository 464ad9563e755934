"""A launch's state follows its run; the sweep finds what is due."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from panel.launches.models import Launch
from panel.launches.watching import ask_airflow, follow_mirror, mirror_run, sweep_launches
from panel.mirror.models import DagRun
from panel.servers.models import Server

pytestmark = pytest.mark.django_db


@pytest.fixture
def swept(woken, django_capture_on_commit_callbacks):
    """What a sweep wakes."""

    def sweep():
        woken.clear()
        with django_capture_on_commit_callbacks(execute=True):
            sweep_launches()
        return list(woken)

    return sweep


def state_of(launch):
    launch.refresh_from_db()
    return launch.state


def some_time_passes(launch):
    Launch.objects.filter(pk=launch.pk).update(watched_at=timezone.now() - timedelta(minutes=1))


@pytest.mark.parametrize("state", ["running", "success", "failed"])
def test_it_follows_the_run_in_airflow(state, launched, submitted, server, fake_airflow):
    launch = submitted(launched())
    run = fake_airflow.world.runs["deploy", launch.dag_run_id]
    run.state, run.start_date = state, fake_airflow.clock.now()
    run.end_date = None if state == "running" else run.start_date
    version = launch.version
    ask_airflow(server_id=server.pk)
    assert state_of(launch) == state
    assert launch.version > version
    assert (launch.started_at, launch.finished_at) == (run.start_date, run.end_date)


def test_it_follows_the_mirror_without_asking_airflow(launched, submitted, fake_airflow, swept):
    launch = submitted(launched())
    mirror_run(launch_id=launch.pk)
    DagRun.objects.update(state="running", synced_at=timezone.now())
    fake_airflow.forget_requests()
    assert ("launches.watch", (launch.server_id,)) not in swept()
    assert state_of(launch) == "running"
    assert fake_airflow.requests == []


def test_a_finished_run_that_goes_on_because_of_a_retry_is_followed(launched, submitted):
    launch = submitted(launched())
    mirror_run(launch_id=launch.pk)
    for state in ("failed", "running", "success"):
        DagRun.objects.update(state=state, synced_at=timezone.now())
        follow_mirror(now=timezone.now())
        assert state_of(launch) == state


def test_an_old_mirror_does_not_undo_what_airflow_said(launched, submitted, server, fake_airflow):
    launch = submitted(launched())
    mirror_run(launch_id=launch.pk)
    DagRun.objects.update(state="queued", synced_at=timezone.now() - timedelta(minutes=5))
    some_time_passes(launch)
    fake_airflow.finish_run("deploy", launch.dag_run_id, "success")
    ask_airflow(server_id=server.pk)
    follow_mirror(now=timezone.now())
    assert state_of(launch) == "success"


def test_a_mirror_that_is_old_makes_the_sweep_ask(launched, submitted, swept):
    launch = submitted(launched())
    mirror_run(launch_id=launch.pk)
    DagRun.objects.update(synced_at=timezone.now() - timedelta(minutes=5))
    some_time_passes(launch)
    assert ("launches.watch", (launch.server_id,)) in swept()


def test_a_run_that_was_deleted_in_airflow_is_said(launched, submitted, server, fake_airflow):
    launch = submitted(launched())
    fake_airflow.remove_run("deploy", launch.dag_run_id)
    ask_airflow(server_id=server.pk)
    assert state_of(launch) == "failed"
    assert "deleted" in launch.message


def test_a_run_that_the_mirror_saw_deleted_is_said(launched, submitted):
    launch = submitted(launched())
    mirror_run(launch_id=launch.pk)
    DagRun.objects.update(deleted_at=timezone.now(), synced_at=timezone.now())
    follow_mirror(now=timezone.now())
    assert state_of(launch) == "failed"
    assert "deleted" in launch.message


def test_a_run_is_asked_about_once_in_a_while_only(launched, submitted, server, fake_airflow):
    submitted(launched())
    ask_airflow(server_id=server.pk)
    fake_airflow.forget_requests()
    ask_airflow(server_id=server.pk)
    assert fake_airflow.requests == []


def test_airflow_down_leaves_the_state_and_is_noted_on_the_server(launched, submitted, server, fake_airflow):
    launch = submitted(launched())
    fake_airflow.down = True
    ask_airflow(server_id=server.pk)
    assert state_of(launch) == "queued"
    assert Server.objects.get().healthy is False


def test_the_sweep_wakes_what_is_due_and_only_that(launched, submitted, swept):
    due, claimed, pausing = launched(), launched(), launched()
    soon = timezone.now() + timedelta(minutes=1)
    Launch.objects.filter(pk=claimed.pk).update(claim=uuid4(), claimed_until=soon)
    Launch.objects.filter(pk=pausing.pk).update(next_attempt_at=soon)
    assert [args for name, args in swept() if name == "launches.submit"] == [(str(due.pk),)]


def test_a_claim_that_ran_out_is_due_again(launched, swept):
    launch = launched()
    ago = timezone.now() - timedelta(seconds=1)
    Launch.objects.filter(pk=launch.pk).update(claim=uuid4(), claimed_until=ago)
    assert ("launches.submit", (str(launch.pk),)) in swept()


def test_with_nothing_to_do_the_sweep_wakes_nobody(launched, submitted, deployer, swept):
    launch = submitted(launched())
    Launch.objects.filter(pk=launch.pk).update(state="success")
    assert swept() == []


def test_a_run_that_is_accepted_is_taken_up_by_the_mirror(
    launched, submitted, woken, django_capture_on_commit_callbacks
):
    launch = launched()
    with django_capture_on_commit_callbacks(execute=True):
        submitted(launch)
    assert ("launches.mirror_run", (str(launch.pk),)) in woken
    mirror_run(launch_id=launch.pk)
    assert DagRun.objects.get().run_id == launch.dag_run_id


def test_the_tasks_do_what_their_names_say(launched, fake_airflow):
    from panel.launches import tasks

    launch = launched()
    tasks.submit(str(launch.pk))
    assert state_of(launch) == "queued"
    tasks.mirror(str(launch.pk))
    fake_airflow.finish_run("deploy", launch.dag_run_id, "success")
    some_time_passes(launch)
    DagRun.objects.all().delete()
    tasks.watch(launch.server_id)
    assert state_of(launch) == "success"
    tasks.sweep()
    assert {task.name for task in (tasks.submit, tasks.watch, tasks.sweep, tasks.mirror)} == {
        "launches.submit",
        "launches.watch",
        "launches.sweep",
        "launches.mirror_run",
    }
