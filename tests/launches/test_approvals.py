"""The yes or no of somebody else: who may say it, how long, and for what exactly it holds."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from panel.access.models import AuditEvent
from panel.airflow import AirflowError, Unreachable
from panel.launches.approvals import approve_launch, expire_launches, reject_launch
from panel.launches.dag_forms import read_form
from panel.launches.guard_rails_changing import add_freeze, set_guard_rails
from panel.launches.models import Launch
from panel.launches.services import cancel_launch, request_launch
from panel.launches.watching import sweep_launches
from panel.problems import Conflicting, Unprocessable

pytestmark = pytest.mark.django_db


@pytest.fixture
def protected(server, admin, deploy_dag):
    """Launches of "deploy" to prod need approval."""
    read_form(server=server, dag_id="deploy")
    set_guard_rails(user=admin, server=server, dag_id="deploy", protects="values", values=[("env", "prod")])


@pytest.fixture
def second(person):
    return person("dirk", "deployer")


@pytest.fixture
def waiting(protected, launched) -> Launch:
    """dora asked for a launch to prod."""
    return launched(env="prod")


def runs(fake_airflow):
    return fake_airflow.calls("POST", "/dagRuns")


def test_nothing_is_sent_before_somebody_approved_it(waiting, submitted, fake_airflow, woken):
    assert waiting.state == "awaiting_approval"
    assert waiting.expires_at == waiting.created_at + timedelta(hours=24)
    assert submitted(waiting).state == "awaiting_approval"
    sweep_launches()
    assert "launches.submit" not in woken.names()
    assert runs(fake_airflow) == []


def test_a_value_that_does_not_protect_starts_at_once(protected, launched):
    assert launched(env="staging").state == "submitting"


def test_somebody_else_approves_and_it_becomes_one_run(
    waiting, second, submitted, fake_airflow, woken, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        launch = approve_launch(user=second, launch=waiting, comment="looks right")
    assert (launch.state, launch.decided_by_name, launch.decision_comment) == ("submitting", "dirk", "looks right")
    assert ("launches.submit", (str(launch.pk),)) in woken
    assert submitted(launch).state == "queued"
    assert len(runs(fake_airflow)) == 1
    event = AuditEvent.objects.get(action="launches.approve")
    assert (event.username, event.target_id, event.detail["comment"]) == ("dirk", str(launch.pk), "looks right")


def test_an_admin_may_approve(waiting, admin):
    assert approve_launch(user=admin, launch=waiting).state == "submitting"


def test_nobody_approves_their_own_launch(waiting, deployer):
    with pytest.raises(Conflicting, match="somebody else"):
        approve_launch(user=deployer, launch=waiting)
    with pytest.raises(Conflicting, match="somebody else"):
        reject_launch(user=deployer, launch=waiting, comment="no")
    waiting.refresh_from_db()
    assert waiting.state == "awaiting_approval"


@pytest.mark.parametrize("who", ["viewer", "operator", "nobody"])
def test_approving_takes_the_right_to_launch(who, waiting, request):
    user = request.getfixturevalue(who)
    with pytest.raises(PermissionDenied):
        approve_launch(user=user, launch=waiting)
    with pytest.raises(PermissionDenied):
        reject_launch(user=user, launch=waiting, comment="no")


def test_a_launch_whose_requester_is_gone_is_approved_by_nobody(waiting, second, deployer):
    deployer.delete()
    waiting.refresh_from_db()
    with pytest.raises(Conflicting):
        approve_launch(user=second, launch=waiting)


def test_a_rejection_says_why_and_ends_it(waiting, second, submitted, fake_airflow):
    with pytest.raises(Unprocessable) as caught:
        reject_launch(user=second, launch=waiting, comment="  ")
    assert list(caught.value.fields) == ["comment"]
    launch = reject_launch(user=second, launch=waiting, comment="not on a Friday")
    assert launch.state == "rejected"
    assert launch.message == "Rejected by dirk: not on a Friday"
    assert submitted(launch).state == "rejected"
    assert runs(fake_airflow) == []
    with pytest.raises(Conflicting):
        approve_launch(user=second, launch=launch)


def test_of_two_who_decide_at_once_the_first_counts(waiting, second, admin):
    stale = Launch.objects.get(pk=waiting.pk)
    reject_launch(user=admin, launch=waiting, comment="no")
    with pytest.raises(Conflicting, match="does not wait"):
        approve_launch(user=second, launch=stale)
    stale.refresh_from_db()
    assert (stale.state, stale.decided_by_name) == ("rejected", "anna")


def test_it_expires(waiting, second, submitted):
    Launch.objects.filter(pk=waiting.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    waiting.refresh_from_db()
    with pytest.raises(Conflicting, match="in time"):
        approve_launch(user=second, launch=waiting)
    sweep_launches()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.finished_at is None) == ("expired", False)
    assert expire_launches() == 0
    with pytest.raises(Conflicting, match="in time"):
        approve_launch(user=second, launch=waiting)


def test_the_one_who_asked_may_take_it_back(waiting, deployer, second):
    assert cancel_launch(user=deployer, launch=waiting).state == "cancelled"
    with pytest.raises(Conflicting):
        approve_launch(user=second, launch=waiting)


def test_a_dag_that_changed_since_is_not_approved(waiting, second, deploy_dag):
    deploy_dag.params["env"]["schema"]["enum"] = ["prod", "moon"]
    with pytest.raises(Conflicting, match="not those that approval was asked for") as caught:
        approve_launch(user=second, launch=waiting)
    assert caught.value.code == "changed_since"


def test_another_version_of_the_dag_is_not_approved(waiting, second, monkeypatch):
    monkeypatch.setattr("panel.launches.dag_forms._version_of", lambda details: "another")
    with pytest.raises(Conflicting, match="not those that approval was asked for"):
        approve_launch(user=second, launch=waiting)


def test_while_airflow_is_away_nothing_is_decided(waiting, second, fake_airflow):
    fake_airflow.fail_next(method="GET", path="/details", status=503, times=9)
    with pytest.raises(AirflowError):
        approve_launch(user=second, launch=waiting)
    waiting.refresh_from_db()
    assert waiting.state == "awaiting_approval"


def test_values_changed_after_approval_are_refused(waiting, second, submitted, fake_airflow):
    launch = approve_launch(user=second, launch=waiting)
    Launch.objects.filter(pk=launch.pk).update(params_json=json.dumps({"version": "6.6.6", "env": "prod"}))
    assert submitted(launch).state == "refused"
    assert "not those that approval was asked for" in launch.message
    assert runs(fake_airflow) == []


def test_a_dag_changed_after_approval_is_refused(waiting, second, submitted, fake_airflow, deploy_dag):
    launch = approve_launch(user=second, launch=waiting)
    deploy_dag.params["replicas"]["value"] = 9
    assert submitted(launch).state == "refused"
    assert runs(fake_airflow) == []


@pytest.mark.parametrize("who", ["dora", "dirk"])
def test_rights_revoked_after_approval_stop_it(who, waiting, second, deployer, submitted, fake_airflow):
    launch = approve_launch(user=second, launch=waiting)
    {"dora": deployer, "dirk": second}[who].groups.clear()
    assert submitted(Launch.objects.get(pk=launch.pk)).state == "refused"
    launch.refresh_from_db()
    assert f"{who}" in launch.message
    assert "Nothing was started." in launch.message
    assert runs(fake_airflow) == []


def test_an_inactive_approver_no_longer_counts(waiting, second, submitted, fake_airflow):
    launch = approve_launch(user=second, launch=waiting)
    second.is_active = False
    second.save()
    assert submitted(Launch.objects.get(pk=launch.pk)).state == "refused"
    assert runs(fake_airflow) == []


def test_one_who_may_no_longer_launch_is_not_approved(waiting, second, deployer):
    deployer.groups.clear()
    with pytest.raises(Conflicting, match="may no longer launch"):
        approve_launch(user=second, launch=Launch.objects.get(pk=waiting.pk))


def test_a_freeze_holds_up_the_approval_too(waiting, second, admin, server):
    now = timezone.now()
    add_freeze(user=admin, server=server, starts_at=now, ends_at=now + timedelta(hours=1), reason="Black Friday")
    with pytest.raises(Conflicting, match="Black Friday"):
        approve_launch(user=second, launch=waiting)


def test_a_freeze_that_began_after_approval_stops_it(waiting, second, admin, server, submitted, fake_airflow):
    launch = approve_launch(user=second, launch=waiting)
    now = timezone.now()
    add_freeze(user=admin, server=server, starts_at=now, ends_at=now + timedelta(hours=1), reason="Black Friday")
    assert submitted(launch).state == "refused"
    assert "Black Friday" in launch.message
    assert runs(fake_airflow) == []


def test_rights_do_not_matter_any_more_once_it_may_have_been_sent(
    waiting, second, deployer, submitted, due, fake_airflow, monkeypatch
):
    """Then only Airflow knows whether there is a run: it is looked up, whatever happened to people."""
    launch = approve_launch(user=second, launch=waiting)
    fake_airflow.fail_next(method="POST", path="/dagRuns", drop=True, after=True)
    assert submitted(launch).state == "submitting"
    deployer.groups.clear()
    due(launch)
    assert submitted(launch).state == "queued"
    assert len(fake_airflow.world.runs) == 1


def test_the_same_key_again_is_the_same_waiting_launch(protected, server, deployer):
    asked = {"user": deployer, "server": server, "dag_id": "deploy", "params": {"version": "1", "env": "prod"}}
    first = request_launch(**asked, idempotency_key="k")
    again = request_launch(**asked, idempotency_key="k")
    assert (again.created, again.launch.pk) == (False, first.launch.pk)


def test_without_airflow_and_a_known_form_it_cannot_be_asked_for(protected, server, deployer, monkeypatch):
    def away(**_names):
        raise Unreachable("away")

    monkeypatch.setattr("panel.launches.services.read_form", away)
    monkeypatch.setattr("panel.launches.services.dag_is_known", lambda *_names: True)
    with pytest.raises(Conflicting) as caught:
        request_launch(user=deployer, server=server, dag_id="deploy", params={"version": "1", "env": "prod"})
    assert caught.value.code == "dag_not_readable"
    assert not Launch.objects.exists()


def test_a_yes_is_for_one_set_of_values(waiting, launched):
    assert launched(env="prod", version="2.0.0").approval_hash != waiting.approval_hash
    assert launched(env="prod").approval_hash == waiting.approval_hash
