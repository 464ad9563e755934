"""What Mapboard sends to a fake is held against the OpenAPI document of the real server of that version."""

from __future__ import annotations

import httpx
import pytest

from tests.fakes.airflow import FakeAirflow, Task
from tests.fakes.airflow.openapi import WrongRequest, recordings, wrong_requests

RUN = "/api/v2/dags/etl/dagRuns/r1"
CLEAR = "/api/v2/dags/etl/clearTaskInstances"
BODY = {"dag_run_id": "r1", "task_ids": [["work", 1]], "only_failed": False}


@pytest.fixture
def send():
    """``send("3.0.6", "GET", path, …)`` as Mapboard's client, or as somebody ``else``."""

    def request(version, method, path, agent="mapboard", **more):
        fake = FakeAirflow(version)
        fake.add_dag("etl", tasks=[Task("work", is_mapped=True, expands=3)])
        fake.add_run("etl", "r1", state="queued")
        fake.run_queued()
        headers = {"Authorization": f"Bearer {fake.auth.token_for('op')}", "User-Agent": agent}
        with httpx.Client(transport=fake.transport(), base_url=fake.base_url, headers=headers) as http:
            return http.request(method, path, **more)

    return request


@pytest.fixture
def refused(send):
    """What is wrong with a request, in the words of the failing test."""

    def words(*request, **more):
        with pytest.raises(WrongRequest) as caught:
            send(*request, **more)
        assert wrong_requests == [caught.value]
        wrong_requests.clear()
        return str(caught.value)

    return words


def test_every_series_is_recorded():
    assert [file.parent.name for file in recordings()] == ["3.0.6", "3.1.7", "3.2.2", "3.3.2"]


@pytest.mark.parametrize("version", ["3.0.6", "3.1.7", "3.2.2", "3.3.2"])
def test_a_misspelt_filter_is_named(refused, version):
    said = refused(version, "GET", f"{RUN}/taskInstances?task_ids=work")
    assert said == (
        f"GET {RUN}/taskInstances to Airflow {version}: "
        "the query parameter 'task_ids' is not known and would be ignored"
    )


@pytest.mark.parametrize(
    ("path", "since"),
    [
        (f"{RUN}/taskInstances?map_index=1&map_index=2", "3.1.7"),
        (f"{RUN}/taskInstances?updated_at_gt=2026-01-01T00:00:00Z", "3.1.7"),
        (f"{RUN}/taskInstances?cursor=", "3.2.2"),
        ("/api/v2/dags/etl/dagRuns?run_id_prefix_pattern=r1", "3.2.2"),
        (f"{RUN}/taskInstances/work/xcomEntries?order_by=map_index", "3.2.2"),
    ],
)
@pytest.mark.parametrize("version", ["3.0.6", "3.1.7", "3.2.2", "3.3.2"])
def test_a_filter_that_came_later_is_refused_for_older_servers(send, refused, version, path, since):
    if version >= since:
        assert send(version, "GET", path).status_code == 200
    else:
        assert "would be ignored" in refused(version, "GET", path)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("updated_at_gte=2026-01-01T00:00:00", "does not fit"),
        ("limit=many", "does not fit"),
        ("limit=-1", "does not fit"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(refused, query, problem):
    said = refused("3.3.2", "GET", f"{RUN}/taskInstances?{query}")
    assert problem in said
    assert query.partition("=")[0] in said


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"prevent_running": True}, "('prevent_running' was unexpected)"),
        ({"dry_run": "no"}, "$.dry_run: 'no' is not of type 'boolean'"),
        ({"task_ids": [["work", "1"]]}, "$.task_ids"),
        ({"note": "x" * 1_001}, "$.note"),
    ],
)
def test_a_body_that_would_be_answered_422_is_named(refused, more, problem):
    assert problem in refused("3.3.2", "POST", CLEAR, json=BODY | more)


@pytest.mark.parametrize(
    ("field", "since"), [("run_on_latest_version", "3.1.7"), ("prevent_running_task", "3.2.2"), ("note", "3.3.2")]
)
@pytest.mark.parametrize("version", ["3.0.6", "3.1.7", "3.2.2", "3.3.2"])
def test_a_field_that_came_later_is_refused_for_older_servers(send, refused, version, field, since):
    body = BODY | {field: "why" if field == "note" else True}
    if version >= since:
        assert send(version, "POST", CLEAR, json=body).status_code == 200
    else:
        assert f"('{field}' was unexpected)" in refused(version, "POST", CLEAR, json=body)


def test_what_is_missing_is_named(refused):
    assert "'logical_date' is a required property" in refused("3.3.2", "POST", "/api/v2/dags/etl/dagRuns", json={})
    assert "the query parameter 'interval' is missing" in refused("3.3.2", "GET", f"{RUN}/wait")


def test_a_call_of_another_version_is_named(refused):
    bulk = {"actions": []}
    assert "there is no such method" in refused("3.0.6", "PATCH", f"{RUN}/taskInstances", json=bulk)


def test_a_test_that_speaks_http_itself_gets_the_servers_own_refusal(send):
    answer = send("3.3.2", "POST", CLEAR, agent="curl", json=BODY | {"zzz": 1})
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, "extra_forbidden")
