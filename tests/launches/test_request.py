"""Asking for a launch: what is stored, what is turned down, and that no repeat makes a second one."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied

from panel.access.models import AuditEvent
from panel.airflow import NotFound, Unauthorized, Unreachable
from panel.launches import services
from panel.launches.dag_forms import read_form
from panel.launches.models import Launch
from panel.launches.services import request_launch
from panel.mirror.models import Dag
from panel.problems import Conflicting, Unprocessable

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask(server, deployer, deploy_dag):
    def request(params=None, *, user=deployer, dag_id="deploy", **more):
        params = {"version": "1"} if params is None else params
        return request_launch(user=user, server=server, dag_id=dag_id, params=params, **more)

    return request


def test_it_is_stored_traced_and_woken(ask, woken, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        launch, created = ask(note="for the release")
    assert created
    assert launch.state == "submitting"
    assert ("launches.submit", (str(launch.pk),)) in woken
    event = AuditEvent.objects.get(target_id=str(launch.pk))
    assert (event.action, event.username, event.server_slug) == ("launches.request", "dora", "prod")


def test_the_run_id_fits_airflows_rule(ask):
    run_id = ask().launch.dag_run_id
    assert run_id.startswith("mapboard__")
    assert set(run_id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.~:+-")


@pytest.mark.parametrize("value", ["007", "", "4.0", "true", "null"])
def test_texts_stay_texts(value, ask, deploy_dag, submitted, fake_airflow):
    deploy_dag.params["version"]["schema"] = {"type": "string"}
    submitted(ask({"version": value}).launch)
    (run,) = fake_airflow.world.runs.values()
    assert run.conf["version"] == value
    assert type(run.conf["version"]) is str


@pytest.mark.parametrize("value", [4, 4.0, -0.5, 1e16, 10**30, True, None, [1, 1.0, "1"], {"b": {"c": []}, "a": 1}])
def test_values_reach_airflow_with_their_type(value, ask, fake_airflow, deploy_dag, submitted):
    deploy_dag.params["anything"] = {"value": None, "schema": {}, "description": None, "source": None}
    submitted(ask({"version": "1", "anything": value}).launch)
    (run,) = fake_airflow.world.runs.values()
    assert repr(run.conf["anything"]) == repr(value)


def test_bad_params_are_turned_down_all_at_once_and_nothing_is_stored(ask, fake_airflow):
    with pytest.raises(Unprocessable) as caught:
        ask({"env": "moon", "replicas": 99, "typo": 1})
    assert set(caught.value.fields) == {"env", "replicas", "version", "typo"}
    assert not Launch.objects.exists()
    assert fake_airflow.calls("POST", "/dagRuns") == []


def test_a_note_too_long_for_airflow_is_turned_down(ask):
    with pytest.raises(Unprocessable) as caught:
        ask(note="x" * 801)
    assert list(caught.value.fields) == ["note"]


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_text_that_no_database_holds_is_turned_down(text, ask):
    for arguments in ({"note": text}, {"idempotency_key": text}, {"params": {"version": text}}, {"params": {text: 1}}):
        with pytest.raises(Unprocessable):
            ask(**arguments)


def test_the_same_key_and_body_give_the_same_launch(ask):
    first, second = ask(idempotency_key="k"), ask(idempotency_key="k")
    assert (first.created, second.created) == (True, False)
    assert first.launch == second.launch
    assert Launch.objects.count() == 1


@pytest.mark.parametrize("other", [{"params": {"version": "2"}}, {"note": "another"}])
def test_the_same_key_with_another_body_is_a_conflict(other, ask):
    ask(idempotency_key="k")
    with pytest.raises(Conflicting):
        ask(**other, idempotency_key="k")
    assert Launch.objects.count() == 1


def test_four_and_four_point_zero_are_different_bodies(ask):
    ask({"version": "1", "replicas": 4}, idempotency_key="k")
    with pytest.raises(Conflicting):
        ask({"version": "1", "replicas": 4.0}, idempotency_key="k")


def test_keys_belong_to_their_user(ask, admin):
    assert ask(idempotency_key="k").launch != ask(user=admin, idempotency_key="k").launch


def test_without_a_key_every_request_is_a_launch(ask):
    assert ask().launch != ask().launch


def test_a_second_request_that_comes_in_between_gives_the_first_ones_launch(ask, monkeypatch):
    first = ask(idempotency_key="k").launch
    real, looked = services.launch_of_key, []

    def blind_once(user, key):
        looked.append(key)
        return None if len(looked) == 1 else real(user, key)

    monkeypatch.setattr(services, "launch_of_key", blind_once)
    assert ask(idempotency_key="k") == (first, False)
    assert Launch.objects.count() == 1


@pytest.mark.parametrize("cast", ["viewer", "operator", "nobody"])
def test_others_may_not_launch(cast, ask, request):
    with pytest.raises(PermissionDenied):
        ask(user=request.getfixturevalue(cast))
    assert not Launch.objects.exists()


def test_an_unknown_dag_is_not_found(ask):
    with pytest.raises(NotFound):
        ask(dag_id="nope")


@pytest.mark.parametrize(("flag", "words"), [("is_stale", "no longer finds"), ("has_import_errors", "import errors")])
def test_a_dag_that_cannot_run_is_said_before_anything_is_stored(flag, words, ask, deploy_dag):
    setattr(deploy_dag, flag, True)
    with pytest.raises(Conflicting, match=words):
        ask()
    assert not Launch.objects.exists()


def test_airflow_away_and_the_form_known_it_is_checked_and_kept(ask, server, fake_airflow):
    read_form(server=server, dag_id="deploy")
    fake_airflow.down = True
    with pytest.raises(Unprocessable):
        ask({"version": "1", "replicas": 99})
    launch = ask().launch
    assert (launch.state, launch.checked) == ("submitting", False)


def test_airflow_away_and_only_the_dag_known_it_is_kept(ask, server, fake_airflow):
    Dag.objects.create(server=server, dag_id="deploy")
    fake_airflow.down = True
    assert not ask().launch.checked


def test_airflow_away_and_nothing_known_it_is_turned_down(ask, fake_airflow):
    fake_airflow.down = True
    with pytest.raises(Unreachable):
        ask()
    assert not Launch.objects.exists()


def test_a_wrong_password_is_said(ask, server):
    read_form(server=server, dag_id="deploy")
    type(server).objects.filter(pk=server.pk).update(username="nobody", login_token_encrypted="")
    server.refresh_from_db()
    with pytest.raises(Unauthorized):
        request_launch(user=_deployer(), server=server, dag_id="deploy", params={"version": "1"})
    assert not Launch.objects.exists()


def _deployer():
    from django.contrib.auth.models import User

    return User.objects.get(username="dora")
