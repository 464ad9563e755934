"""A stored launch becomes exactly one run in Airflow; what Airflow holds afterwards is the proof."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from panel.access.models import AuditEvent
from panel.launches.models import Launch
from panel.launches.services import cancel_launch, request_launch
from panel.launches.submission import submit_launch
from panel.problems import Conflicting

pytestmark = pytest.mark.django_db


def runs_in(fake_airflow):
    return list(fake_airflow.world.runs.values())


def posts_in(fake_airflow):
    return fake_airflow.calls("POST", "/dagRuns")


def test_it_starts_one_run_under_the_id_that_was_chosen(launched, submitted, fake_airflow):
    launch = submitted(launched(env="prod", replicas=3))
    assert launch.state == "queued"
    (run,) = runs_in(fake_airflow)
    assert run.run_id == launch.dag_run_id
    assert run.conf == {"version": "1.2.3", "env": "prod", "replicas": 3}


def test_the_note_in_airflow_says_why_and_who(launched, submitted, fake_airflow):
    submitted(launched())
    (run,) = runs_in(fake_airflow)
    assert "why" in run.note
    assert "dora" in run.note


def test_submitting_again_makes_no_second_run(launched, submitted, fake_airflow):
    launch = submitted(launched())
    fake_airflow.forget_requests()
    submitted(launch)
    assert len(runs_in(fake_airflow)) == 1
    assert fake_airflow.requests == [], "what has its run is not asked about again"


def test_a_lost_answer_after_airflow_did_the_work_makes_no_second_run(launched, submitted, due, fake_airflow):
    fake_airflow.fail_next(method="POST", path="/dagRuns", drop=True, after=True)
    launch = submitted(launched())
    assert launch.state == "submitting"
    assert len(runs_in(fake_airflow)) == 1
    due(launch)
    assert submitted(launch).state == "queued"
    assert len(runs_in(fake_airflow)) == 1
    assert len(posts_in(fake_airflow)) == 1, "it must be looked up, not sent again"


def test_a_time_out_before_airflow_did_anything_is_sent_again(launched, submitted, due, fake_airflow):
    fake_airflow.fail_next(method="POST", path="/dagRuns", hang=60)
    launch = submitted(launched())
    assert launch.state == "submitting"
    assert runs_in(fake_airflow) == []
    due(launch)
    assert submitted(launch).state == "queued"
    assert len(runs_in(fake_airflow)) == 1


def test_our_own_run_id_being_there_already_means_it_is_done(launched, submitted, fake_airflow, monkeypatch):
    """Another worker sent it between our look and our request."""
    launch = launched()
    looked = []

    def look_then_lose_the_race(airflow, one):
        looked.append(one)
        if len(looked) == 1:
            fake_airflow.add_run("deploy", one.dag_run_id, state="queued")
            return None
        return airflow.runs.find(one.dag_id, one.dag_run_id)

    monkeypatch.setattr("panel.launches.submission._run_of", look_then_lose_the_race)
    assert submitted(launch).state == "queued"
    assert len(posts_in(fake_airflow)) == 1
    assert len(runs_in(fake_airflow)) == 1


def test_it_waits_while_airflow_is_down_and_goes_on_when_it_is_back(launched, submitted, due, fake_airflow):
    launch = launched()
    fake_airflow.down = True
    submitted(launch)
    assert launch.state == "submitting"
    assert launch.message
    assert launch.next_attempt_at > timezone.now()
    fake_airflow.down = False
    due(launch)
    assert submitted(launch).state == "queued"
    assert len(runs_in(fake_airflow)) == 1


def test_pauses_between_attempts_grow(launched, submitted, due, fake_airflow):
    launch = launched()
    fake_airflow.down = True
    pauses = []
    for _attempt in range(3):
        due(launch)
        submitted(launch)
        pauses.append(launch.next_attempt_at - timezone.now())
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1]


def test_an_attempt_before_its_time_does_nothing(launched, submitted, fake_airflow):
    launch = launched()
    fake_airflow.down = True
    submitted(launch)
    fake_airflow.down = False
    assert submitted(launch).state == "submitting"
    assert runs_in(fake_airflow) == []


@pytest.mark.parametrize("fault", [{"status": 503}, {"html": True}, {"garbage": True}, {"status": 429}])
def test_answers_that_may_pass_are_waited_out(fault, launched, submitted, due, fake_airflow):
    launch = launched()
    fake_airflow.fail_next(method="POST", path="/dagRuns", **fault)
    assert submitted(launch).state == "submitting"
    due(launch)
    assert submitted(launch).state == "queued"
    assert len(runs_in(fake_airflow)) == 1


def test_when_its_time_is_over_it_is_refused_and_nothing_starts(launched, submitted, too_late, fake_airflow):
    launch = launched()
    fake_airflow.down = True
    too_late(launch)
    assert submitted(launch).state == "refused"
    assert "Nothing was started" in launch.message
    fake_airflow.down = False
    submitted(launch)
    assert runs_in(fake_airflow) == []


def test_a_late_launch_that_airflow_may_have_is_looked_up_before_it_is_given_up(
    launched, submitted, too_late, fake_airflow
):
    fake_airflow.fail_next(method="POST", path="/dagRuns", drop=True, after=True)
    launch = submitted(launched())
    fake_airflow.down = True
    too_late(launch)
    assert submitted(launch).state == "submitting", "only Airflow knows whether there is a run"
    fake_airflow.down = False
    too_late(launch)
    assert submitted(launch).state == "queued"
    assert len(runs_in(fake_airflow)) == 1


def test_a_late_launch_that_airflow_does_not_have_is_given_up(launched, submitted, too_late, fake_airflow):
    fake_airflow.fail_next(method="POST", path="/dagRuns", hang=60)
    launch = submitted(launched())
    too_late(launch)
    assert submitted(launch).state == "refused"
    assert runs_in(fake_airflow) == []


def test_a_dag_that_vanished_is_refused_in_plain_words(launched, submitted, fake_airflow):
    launch = launched()
    fake_airflow.remove_dag("deploy")
    assert submitted(launch).state == "refused"
    assert "does not know this Dag" in launch.message


def test_airflows_own_refusal_names_the_param(launched, submitted, deploy_dag, fake_airflow):
    launch = launched(replicas=9)
    deploy_dag.params["replicas"]["schema"]["maximum"] = 5  # the Dag changed since the form was filled in
    assert submitted(launch).state == "refused"
    assert list(launch.fields) == ["replicas"]
    assert "9" in launch.fields["replicas"][0]
    assert runs_in(fake_airflow) == []


def test_a_login_that_may_not_trigger_is_refused_in_plain_words(launched, submitted, fake_airflow):
    launch = launched()
    fake_airflow.forbid("trigger")
    assert submitted(launch).state == "refused"
    assert "may not start runs" in launch.message


def test_a_worker_that_is_at_it_keeps_others_out(launched, submitted, fake_airflow):
    launch = launched()
    Launch.objects.filter(pk=launch.pk).update(claim=uuid4(), claimed_until=timezone.now() + timedelta(minutes=1))
    assert submitted(launch).state == "submitting"
    assert runs_in(fake_airflow) == []


def test_a_killed_workers_launch_goes_on(launched, submitted, fake_airflow):
    launch = launched()
    ago = timezone.now() - timedelta(seconds=1)
    Launch.objects.filter(pk=launch.pk).update(claim=uuid4(), claimed_until=ago, sent_at=ago)
    assert submitted(launch).state == "queued"
    assert len(runs_in(fake_airflow)) == 1


def test_a_server_that_was_removed_is_said(launched, submitted, server):
    launch = launched()
    server.delete()
    assert submitted(launch).state == "refused"
    assert "removed from Mapboard" in launch.message


def test_a_launch_of_which_nothing_was_sent_can_be_cancelled(launched, submitted, deployer, fake_airflow):
    launch = cancel_launch(user=deployer, launch=launched())
    assert launch.state == "cancelled"
    submitted(launch)
    assert runs_in(fake_airflow) == []


def test_it_can_be_cancelled_while_airflow_is_down(launched, submitted, deployer, due, fake_airflow):
    launch = launched()
    fake_airflow.down = True
    submitted(launch)
    assert cancel_launch(user=deployer, launch=launch).state == "cancelled"
    fake_airflow.down = False
    due(launch)
    submitted(launch)
    assert runs_in(fake_airflow) == []


def test_a_cancel_between_look_and_send_wins(launched, submitted, deployer, fake_airflow, monkeypatch):
    launch = launched()
    monkeypatch.setattr(
        "panel.launches.submission._run_of",
        lambda airflow, one: cancel_launch(user=deployer, launch=Launch.objects.get(pk=one.pk)) and None,
    )
    assert submitted(launch).state == "cancelled"
    assert posts_in(fake_airflow) == []


def test_what_was_sent_cannot_be_cancelled(launched, submitted, deployer, fake_airflow):
    fake_airflow.fail_next(method="POST", path="/dagRuns", drop=True, after=True)
    launch = submitted(launched())
    with pytest.raises(Conflicting):
        cancel_launch(user=deployer, launch=launch)
    assert Launch.objects.get(pk=launch.pk).state == "submitting"


def test_a_launch_stored_while_airflow_was_away_is_checked_before_it_is_sent(
    server, deployer, deploy_dag, fake_airflow, submitted, due
):
    from panel.launches.dag_forms import read_form

    read_form(server=server, dag_id="deploy")
    fake_airflow.down = True
    launch = request_launch(user=deployer, server=server, dag_id="deploy", params={"version": "1"}).launch
    assert not launch.checked
    fake_airflow.down = False
    deploy_dag.params["region"] = {"value": None, "schema": {"type": "string"}, "description": None, "source": None}
    assert submitted(launch).state == "refused"
    assert list(launch.fields) == ["region"]
    assert posts_in(fake_airflow) == []


def test_every_change_leaves_a_trace(launched, submitted, deployer):
    launch = submitted(launched())
    other = cancel_launch(user=deployer, launch=launched())
    rows = AuditEvent.objects.filter(target_kind="launch").order_by("pk")
    traces = [(row.action, row.target_id, row.username) for row in rows]
    assert traces == [
        ("launches.request", str(launch.pk), "dora"),
        ("launches.start", str(launch.pk), "dora"),
        ("launches.request", str(other.pk), "dora"),
        ("launches.cancel", str(other.pk), "dora"),
    ]


def test_an_unknown_launch_is_nothing_to_do(db):
    submit_launch(launch_id=uuid4())
