"""What protects a launch, when nothing may start, how much may."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from panel.access.models import AuditEvent
from panel.launches.dag_forms import read_form
from panel.launches.guard_rails import protection_of
from panel.launches.guard_rails_changing import add_freeze, end_freeze, set_guard_rails
from panel.launches.guard_rails_form import values_of
from panel.launches.models import FreezeWindow, GuardRails, Launch
from panel.launches.services import request_launch
from panel.mirror.models import Dag, DagRun
from panel.problems import Conflicting, TooMany, Unprocessable

pytestmark = pytest.mark.django_db


@pytest.fixture
def guard(server, admin, deploy_dag):
    """``guard(protects="everything")``: set the guard rails of "deploy"."""
    read_form(server=server, dag_id="deploy")

    def set_them(**columns):
        given = {"protects": "nothing"} | columns
        return set_guard_rails(user=admin, server=server, dag_id="deploy", **given)

    return set_them


@pytest.fixture
def freeze(server, admin):
    def freeze_it(*, begins=timedelta(0), lasts=timedelta(hours=1), dag_id="", reason="release night"):
        begins_at = timezone.now() + begins
        return add_freeze(
            user=admin, server=server, dag_id=dag_id, starts_at=begins_at, ends_at=begins_at + lasts, reason=reason
        )

    return freeze_it


@pytest.mark.parametrize(
    ("protecting", "given", "is_protected"),
    [
        ("prod", {"env": "prod"}, True),
        ("prod", {"env": "staging"}, False),
        ("staging", {}, True),  # the default
        ("prod", {}, False),
    ],
)
def test_values_protect_whether_typed_or_by_default(protecting, given, is_protected, guard, server):
    guard(protects="values", values=[("env", protecting)])
    fields = read_form(server=server, dag_id="deploy").fields
    protection = protection_of(server, "deploy", fields, {"version": "1"} | given)
    assert (protection is not None) is is_protected
    if protection:
        assert protection.word == protecting


@pytest.mark.parametrize("value", ["PROD", " prod ", ["eu", "Prod"], [["prod"]]])
def test_texts_protect_in_any_case_and_inside_lists(value, guard, server):
    guard(protects="values", values=[("env", "prod")])
    assert protection_of(server, "deploy", [], {"env": value})


@pytest.mark.parametrize(("protecting", "value"), [(1, True), (1, "1"), (True, 1), (0, None), (4, 4.5)])
def test_values_of_other_types_do_not(protecting, value, guard, server):
    guard(protects="values", values=[("replicas", protecting)])
    assert protection_of(server, "deploy", [], {"replicas": value}) is None


def test_what_is_not_known_protects(guard, server):
    """Airflow is away and the params were never read: the default may be the one."""
    guard(protects="values", values=[("env", "prod")])
    assert protection_of(server, "deploy", None, {"version": "1"})
    assert protection_of(server, "deploy", None, {"env": "staging"}) is None


def test_everything_is_confirmed_by_the_name_of_the_dag(guard, server):
    guard(protects="everything")
    assert protection_of(server, "deploy", [], {}).word == "deploy"


def test_without_approval_the_word_alone_lets_it_through(guard, server, deployer):
    guard(protects="values", values=[("env", "prod")], needs_approval=False)
    asked = {"user": deployer, "server": server, "dag_id": "deploy", "params": {"version": "1", "env": "prod"}}
    for typed in (None, "", "Prod", "production"):
        with pytest.raises(Unprocessable) as caught:
            request_launch(**asked, confirm=typed)
        assert caught.value.code == "confirmation_needed"
        assert "prod" in caught.value.fields["confirm"][0]
    assert not Launch.objects.exists()
    launch = request_launch(**asked, confirm=" prod ").launch
    assert (launch.state, launch.protected) == ("submitting", True)


def test_guard_rails_set_meanwhile_hold_for_what_was_not_sent(guard, launched, submitted, fake_airflow):
    launch = launched(env="prod")
    guard(protects="values", values=[("env", "prod")], needs_approval=False)
    assert submitted(launch).state == "refused"
    assert "guard rails were set" in launch.message
    assert fake_airflow.calls("POST", "/dagRuns") == []


def test_a_default_that_became_protected_holds_it_up(guard, launched, submitted, fake_airflow, deploy_dag):
    guard(protects="values", values=[("env", "prod")])
    launch = launched()
    assert launch.state == "submitting"
    deploy_dag.params["env"]["value"] = "prod"
    assert submitted(launch).state == "refused"
    assert fake_airflow.calls("POST", "/dagRuns") == []


def test_a_freeze_turns_launches_down_and_names_who_and_why(freeze, launched, deploy_dag):
    freeze()
    with pytest.raises(Conflicting, match="by anna: release night") as caught:
        launched()
    assert caught.value.code == "frozen"
    assert not Launch.objects.exists()


@pytest.mark.parametrize(
    "other",
    [
        {"begins": timedelta(minutes=5)},
        {"begins": timedelta(hours=-2), "lasts": timedelta(hours=2, minutes=10)},  # over by the time of the launch
        {"dag_id": "other"},
    ],
)
def test_a_freeze_of_another_time_or_dag_does_not(other, freeze, launched, fake_airflow, server, monkeypatch):
    fake_airflow.add_dag("other")
    Dag.objects.create(server=server, dag_id="other")
    freeze(**other)
    if "lasts" in other:
        FreezeWindow.objects.update(ends_at=timezone.now())
    assert launched().state == "submitting"


def test_a_freeze_ends_at_once_when_an_admin_says_so(freeze, launched, admin):
    end_freeze(user=admin, freeze=freeze())
    assert launched().state == "submitting"
    later = freeze(begins=timedelta(hours=2))
    end_freeze(user=admin, freeze=later)
    assert not FreezeWindow.objects.filter(pk=later.pk).exists()


def test_so_many_launches_an_hour(guard, launched):
    guard(launches_an_hour=2)
    first, _second = launched(), launched()
    with pytest.raises(TooMany, match="2 times an hour") as caught:
        launched()
    assert 3_500 < caught.value.retry_after_seconds <= 3_600
    Launch.objects.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(hours=1, seconds=1))
    launched()


def test_what_never_started_leaves_its_room(guard, launched):
    guard(launches_an_hour=1)
    Launch.objects.filter(pk=launched().pk).update(state="rejected")
    launched()


def test_so_many_active_runs_whoever_started_them(guard, launched, server):
    guard(active_runs=2)
    launched()
    dag = Dag.objects.create(server=server, dag_id="deploy")
    theirs = DagRun.objects.create(dag=dag, run_id="scheduled__1", state="running")
    with pytest.raises(Conflicting, match="2 runs") as caught:
        launched()
    assert caught.value.code == "too_many_active"
    DagRun.objects.filter(pk=theirs.pk).update(state="success")
    launched()


def test_a_run_of_ours_is_counted_once(guard, launched, submitted, server):
    guard(active_runs=2)
    launch = submitted(launched())
    dag = Dag.objects.create(server=server, dag_id="deploy")
    DagRun.objects.create(dag=dag, run_id=launch.dag_run_id, state="running")
    launched()


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"protects": "some"}, "protects"),
        ({"protects": "values"}, "values"),
        ({"protects": "values", "values": [("env", "x\x00")]}, "values"),
        ({"protects": "values", "values": [("env", str(n)) for n in range(51)]}, "values"),
        ({"approval_hours": 0}, "approval_hours"),
        ({"approval_hours": 337}, "approval_hours"),
        ({"launches_an_hour": 0}, "launches_an_hour"),
        ({"active_runs": -1}, "active_runs"),
    ],
)
def test_guard_rails_that_make_no_sense_are_turned_down(columns, field, guard):
    with pytest.raises(Unprocessable) as caught:
        guard(**columns)
    assert list(caught.value.fields) == [field]
    assert not GuardRails.objects.exists()


@pytest.mark.parametrize("who", ["viewer", "operator", "deployer"])
def test_only_admins_set_them(who, request, server, deploy_dag):
    user, now = request.getfixturevalue(who), timezone.now()
    with pytest.raises(PermissionDenied):
        set_guard_rails(user=user, server=server, dag_id="deploy", protects="nothing")
    with pytest.raises(PermissionDenied):
        add_freeze(user=user, server=server, starts_at=now, ends_at=now + timedelta(hours=1), reason="why")


def test_a_misspelt_dag_is_turned_down(server, admin, deploy_dag):
    with pytest.raises(Unprocessable):
        set_guard_rails(user=admin, server=server, dag_id="depoly", protects="everything")


def test_each_change_leaves_a_trace(guard, freeze, admin):
    guard(protects="everything", needs_approval=False)
    end_freeze(user=admin, freeze=freeze())
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", "username"))
    assert actions == [
        ("launches.set_guard_rails", "anna"),
        ("launches.add_freeze", "anna"),
        ("launches.end_freeze", "anna"),
    ]


def test_values_are_read_with_the_type_of_their_param(server, deploy_dag):
    deploy_dag.params["force"] = {"value": False, "schema": {"type": "boolean"}, "description": None, "source": None}
    fields = read_form(server=server, dag_id="deploy").fields
    text = "env = Production\n\nreplicas=3\nversion = 007\nforce = true\n"
    assert values_of(text, fields) == [("env", "prod"), ("replicas", 3), ("version", "007"), ("force", True)]


@pytest.mark.parametrize("line", ["env", "= prod", "env =", "evn = prod"])
def test_lines_that_are_no_values_are_turned_down(line, server, deploy_dag):
    fields = read_form(server=server, dag_id="deploy").fields
    with pytest.raises(Unprocessable) as caught:
        values_of(line, fields)
    assert list(caught.value.fields) == ["values"]
