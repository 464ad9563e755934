"""Logins, roles, and what an answer without the right to it looks like."""

from __future__ import annotations

import pytest

from panel.airflow import BearerToken, Forbidden, Password, Unauthorized
from panel.airflow.auth import expiry

RUNS = "/api/v2/dags/contract_mapped/dagRuns"


def test_a_login_answers_201_with_a_token_that_states_its_end(site):
    answer = site.http.post("/auth/token", json={"username": "op", "password": site.users["op"]})
    assert answer.status_code == 201
    assert list(answer.json()) == ["access_token"]
    assert expiry(answer.json()["access_token"]) is not None


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"username": "op", "password": "wrong"}, 401, "Invalid credentials"),
        ({"username": "nobody", "password": "wrong"}, 401, "Invalid credentials"),
        ({"username": "", "password": ""}, 400, "Username and password must be provided"),
    ],
)
def test_logins_that_are_refused(site, body, status, detail):
    answer = site.http.post("/auth/token", json=body)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


@pytest.mark.parametrize("body", [{"username": "op"}, {"username": "op", "password": "x", "zzz": 1}])
def test_login_bodies_that_are_not_understood(site, body):
    answer = site.http.post("/auth/token", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("1 validation error for LoginBody")


def test_no_token(site):
    answer = site.http.get(RUNS)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})


@pytest.mark.parametrize("token", ["rubbish", "a.b.c"])
def test_a_token_that_is_none_is_a_403(site, token):
    answer = site.http.get(RUNS, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid JWT token"})


def test_a_spoilt_signature_is_a_403(site):
    head, _, signature = site.token("op").rpartition(".")
    answer = site.http.get(RUNS, headers={"Authorization": f"Bearer {head}.{signature[::-1]}"})
    assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid JWT token"})


def test_the_version_and_the_api_document_need_no_login(site):
    assert site.http.get("/api/v2/version").json()["version"] == "3.3.2"
    document = site.http.get("/openapi.json").json()
    assert {"note", "prevent_running_task", "dry_run"} <= set(
        document["components"]["schemas"]["ClearTaskInstancesBody"]["properties"]
    )


def test_capabilities(site):
    found = site.client().capabilities
    assert (found.version, found.clear_note, found.clear_prevent_running) == ("3.3.2", True, True)
    assert (found.cursors, found.run_id_prefix, found.ordered_results) == (True, True, True)


def test_a_health_check(site):
    assert site.client("viewer").check().version == "3.3.2"


def test_a_health_check_with_a_wrong_password(site):
    with site.stranger(Password("op", "wrong")) as airflow, pytest.raises(Unauthorized):
        airflow.check()


def test_a_health_check_with_a_token_that_is_none(site):
    with site.stranger(BearerToken("rubbish")) as airflow, pytest.raises(Unauthorized):
        airflow.check()


def test_a_viewer_reads(site, mapped):
    viewer = site.client("viewer")
    assert viewer.instances.bulk("contract_mapped", mapped)
    assert viewer.xcoms.get("contract_mapped", mapped, "work", 0).value == {"id": 0, "status": "ok"}
    assert viewer.runs.results("contract_mapped", mapped, ["summary"]) == {"summary": {"seen": 3}}
    assert viewer.logs.read("contract_mapped", mapped, "work", 1, 0).content
    assert viewer.dags.mapped_task_ids("contract_mapped") == ["work"]


@pytest.mark.parametrize("call", ["trigger", "clear", "dry run", "set_state", "set_note"])
def test_a_viewer_changes_nothing(site, mapped, call):
    viewer = site.client("viewer")
    place = ("contract_mapped", mapped, "work", 1)
    calls = {
        "trigger": lambda: viewer.runs.trigger("contract_mapped", run_id=site.run_id(), conf={}),
        "clear": lambda: viewer.instances.clear(*place[:2], [("work", 1)], dry_run=False),
        "dry run": lambda: viewer.instances.clear(*place[:2], [("work", 1)], dry_run=True),
        "set_state": lambda: viewer.instances.set_state(*place, "success"),
        "set_note": lambda: viewer.instances.set_note(*place, "x"),
    }
    with pytest.raises(Forbidden) as caught:
        calls[call]()
    assert caught.value.detail == "Forbidden"
