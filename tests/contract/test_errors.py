"""The shapes of errors, and the traps: silently ignored filters, naive times, pages instead of JSON."""

from __future__ import annotations

import pytest

DAG = "/api/v2/dags/contract_mapped"


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/api/v2/nope", 404, {"error": "API route not found"}),
        ("PUT", f"{DAG}/dagRuns", 405, {"detail": "Method Not Allowed"}),
        ("GET", "/api/v2/dags/nope/details", 404, {"detail": "The Dag with ID: `nope` was not found"}),
        ("GET", "/api/v2/dags/nope/dagRuns", 404, {"detail": "The Dag with ID: `nope` was not found"}),
        (
            "GET",
            f"{DAG}/dagRuns?order_by=zz",
            400,
            {"detail": "Ordering with 'zz' is disallowed or the attribute does not exist on the model"},
        ),
        (
            "GET",
            f"{DAG}/dagRuns?state=zz",
            422,
            {"detail": "Invalid value for state. Valid values are queued, running, success, failed"},
        ),
    ],
)
def test_one_detail(site, method, path, status, body):
    answer = site.raw(method, path, **({"json": {}} if method == "PUT" else {}))
    assert (answer.status_code, answer.json()) == (status, body)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/ui/nope", "/bulk-xcom/dags/x"])
def test_an_unknown_path_outside_the_api_is_a_page(site, path):
    answer = site.raw("GET", path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_a_time_without_a_zone_is_a_500(site):
    answer = site.raw("GET", f"{DAG}/dagRuns?updated_at_gte=2026-01-01T00:00:00")
    assert answer.status_code == 500
    assert answer.json()["detail"]["reason"] == "Database error"


def test_an_unescaped_plus_is_a_422(site):
    answer = site.raw("GET", f"{DAG}/dagRuns?updated_at_gte=2026-01-01T00:00:00+00:00")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "updated_at_gte"]


def test_an_unknown_filter_is_ignored(site):
    assert site.raw("GET", f"{DAG}/dagRuns?zzz=1&limit=1").status_code == 200


def test_a_negative_limit(site):
    answer = site.raw("GET", f"{DAG}/dagRuns?limit=-1")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "limit"]


@pytest.mark.parametrize(
    ("path", "body", "location", "kind"),
    [
        (f"{DAG}/dagRuns", {}, ["body", "logical_date"], "missing"),
        (f"{DAG}/dagRuns", {"logical_date": None, "zzz": 1}, ["body", "zzz"], "extra_forbidden"),
        (f"{DAG}/dagRuns", {"logical_date": None, "conf": []}, ["body", "conf"], "dict_type"),
        ("/api/v2/dags/~/dagRuns/~/taskInstances/list", {"zzz": 1}, ["body", "zzz"], "extra_forbidden"),
        ("/api/v2/dags/~/dagRuns/~/taskInstances/list", {"state": ["zz"]}, ["body", "state", 0], "enum"),
        (f"{DAG}/clearTaskInstances", {"zzz": 1}, ["body", "zzz"], "extra_forbidden"),
        (f"{DAG}/clearTaskInstances", {"task_ids": []}, ["body"], "value_error"),
        (f"{DAG}/clearTaskInstances", {"note": "x" * 1001}, ["body", "note"], "string_too_long"),
        (f"{DAG}/clearTaskInstances", {"only_failed": True, "only_running": True}, ["body"], "value_error"),
    ],
)
def test_bodies_are_strict(site, path, body, location, kind):
    answer = site.raw("POST", path, json=body)
    assert answer.status_code == 422
    first = answer.json()["detail"][0]
    assert (first["loc"], first["type"]) == (location, kind)
    assert "input" in first


def test_a_body_that_is_no_json(site):
    answer = site.raw("POST", f"{DAG}/dagRuns", content=b"{nonsense")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"
