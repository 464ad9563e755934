"""A backfill follows Airflow: its runs, pauses, cancels, and what others do to it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from panel.airflow import Unreachable
from panel.launches.backfill_watching import sweep_backfills, watch_backfill
from panel.launches.backfills import cancel_backfill, pause_backfill, resume_backfill
from panel.launches.guard_rails_changing import add_freeze
from panel.launches.models import Backfill
from panel.problems import Conflicting
from tests.fakes.airflow import KeepRunning
from tests.launches.backfilling import DAG, day, watched, worked

pytestmark = pytest.mark.django_db


def keep_running(row):
    raise KeepRunning


@pytest.fixture
def started(backfilled):
    """Five runs, two at a time; Airflow has them all queued."""
    return watched(worked(backfilled(1, 5)))


def states(backfill):
    return [run.state for run in backfill.runs.all()]


def made(fake_airflow):
    return next(iter(fake_airflow.world.backfills.values()))


def test_queued_runs_have_ids_and_no_start(started):
    assert started.counts == {"queued": 5}
    runs = list(started.runs.all())
    assert [run.run_id for run in runs] == [f"backfill__{day(number).isoformat()}" for number in range(1, 6)]
    assert {run.start_date for run in runs} == {None}, "Airflow shows when they were made"


def test_as_many_run_at_once_as_were_asked_for(started, fake_airflow):
    fake_airflow.run_queued(keep_running)
    backfill = watched(started)
    assert backfill.counts == {"running": 2, "queued": 3}
    assert all(run.start_date for run in backfill.runs.all() if run.state == "running")
    assert (backfill.state, backfill.ended, backfill.is_live) == ("running", 0, True)


def test_when_all_have_ended_it_is_done(started, fake_airflow):
    fake_airflow.run_queued()
    backfill = watched(started)
    assert (backfill.state, backfill.counts, backfill.is_live) == ("done", {"success": 5}, False)
    assert backfill.finished_at is not None
    assert all(run.seconds is not None for run in backfill.runs.all())


def test_the_version_grows_only_when_something_changed(started, fake_airflow):
    again = watched(started)
    assert again.version == started.version
    assert again.synced_at > started.synced_at
    fake_airflow.run_queued(keep_running)
    assert watched(again).version > again.version


def test_after_the_first_look_only_what_changed_is_read(started, fake_airflow):
    fake_airflow.forget_requests()
    watched(started)
    (read,) = fake_airflow.calls("GET", "/dagRuns")
    assert "updated_at_gte" in dict(read.query)
    fake_airflow.run_queued()
    fake_airflow.forget_requests()
    watched(started)
    (read,) = fake_airflow.calls("GET", "/dagRuns")
    assert "updated_at_gte" not in dict(read.query), "the last look reads all of them"


def test_it_is_not_asked_about_more_often_than_every_few_seconds(started, fake_airflow):
    fake_airflow.forget_requests()
    watch_backfill(backfill_id=started.pk)
    assert fake_airflow.requests == []


def test_runs_of_dates_that_were_left_out_are_not_ours(backfilled, fake_airflow):
    fake_airflow.add_run(DAG, "backfill__older", state="success", logical_date=day(2), run_type="backfill")
    backfill = watched(worked(backfilled(1, 3)))
    assert [run.logical_date for run in backfill.runs.all()] == [day(1), day(3)]
    assert backfill.planned == 2


def test_a_run_that_came_in_between_is_left_out_and_said(backfilled, fake_airflow, monkeypatch):
    from panel.launches import backfill_submission

    really = backfill_submission._mark_sent

    def somebody_launches_meanwhile(*given):
        fake_airflow.add_run(DAG, "scheduled__2", state="running", logical_date=day(2), run_type="scheduled")
        return really(*given)

    monkeypatch.setattr(backfill_submission, "_mark_sent", somebody_launches_meanwhile)
    backfill = worked(backfilled(1, 3))
    fake_airflow.run_queued()
    backfill = watched(backfill)
    assert (backfill.state, backfill.counts) == ("done", {"success": 2, "left_out": 1})


def test_runs_done_again_keep_their_own_ids(backfilled, fake_airflow):
    fake_airflow.add_run(DAG, "scheduled__2", state="failed", logical_date=day(2), run_type="scheduled")
    backfill = worked(backfilled(1, 2, reprocess="failed"))
    fake_airflow.run_queued()
    assert [run.run_id for run in watched(backfill).runs.all()][1] == "scheduled__2"


def test_pause_starts_no_further_runs_and_resume_does(started, deployer, fake_airflow):
    fake_airflow.run_queued(keep_running)
    assert pause_backfill(user=deployer, backfill=started).state == "paused"
    for run in fake_airflow.world.runs.values():
        if run.state == "running":
            fake_airflow.finish_run(DAG, run.run_id)
    fake_airflow.run_queued()
    assert watched(started).counts == {"success": 2, "queued": 3}
    assert resume_backfill(user=deployer, backfill=watched(started)).state == "running"
    fake_airflow.run_queued()
    assert watched(started).counts == {"success": 5}


def test_a_pause_made_in_airflow_is_noticed(started, fake_airflow):
    made(fake_airflow).is_paused = True
    assert watched(started).state == "paused"


def test_nothing_resumes_in_a_freeze(started, deployer, admin, server):
    paused = pause_backfill(user=deployer, backfill=started)
    now = timezone.now()
    hour = {"starts_at": now - timedelta(minutes=1), "ends_at": now + timedelta(hours=1)}
    add_freeze(user=admin, server=server, dag_id=DAG, reason="inventory", **hour)
    with pytest.raises(Conflicting, match="inventory"):
        resume_backfill(user=deployer, backfill=paused)
    assert cancel_backfill(user=deployer, backfill=paused).state == "cancelled", "a freeze keeps nobody from stopping"


def test_cancel_says_which_runs_never_ran_and_follows_those_that_go_on(started, deployer, fake_airflow):
    fake_airflow.run_queued(keep_running)
    backfill = cancel_backfill(user=deployer, backfill=watched(started))
    assert (backfill.state, backfill.message) == ("cancelled", "Cancelled by dora.")
    backfill = watched(backfill)
    assert (backfill.state, backfill.counts, backfill.is_live) == ("cancelled", {"running": 2, "never_ran": 3}, True)
    for run in fake_airflow.world.runs.values():
        if run.state == "running":
            fake_airflow.finish_run(DAG, run.run_id)
    backfill = watched(backfill)
    assert (backfill.counts, backfill.is_live) == ({"success": 2, "never_ran": 3}, False)


def test_a_cancel_made_in_airflow_is_told_from_an_end(started, server, fake_airflow):
    from panel.servers.client import open_client

    with open_client(server) as airflow:
        airflow.backfills.cancel(started.airflow_id)
    backfill = watched(started)
    assert (backfill.state, backfill.counts) == ("cancelled", {"never_ran": 5})


def test_what_is_completed_cannot_be_changed(started, deployer, fake_airflow):
    fake_airflow.run_queued()  # the panel does not know yet
    with pytest.raises(Conflicting, match="completed already"):
        pause_backfill(user=deployer, backfill=started)
    backfill = watched(started)
    assert backfill.state == "done"
    for verb in (pause_backfill, resume_backfill, cancel_backfill):
        with pytest.raises(Conflicting, match="over"):
            verb(user=deployer, backfill=backfill)


def test_what_is_on_its_way_can_be_neither_paused_nor_cancelled(backfilled, deployer, fake_airflow):
    fake_airflow.fail_next(method="POST", path="/api/v2/backfills", skip=1, drop=True, after=True)
    backfill = worked(backfilled())
    for verb in (pause_backfill, cancel_backfill):
        with pytest.raises(Conflicting, match="on its way"):
            verb(user=deployer, backfill=backfill)


def test_a_lost_answer_to_a_pause_changes_nothing_until_airflow_says_so(started, deployer, fake_airflow):
    fake_airflow.fail_next(method="PUT", path="/pause", drop=True, after=True)
    with pytest.raises(Unreachable):
        pause_backfill(user=deployer, backfill=started)
    assert Backfill.objects.get().state == "running"
    assert watched(started).state == "paused"


def test_while_airflow_is_away_what_was_known_stays(started, fake_airflow):
    fake_airflow.down = True
    backfill = watched(started)
    assert (backfill.state, backfill.counts) == ("running", {"queued": 5})


def test_one_that_airflow_no_longer_has_is_said(started, fake_airflow):
    fake_airflow.world.backfills.clear()
    backfill = watched(started)
    assert (backfill.state, backfill.is_live) == ("done", False)
    assert "no longer has this backfill" in backfill.message


def test_one_whose_dag_was_deleted_is_said(started, fake_airflow):
    fake_airflow.remove_dag(DAG)
    backfill = watched(started)
    assert (backfill.state, backfill.is_live) == ("done", False)


def test_another_one_with_its_number_is_not_taken_for_it(started, fake_airflow):
    """Airflow was set up anew, and counts from 1 again."""
    made(fake_airflow).to_date = day(28)
    assert "no longer has this backfill" in watched(started).message


def test_a_new_one_may_get_a_number_that_an_old_one_had(started, fake_airflow, backfilled):
    fake_airflow.world.backfills.clear()
    fake_airflow.world.runs.clear()
    watched(started)
    again = worked(backfilled(1, 5))
    assert (again.state, again.airflow_id) == ("running", started.airflow_id)


def test_the_sweep_wakes_the_worker_for_what_is_due(
    backfilled, fake_airflow, woken, django_capture_on_commit_callbacks
):
    def swept():
        woken.clear()
        with django_capture_on_commit_callbacks(execute=True):
            sweep_backfills()
        return list(woken)

    backfill = backfilled()
    assert swept() == [("launches.submit_backfill", (str(backfill.pk),))]
    worked(backfill)
    assert swept() == [("launches.watch_backfill", (str(backfill.pk),))]
    watched(backfill)
    assert swept() == [], "it was asked about a moment ago"
    fake_airflow.run_queued()
    watched(backfill)
    Backfill.objects.update(watched_at=None)
    assert swept() == [], "nothing changes any more"
