"""Addresses: ids quoted whole, path prefixes, base URLs that cannot be right."""

from __future__ import annotations

import httpx
import pytest

from panel.airflow import Airflow, BearerToken, NotFound, Unreachable, checked_base_url
from panel.airflow.addresses import path
from tests.fakes.airflow import FakeAirflow


@pytest.mark.parametrize("prefix", ["", "/airflow", "/a/b/"])
def test_a_path_prefix(client, prefix):
    fake = FakeAirflow(prefix=prefix)
    fake.add_dag("etl")
    airflow = client(fake)
    assert airflow.check().version == "3.3.2"
    assert airflow.capabilities.clear_note
    assert airflow.dags.mapped_task_ids("etl") == []
    assert [dag.dag_id for dag in airflow.dags.list()] == ["etl"]


@pytest.mark.parametrize("run_id", ["manual__2026-11-22T06:46:17.345398+00:00", "a+b", "a:b", "~x", "a.b", "100"])
def test_ids_arrive_as_they_are(airflow, fake, run_id):
    fake.add_dag("etl.daily-x_1")
    airflow.runs.trigger("etl.daily-x_1", run_id=run_id, conf={})
    fake.run_queued(lambda row: 1)
    assert airflow.runs.find("etl.daily-x_1", run_id).dag_run_id == run_id
    assert airflow.instances.get("etl.daily-x_1", run_id, "work").dag_run_id == run_id
    assert airflow.xcoms.get("etl.daily-x_1", run_id, "work").value == 1
    assert airflow.runs.results("etl.daily-x_1", run_id, ["work"]) == {"work": 1}
    assert [row.task_id for row in airflow.instances.clear("etl.daily-x_1", run_id, ["work"], dry_run=True)] == ["work"]


@pytest.mark.parametrize(
    ("dag_id", "sent"),
    [
        ("a/b", b"a%2Fb"),
        ("a b", b"a%20b"),
        ("a%2Fb", b"a%252Fb"),
        ("a?x=1#y", b"a%3Fx%3D1%23y"),
        ("+ :~%", b"%2B%20%3A~%25"),
        ("ünïcode", b"%C3%BCn%C3%AFcode"),
        ("..%2f..", b"..%252f.."),
        ("a\r\nb", b"a%0D%0Ab"),
        ("\u0000", b"%00"),
    ],
)
def test_an_id_stays_one_segment(answering, dag_id, sent):
    seen = []

    def handle(request):
        seen.append(request.url.raw_path)
        return httpx.Response(404, json={"detail": "no"})

    with pytest.raises(NotFound):
        answering(handle).dags.details(dag_id)
    assert seen == [b"/api/v2/dags/" + sent + b"/details"]


@pytest.mark.parametrize("dag_id", ["", ".", ".."])
def test_an_id_that_would_climb_out_of_its_path(answering, dag_id):
    airflow = answering(lambda request: pytest.fail("nothing may be sent"))
    with pytest.raises(NotFound):
        airflow.dags.details(dag_id)


def test_an_id_too_long_for_an_address(answering):
    with pytest.raises(NotFound):
        answering(lambda request: pytest.fail("nothing may be sent")).dags.details("x" * 70_000)


def test_queries_are_quoted(answering):
    seen = []

    def handle(request):
        seen.append(request.url.query)
        return httpx.Response(200, json={"content": [], "continuation_token": None})

    answering(handle).logs.read("d", "r", "t", 1, 3, token="a+b&map_index=9")
    assert seen == [b"map_index=3&token=a%2Bb%26map_index%3D9"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://airflow", "http://airflow"),
        (" https://airflow.example.com:8443/x/ ", "https://airflow.example.com:8443/x"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_base_urls(given, kept):
    assert checked_base_url(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        "airflow:8080",
        "ftp://airflow",
        "file:///etc/passwd",
        "http://",
        "http:///x",
        "http://user:secret@airflow",
        "http://airflow?x=1",
        "http://airflow#x",
        "http://airflow?",
        "http://air flow",
        "http://airflow:port",
        "http://airflow:99999",
        "http://[::1",
        "javascript:alert(1)",
        "http://airflow/\u202etxt",
    ],
)
def test_base_urls_that_cannot_be_right(given):
    with pytest.raises(ValueError, match="base URL") as caught:
        Airflow(given, BearerToken("x"))
    assert "secret" not in str(caught.value)


def test_a_ca_that_is_none():
    with pytest.raises(ValueError, match="PEM"):
        Airflow("https://airflow", BearerToken("x"), ca_pem="-----BEGIN CERTIFICATE-----\nrubbish")


def test_a_host_that_does_not_exist(answering):
    def fail(request):
        raise httpx.ConnectError("[Errno -2] Name or service not known")

    with pytest.raises(Unreachable, match=r"airflow.test cannot be reached: \[Errno -2\] Name or service not known\."):
        answering(fail).version()


def test_paths_are_joined_and_quoted():
    assert path("/api/v2", "dags", "a/b", "x", 7) == "/api/v2/dags/a%2Fb/x/7"
