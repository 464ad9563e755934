"""Stopping a launched run: asked for once, done once, and said who and why. What Airflow holds is the proof."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from panel.access.models import AuditEvent
from panel.launches.models import Launch, LaunchStop
from panel.launches.services import cancel_launch
from panel.launches.stop_sending import stop_run
from panel.launches.stopping import request_stop
from panel.launches.watching import follow_mirror, mirror_run, sweep_launches
from panel.mirror.models import DagRun, MappedTask
from panel.mirror.services import sync_mapped_task
from panel.problems import Conflicting, Unprocessable

pytestmark = pytest.mark.django_db
REASON = "wrong version"


@pytest.fixture
def second(person):
    return person("dirk", "deployer")


@pytest.fixture
def running(launched, submitted, fake_airflow) -> Launch:
    """Four regions: the first is done, the second runs, two wait."""
    launch = submitted(launched(env="prod"))
    fake_airflow.expand("deploy", launch.dag_run_id, "deploy_region", 4)
    fake_airflow.finish("deploy", launch.dag_run_id, "deploy_region", 0, result={"status": "ok"})
    fake_airflow.start("deploy", launch.dag_run_id, "deploy_region", 1)
    fake_airflow.world.runs["deploy", launch.dag_run_id].state = "running"
    mirror_run(launch_id=launch.pk)
    for mapped_task in MappedTask.objects.all():
        sync_mapped_task(mapped_task_id=mapped_task.pk, full=True)
    Launch.objects.update(state="running")
    launch.refresh_from_db()
    return launch


def asked(user, launch, reason=REASON) -> LaunchStop:
    return request_stop(user=user, launch=launch, reason=reason).stop


def worked(stop) -> LaunchStop:
    """What a worker makes of a stop that is due."""
    LaunchStop.objects.filter(pk=stop.pk).update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    stop_run(stop_id=stop.pk)
    stop.refresh_from_db()
    stop.launch.refresh_from_db()
    return stop


def unsure_no_more(stop) -> None:
    """Let the time pass in which a request whose answer was lost may still arrive."""
    LaunchStop.objects.filter(pk=stop.pk).update(sent_at=stop.sent_at - timedelta(minutes=10))


def patches(fake_airflow):
    return fake_airflow.calls("PATCH", "/dagRuns/")


def run_of(launch, fake_airflow):
    return fake_airflow.world.runs["deploy", launch.dag_run_id]


def text_of(response):
    return " ".join(response.content.decode().split())


# ── What it does ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_run_is_failed_and_its_note_says_who_and_why(running, second, fake_airflow):
    stop = worked(asked(second, running))
    assert stop.state == "done"
    run = run_of(running, fake_airflow)
    assert run.state == "failed"
    for words in ("why", "Launched by dora", "Stopped by dirk", REASON):
        assert words in run.note
    assert fake_airflow.states("deploy", running.dag_run_id, "check") == {-1: "skipped"}
    assert fake_airflow.tries_started("deploy", running.dag_run_id, "deploy_region") == {0: 1, 1: 1}
    assert stop.launch.state == "failed"
    assert stop.launch.finished_at == run.end_date
    assert len(patches(fake_airflow)) == 1


def test_an_older_look_of_the_mirror_does_not_bring_the_run_back(running, deployer):
    stop = worked(asked(deployer, running))
    assert DagRun.objects.get().state != "failed", "the mirror has read the run before the stop"
    follow_mirror(now=timezone.now())
    stop.launch.refresh_from_db()
    assert stop.launch.state == "failed"


def test_every_step_leaves_a_trace(running, second):
    worked(asked(second, running))
    wanted, done = AuditEvent.objects.filter(action__startswith="launches.stop").order_by("pk")
    assert (wanted.username, wanted.action, wanted.detail["reason"]) == ("dirk", "launches.stop", REASON)
    assert (done.action, done.detail["outcome"]) == ("launches.stopped", "done")


def test_a_long_note_gives_way_to_the_reason(running, deployer, fake_airflow):
    run_of(running, fake_airflow).note = "x" * 1_000
    worked(asked(deployer, running, reason="y" * 500))
    note = run_of(running, fake_airflow).note
    assert len(note) <= 1_000
    assert "y" * 500 in note


# ── Exactly once ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_two_tabs_make_one_stop(running, deployer, second, fake_airflow):
    first = request_stop(user=deployer, launch=running, reason=REASON)
    again = request_stop(user=second, launch=running, reason="another reason")
    assert (first.created, again.created, again.stop.pk) == (True, False, first.stop.pk)
    worked(first.stop)
    stop_run(stop_id=first.stop.pk)
    assert len(patches(fake_airflow)) == 1


def test_two_tabs_at_the_very_same_moment_make_one_stop(running, deployer, monkeypatch):
    """The second has looked before the first has stored."""
    first = asked(deployer, running)
    looks = [None, first]
    monkeypatch.setattr("panel.launches.stopping.open_stop", lambda launch: looks.pop(0))
    again = request_stop(user=deployer, launch=running, reason=REASON)
    assert (again.created, again.stop.pk) == (False, first.pk)
    assert LaunchStop.objects.count() == 1


def test_a_lost_answer_after_airflow_did_it_is_resolved_by_reading(running, deployer, fake_airflow):
    stop = asked(deployer, running)
    fake_airflow.fail_next(method="PATCH", path="/dagRuns/", drop=True, after=True)
    assert worked(stop).state == "asked"
    assert worked(stop).state == "done"
    assert len(patches(fake_airflow)) == 1, "it must be looked up, not sent again"


def test_what_somebody_restarted_after_a_lost_answer_is_left_alone(running, deployer, fake_airflow):
    stop = asked(deployer, running)
    fake_airflow.fail_next(method="PATCH", path="/dagRuns/", drop=True, after=True)
    worked(stop)
    run_of(running, fake_airflow).state = "running"
    unsure_no_more(stop)
    assert worked(stop).state == "done"
    assert "started it again" in stop.message
    assert stop.launch.state == "running"
    assert len(patches(fake_airflow)) == 1


def test_a_request_that_got_lost_is_sent_again_but_not_at_once(running, deployer, fake_airflow):
    stop = asked(deployer, running)
    fake_airflow.fail_next(method="PATCH", path="/dagRuns/", hang=60)
    worked(stop)
    assert worked(stop).state == "asked", "it may still arrive"
    assert len(patches(fake_airflow)) == 1
    unsure_no_more(stop)
    assert worked(stop).state == "done"
    assert run_of(running, fake_airflow).state == "failed"


def test_a_killed_worker_leaves_it_to_the_next(running, deployer, fake_airflow, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*args):
        raise Killed

    stop = asked(deployer, running)
    with monkeypatch.context() as patched:
        patched.setattr("panel.launches.stop_sending._settle", killed)
        with pytest.raises(Killed):
            stop_run(stop_id=stop.pk)
    assert worked(stop).state == "asked", "its claim holds for a while"
    LaunchStop.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert worked(stop).state == "done"
    assert len(patches(fake_airflow)) == 1


def test_it_waits_while_airflow_is_away_and_gives_up_in_time(running, deployer, fake_airflow):
    stop = asked(deployer, running)
    fake_airflow.down = True
    assert worked(stop).state == "asked"
    assert stop.next_attempt_at > timezone.now()
    LaunchStop.objects.update(deadline_at=timezone.now())
    assert worked(stop).state == "refused"
    assert "The run goes on" in stop.message
    fake_airflow.down = False
    assert run_of(running, fake_airflow).state == "running"
    assert worked(asked(deployer, running)).state == "done", "it can be asked for again"


def test_airflows_no_is_said(running, deployer, fake_airflow):
    stop = asked(deployer, running)
    fake_airflow.fail_next(method="PATCH", path="/dagRuns/", status=403, detail="Forbidden")
    assert worked(stop).state == "refused"
    assert "may not change runs" in stop.message
    assert stop.launch.state == "running"


# ── Nothing to stop ──────────────────────────────────────────────────────────────────────────────────────────────
def test_a_run_that_ended_by_itself_is_not_touched(running, deployer, fake_airflow):
    stop = asked(deployer, running)
    fake_airflow.finish_run("deploy", running.dag_run_id, "success")
    assert worked(stop).state == "needless"
    assert "ended by itself" in stop.message
    assert stop.launch.state == "success"
    assert patches(fake_airflow) == []


def test_a_run_that_was_deleted_is_said(running, deployer, fake_airflow):
    stop = asked(deployer, running)
    fake_airflow.remove_run("deploy", running.dag_run_id)
    assert worked(stop).state == "needless"
    assert "deleted" in stop.message


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_run_that_is_over_cannot_be_stopped(state, running, deployer):
    Launch.objects.update(state=state)
    running.refresh_from_db()
    with pytest.raises(Conflicting, match="over already"):
        asked(deployer, running)
    assert not LaunchStop.objects.exists()


def test_one_that_ends_between_look_and_click_cannot_either(running, deployer):
    Launch.objects.update(state="success")  # the page, and this object, still say running
    with pytest.raises(Conflicting, match="over already"):
        asked(deployer, running)


def test_what_was_not_sent_is_cancelled_instead(launched, deployer):
    with pytest.raises(Conflicting, match="Cancel it instead"):
        asked(deployer, launched())


def test_a_launch_that_is_on_its_way_is_stopped_without_being_sent_again(
    launched, submitted, due, deployer, fake_airflow
):
    fake_airflow.fail_next(method="POST", path="/dagRuns", hang=60)
    launch = submitted(launched())
    stop = asked(deployer, launch)
    assert worked(stop).state == "asked", "whether there is a run is not known"
    due(launch)
    assert submitted(launch).state == "submitting", "what was sent may still arrive"
    LaunchStop.objects.update(asked_at=timezone.now() - timedelta(minutes=10))
    due(launch)
    assert submitted(launch).state == "refused"
    assert "stopped by dora" in launch.message
    assert worked(stop).state == "needless"
    assert fake_airflow.world.runs == {}
    assert len(fake_airflow.calls("POST", "/dagRuns")) == 1


def test_a_launch_on_its_way_whose_run_is_there_is_stopped(launched, submitted, due, deployer, fake_airflow):
    fake_airflow.fail_next(method="POST", path="/dagRuns", drop=True, after=True)
    launch = submitted(launched())
    stop = asked(deployer, launch)
    due(launch)
    submitted(launch)
    assert worked(stop).state == "done"
    assert run_of(launch, fake_airflow).state == "failed"


# ── Rights and reasons ───────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("cast", ["viewer", "operator", "nobody"])
def test_it_takes_the_right_to_launch(cast, running, request):
    with pytest.raises(PermissionDenied):
        asked(request.getfixturevalue(cast), running)


def test_who_lost_the_right_before_it_was_sent_stops_nothing(running, second, fake_airflow):
    stop = asked(second, running)
    second.groups.set(Group.objects.filter(name="viewer"))
    assert worked(stop).state == "refused"
    assert patches(fake_airflow) == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "nul \x00"])
def test_a_reason_is_needed(reason, running, deployer):
    with pytest.raises(Unprocessable) as refused:
        asked(deployer, running, reason=reason)
    assert list(refused.value.fields) == ["reason"]


def test_the_sweep_wakes_what_is_due(running, deployer, woken, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        stop = asked(deployer, running)
        sweep_launches()
    assert woken.count(("launches.stop", (str(stop.pk),))) == 2


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────
def stop_url(launch):
    return f"/launches/{launch.pk}/stop/"


def test_the_confirmation_says_what_happens_and_what_airflow_marks_along(running, deployer, as_user):
    client = as_user(deployer)
    assert stop_url(running) in text_of(client.get(f"/launches/{running.pk}/"))
    page = text_of(client.get(stop_url(running)))
    assert "Airflow marks the run as failed" in page
    assert "1 index runs now." in page
    assert "2 indices wait now." in page
    assert "also the 1 that has ended well" in page


def test_stopped_from_the_page_it_says_who_and_why(running, second, deployer, viewer, as_user):
    answer = as_user(second).post(stop_url(running), {"reason": "<b>wrong</b>"}, follow=True)
    assert "Being stopped by dirk" in text_of(answer)
    assert "Stop this run…" not in text_of(answer)
    again = as_user(deployer).post(stop_url(running), {"reason": "me too"}, follow=True)
    assert "dirk has asked for it already" in text_of(again)
    worked(LaunchStop.objects.get())
    page = text_of(as_user(viewer).get(f"/launches/{running.pk}/"))
    assert "Stopped by <strong>dirk</strong>" in page
    assert "&lt;b&gt;wrong&lt;/b&gt;" in page


def test_a_page_that_is_open_says_it_without_a_reload(running, deployer, as_user):
    client = as_user(deployer)
    before = client.get(f"/launches/{running.pk}/")
    asked(deployer, running)
    answer = client.get(f"/launches/{running.pk}/?v={before.context['board'].version}", headers={"HX-Request": "true"})
    assert "Being stopped by dora" in text_of(answer)


def test_without_a_reason_nothing_is_asked(running, deployer, as_user):
    answer = as_user(deployer).post(stop_url(running), {"reason": " "})
    assert answer.status_code == 422
    assert "Say why." in text_of(answer)
    assert not LaunchStop.objects.exists()


def test_stopping_what_is_over_says_so(running, deployer, as_user):
    Launch.objects.update(state="success")
    client = as_user(deployer)
    assert "The run is over already" in text_of(client.get(stop_url(running)))
    assert "The run is over already" in text_of(client.post(stop_url(running), {"reason": "x"}, follow=True))


@pytest.mark.parametrize("cast", ["viewer", "operator", "nobody"])
def test_others_are_not_offered_it(cast, running, as_user, request):
    user = request.getfixturevalue(cast)
    assert as_user(user).post(stop_url(running), {"reason": "x"}).status_code == 403
    assert "Stop this run…" not in text_of(as_user(user).get(f"/launches/{running.pk}/"))


# ── REST ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def post(client, launch, verb, body):
    return client.post(f"/api/v1/launches/{launch.pk}/{verb}/", json.dumps(body), content_type="application/json")


def test_rest_stops_and_tells_who_and_why(running, second, viewer, as_user):
    client = as_user(second)
    first = post(client, running, "stop", {"reason": REASON})
    assert first.status_code == 202
    assert post(client, running, "stop", {"reason": "again"}).status_code == 200
    worked(LaunchStop.objects.get())
    told = as_user(viewer).get(f"/api/v1/launches/{running.pk}/").json()
    assert told["state"] == "failed"
    assert {name: told["stop"][name] for name in ("state", "username", "reason")} == {
        "state": "done",
        "username": "dirk",
        "reason": REASON,
    }
    assert as_user(viewer).get("/api/v1/launches/").json()["results"][0]["stop"]["username"] == "dirk"


def test_rest_says_what_is_wrong(running, launched, deployer, viewer, as_user):
    client = as_user(deployer)
    assert post(client, running, "stop", {}).json()["error"]["fields"].keys() == {"reason"}
    assert post(client, running, "stop", {"reason": "x", "why": "y"}).status_code == 422
    assert post(as_user(viewer), running, "stop", {"reason": "x"}).status_code == 403
    assert post(client, launched(), "stop", {"reason": "x"}).json()["error"]["code"] == "use_cancel"
    Launch.objects.filter(pk=running.pk).update(state="success")
    over = post(client, running, "stop", {"reason": "x"})
    assert (over.status_code, over.json()["error"]["code"]) == (409, "not_running")


def test_cancelling_what_runs_leads_to_stopping(running, deployer, as_user):
    Launch.objects.update(sent_at=timezone.now())
    answer = post(as_user(deployer), running, "cancel", {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "use_stop")
    with pytest.raises(Conflicting, match="Stop its run instead"):
        cancel_launch(user=deployer, launch=running)
