"""REST: launch forms, presets, and launches through them."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group

from panel.launches.models import FormDefinition, Launch, Preset

pytestmark = pytest.mark.django_db
DAG = "/api/v1/servers/prod/dags/deploy/"
FORMS = f"{DAG}launch-forms/"
PRESETS = f"{DAG}presets/"
BODY = {
    "slug": "deploy-it",
    "title": "Deploy a release",
    "text": "Words",
    "button": "Deploy {version}",
    "groups": [],
    "users": ["dora"],
    "is_enabled": True,
    "params": [
        {"name": "version", "mode": "shown", "title": "Release",
         "options": {"on": "env", "table": {"prod": ["1.0"], "staging": ["1.0", "2.0"]}}},
        {"name": "env", "mode": "shown", "value": "prod"},
        {"name": "replicas", "mode": "fixed", "value": 3},
    ],
}  # fmt: skip


def send(client, method, url, body=None):
    return client.generic(method, url, json.dumps(body) if body is not None else "", content_type="application/json")


@pytest.fixture
def admins(as_user, admin, deployer, deploy_dag):
    client = as_user(admin)
    client.get(f"{DAG}form/")  # reads the params
    return client


@pytest.fixture
def made(admins):
    answer = send(admins, "POST", FORMS, BODY)
    assert answer.status_code == 201
    return answer.json()


def fields_of(answer):
    assert answer.status_code == 422
    return answer.json()["error"]["fields"]


def test_an_admin_makes_reads_changes_and_deletes_one(admins, made):
    assert {name: made[name] for name in BODY} == BODY
    assert made["url"] == "http://testserver/servers/prod/dags/deploy/launch/?form=deploy-it"
    url = f"{FORMS}deploy-it/"
    assert admins.get(url).json() == made
    sent_back = {name: made[name] for name in [*BODY, "version"]}
    changed = send(admins, "PUT", url, sent_back | {"title": "New"})
    assert (changed.status_code, changed.json()["version"], changed.json()["params"]) == (200, 2, BODY["params"])
    late = send(admins, "PUT", url, sent_back | {"title": "Late"})
    assert (late.status_code, late.json()["error"]["code"]) == (409, "changed_since")
    assert fields_of(send(admins, "PUT", url, BODY)) == {"version": ["This field is required."]}
    assert send(admins, "DELETE", url).status_code == 204
    assert admins.get(url).status_code == 404


def test_what_makes_no_sense_is_said_by_field(admins):
    shapes = [{"name": "env", "mode": "fixed", "value": "moon"}, {"name": "nope"}]
    fields = fields_of(send(admins, "POST", FORMS, BODY | {"slug": "Bad Slug", "params": shapes}))
    assert set(fields) == {"slug", "params.env", "params.nope"}
    fields = fields_of(send(admins, "POST", FORMS, BODY | {"titel": "x", "params": [{"name": "env", "vaule": 1}]}))
    assert "titel" in fields
    assert any("vaule" in name for name in fields)
    assert not FormDefinition.objects.exists()


def test_people_see_those_that_they_may_use(made, as_user, deployer, person, viewer):
    other = as_user(person("olaf", "deployer"))
    for url in (FORMS, "/api/v1/launch-forms/", "/api/v1/launch-forms/?q=release&server=prod&dag_id=deploy"):
        assert [one["slug"] for one in as_user(deployer).get(url).json()["results"]] == ["deploy-it"]
        assert other.get(url).json()["results"] == []
        assert as_user(viewer).get(url).status_code == 403
    assert other.get(f"{FORMS}deploy-it/").status_code == 404
    assert other.get(f"{DAG}form/?form=deploy-it").status_code == 404
    assert as_user(deployer).get("/api/v1/launch-forms/?nope=1").status_code == 400


@pytest.mark.parametrize("who", ["viewer", "operator", "deployer"])
def test_only_admins_change_them(who, made, request, as_user):
    client = as_user(request.getfixturevalue(who))
    assert send(client, "POST", FORMS, BODY).status_code == 403
    assert send(client, "PUT", f"{FORMS}deploy-it/", BODY | {"version": 1}).status_code == 403
    assert send(client, "DELETE", f"{FORMS}deploy-it/").status_code == 403
    assert send(client, "PUT", f"{DAG}only-forms/", {"only_forms": True}).status_code == 403


def test_the_fields_of_a_form_are_those_that_it_shows(made, as_user, deployer):
    told = as_user(deployer).get(f"{DAG}form/?form=deploy-it").json()
    assert [(field["name"], field["title"], field["default"]) for field in told["fields"]] == [
        ("version", "Release", None), ("env", "Environment", "prod"),
    ]  # fmt: skip
    assert (told["form"], told["title"], told["fixed"]) == ("deploy-it", "Deploy a release", {"replicas": 3})
    bare = as_user(deployer).get(f"{DAG}form/").json()
    assert [field["name"] for field in bare["fields"]] == ["env", "version", "replicas"]
    assert (bare["form"], bare["only_forms"]) == ("", False)


def test_a_launch_names_its_form(made, as_user, deployer):
    client = as_user(deployer)
    answer = send(client, "POST", f"{DAG}launches/", {"params": {"version": "1.0"}, "form": "deploy-it"})
    assert (answer.status_code, answer.json()["form"]) == (201, "deploy-it")
    assert answer.json()["params"] == {"version": "1.0", "env": "prod", "replicas": 3}
    wrong = {"params": {"version": "2.0", "replicas": 9}, "form": "deploy-it"}
    assert set(fields_of(send(client, "POST", f"{DAG}launches/", wrong))) == {"version", "replicas"}
    assert set(fields_of(send(client, "POST", f"{DAG}launches/", {"params": {}, "form": "nope"}))) == {"form"}
    assert Launch.objects.count() == 1


def test_only_through_its_forms_holds_here_too(admins, made, as_user, deployer):
    assert admins.get(f"{DAG}only-forms/").json() == {"only_forms": False}
    assert send(admins, "PUT", f"{DAG}only-forms/", {"only_forms": True}).json() == {"only_forms": True}
    refused = send(as_user(deployer), "POST", f"{DAG}launches/", {"params": {"version": "1.0"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "form_needed")
    assert send(admins, "POST", f"{DAG}launches/", {"params": {"version": "1.0"}}).status_code == 201


def test_the_options_of_a_field_are_told_for_a_value(made, as_user, deployer):
    client = as_user(deployer)
    url = f"{FORMS}deploy-it/options/"
    told = client.get(url, {"param": "version", "value": '"staging"'}).json()
    assert [option["value"] for option in told["options"]] == ["1.0", "2.0"]
    assert [option["value"] for option in client.get(url, {"param": "version"}).json()["options"]] == ["1.0"]
    assert client.get(url, {"param": "env"}).status_code == 404
    assert client.get(url, {"param": "version", "value": "staging"}).status_code == 400


# ── Presets ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_preset_is_made_listed_changed_applied_and_deleted(made, as_user, deployer, person):
    client, other = as_user(deployer), as_user(person("olaf", "deployer"))
    body = {"name": "nightly", "params": {"version": "1.0"}, "form": "deploy-it"}
    preset = send(client, "POST", PRESETS, body).json()
    assert {name: preset[name] for name in body} == body
    assert (preset["owner"], preset["team"], preset["misfits"]) == ("dora", "", [])
    assert [one["id"] for one in client.get(PRESETS).json()["results"]] == [preset["id"]]
    assert other.get(PRESETS).json()["results"] == []
    url = f"/api/v1/presets/{preset['id']}/"
    for method in ("GET", "PUT", "DELETE"):
        assert send(other, method, url, {"version": 1, "name": "x"}).status_code == 404
    changed = send(client, "PUT", url, {"version": 1, "params": {"version": "2.0", "env": "staging"}})
    assert (changed.json()["version"], changed.json()["name"]) == (2, "nightly")
    assert send(client, "PUT", url, {"version": 1, "name": "late"}).status_code == 409
    launch = {"form": "deploy-it", "preset": preset["id"], "params": {"version": "1.0"}}
    launched = send(client, "POST", f"{DAG}launches/", launch).json()
    assert launched["params"] == {"version": "1.0", "env": "staging", "replicas": 3}
    assert fields_of(send(client, "POST", f"{DAG}launches/", {"preset": preset["id"]})) == {
        "preset": ["There is no such preset for this form, or none of yours."]
    }
    assert send(client, "DELETE", url).status_code == 204
    assert not Preset.objects.exists()


def test_a_preset_holds_no_secret_and_no_unknown_param(as_user, deployer, deploy_dag, change_dag):
    change_dag(token={"value": None, "schema": {"type": ["string", "null"], "writeOnly": True}})
    body = {"name": "x", "params": {"token": "s3cr3t", "nope": 1}}
    answer = send(as_user(deployer), "POST", PRESETS, body)
    assert set(fields_of(answer)) == {"token", "nope"}
    assert "s3cr3t" not in answer.content.decode()


def test_a_teams_preset_names_its_team(as_user, person, deploy_dag, change_dag):
    change_dag()
    Group.objects.create(name="payments")
    paul, pia = (as_user(person(name, "deployer", "payments")) for name in ("paul", "pia"))
    body = {"name": "ours", "params": {}, "team": "payments"}
    assert send(paul, "POST", PRESETS, body).json()["team"] == "payments"
    assert [one["name"] for one in pia.get(PRESETS).json()["results"]] == ["ours"]
    assert fields_of(send(as_user(person("olaf", "deployer")), "POST", PRESETS, body)) == {
        "team": ["You are in no group of this name."]
    }
