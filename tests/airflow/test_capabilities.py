"""What a server can do: Airflow 2 refused, older versions of Airflow 3 asked only for what they know."""

from __future__ import annotations

import httpx
import pytest

from panel.airflow import BadPayload, NotFound, Unsupported
from tests.fakes.airflow import FakeAirflow, Task

VERSIONS = ["3.0.6", "3.1.7", "3.2.2", "3.3.2"]


def staged(version, **options):
    """One mapped Dag with a run: index 1 of three failed."""
    fake = FakeAirflow(version, **options)
    tasks = [Task("work", is_mapped=True, expands=3, downstream=["agg"]), Task("agg", trigger_rule="all_done")]
    fake.add_dag("etl", tasks=tasks)
    fake.add_run("etl", "r1", state="queued")

    def work(row):
        if row.map_index == 1 and row.try_number == 1:
            raise RuntimeError("boom")
        return row.map_index

    fake.run_queued(work)
    return fake


@pytest.mark.parametrize(
    ("version", "note", "prevent", "cursors", "prefix", "ordered", "exact"),
    [
        ("3.0.6", False, False, False, False, False, False),
        ("3.1.0", False, False, False, False, False, False),
        ("3.1.7", False, False, False, False, False, True),
        ("3.2.0", False, True, False, False, False, True),
        ("3.2.2", False, True, True, True, False, True),
        ("3.3.2", True, True, True, True, True, True),
        ("3.3.0rc1", True, True, True, True, True, True),
    ],
)
@pytest.mark.parametrize("document", [True, False])
def test_capabilities_by_version(client, version, note, prevent, cursors, prefix, ordered, exact, document):
    fake = FakeAirflow(version)
    if not document:
        fake.fail_next(status=404, path="/openapi.json", times=9)
    found = client(fake).capabilities
    assert found.version == version
    assert found.clear_note is note
    assert found.clear_prevent_running is prevent
    assert found.cursors is cursors
    assert found.run_id_prefix is prefix
    assert found.ordered_results is ordered
    assert found.clears_exact_indices is exact


@pytest.mark.parametrize(("version", "known"), [("3.0.6", False), ("3.1.0", True), ("3.3.2", True)])
@pytest.mark.parametrize("document", [True, False])
def test_the_latest_version_is_asked_for_only_where_the_server_knows_it(client, version, known, document):
    fake = staged(version)
    if not document:
        fake.fail_next(status=404, path="/openapi.json", times=9)
    airflow = client(fake)
    assert airflow.capabilities.clear_latest_version is known
    if known:
        airflow.instances.clear("etl", "r1", [("work", 1)], dry_run=False, run_on_latest_version=True)
        assert fake.calls("POST", "clearTaskInstances")[-1].body["run_on_latest_version"] is True
    else:
        with pytest.raises(Unsupported, match=r"3\.1 or newer is needed"):
            airflow.instances.clear("etl", "r1", [("work", 1)], dry_run=False, run_on_latest_version=True)
        assert not fake.calls("POST", "clearTaskInstances")


@pytest.mark.parametrize("fault", [{"html": True}, {"garbage": True}, {"status": 403}, {"json": {"paths": 7}}])
def test_an_openapi_document_that_cannot_be_read(client, fault):
    fake = FakeAirflow("3.1.7")
    fake.fail_next(**fault, path="/openapi.json", times=9)
    assert not client(fake).capabilities.clear_note


def test_capabilities_are_read_once(airflow, fake):
    for _ in range(3):
        assert airflow.capabilities.clear_note
    assert len(fake.calls("GET", "/openapi.json")) == len(fake.calls("GET", "/version")) == 1


def test_kept_capabilities_spare_the_requests(client, fake):
    kept = client(fake).capabilities
    fake.forget_requests()
    with pytest.raises(NotFound):
        client(fake, capabilities=kept).runs.find("etl", "r1")
    assert not fake.calls("GET", "/openapi.json")


def test_airflow_2_is_refused_by_name(answering):
    def airflow_2(request):
        if request.url.path == "/api/v1/version":
            return httpx.Response(200, json={"version": "2.10.5", "git_version": None})
        return httpx.Response(404, html="<title>Airflow 404 = lots of circles</title>")

    airflow = answering(airflow_2)
    for call in (airflow.version, airflow.check, lambda: airflow.capabilities):
        with pytest.raises(Unsupported, match=r"runs Airflow 2\.10\.5.*Airflow 2 is not supported"):
            call()


def test_an_address_without_an_api(answering):
    with pytest.raises(Unsupported, match="Check the base URL"):
        answering(lambda request: httpx.Response(404, json={"detail": "Not Found"})).version()


def test_a_version_2_under_the_new_path(answering):
    with pytest.raises(Unsupported, match=r"Airflow 2\.11\.0"):
        answering(lambda request: httpx.Response(200, json={"version": "2.11.0"})).version()


def test_a_version_that_is_none(answering):
    with pytest.raises(BadPayload, match="cannot be read"):
        answering(lambda request: httpx.Response(200, json={"version": "main"})).version()


def test_another_site_at_that_address(answering):
    with pytest.raises(BadPayload, match="instead of JSON"):
        answering(lambda request: httpx.Response(200, html="<h1>Welcome to nginx</h1>")).version()


@pytest.mark.parametrize("version", VERSIONS)
def test_clearing_sends_only_what_the_server_knows(client, version):
    fake = staged(version)
    cleared = client(fake).instances.clear("etl", "r1", [("work", 1)], dry_run=False, note="why")
    assert [(row.task_id, row.map_index) for row in cleared] == [("work", 1)]
    assert fake.states("etl", "r1", "work") == {0: "success", 1: None, 2: "success"}
    assert fake.instance("etl", "r1", "work", 1).note == ("why" if version == "3.3.2" else None)


@pytest.mark.parametrize("version", ["3.0.6", "3.1.0"])
@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("targets", "options"),
    [
        ([("work", 1)], {"include_downstream": True}),
        ([("work", 1)], {"include_upstream": True}),
        ([("work", 1), "agg"], {}),
        ([("work", 1), ("agg", -1)], {}),
    ],
)
def test_a_server_that_would_clear_every_index_is_not_asked(client, version, dry_run, targets, options):
    fake = staged(version)
    with pytest.raises(Unsupported, match="every index"):
        client(fake).instances.clear("etl", "r1", targets, dry_run=dry_run, **options)
    assert not fake.calls("POST", "clearTaskInstances")


def test_a_server_that_lists_every_index_is_not_asked_for_some(client):
    fake = staged("3.0.6")
    with pytest.raises(Unsupported, match="single indices"):
        client(fake).instances.at("etl", "r1", "work", [1])
    assert not fake.calls("GET", "/taskInstances")


def test_an_old_server_may_clear_whole_tasks(client):
    fake = staged("3.0.6")
    cleared = client(fake).instances.clear("etl", "r1", ["work", "agg"], dry_run=True, include_downstream=True)
    assert len(cleared) == 4


@pytest.mark.parametrize("version", VERSIONS)
def test_reading_works_on_every_version(client, version):
    fake = staged(version, clamp=2)
    airflow = client(fake)
    assert airflow.check().version == version
    assert airflow.runs.find("etl", "r1").state == "success"
    assert len(airflow.instances.bulk("etl", "r1")) == 4
    since = fake.world.runs["etl", "r1"].queued_at
    assert [row.map_index for row in airflow.instances.changed_since("etl", "r1", "work", since)] == [0, 1, 2]
    assert [row.map_index for row in airflow.xcoms.indices("etl", "r1", "work")] == [0, 2]
    assert airflow.dags.mapped_task_ids("etl") == ["work"]


@pytest.mark.parametrize(("version", "alone"), [("3.0.6", True), ("3.1.7", True), ("3.2.2", False), ("3.3.2", False)])
def test_a_server_that_would_ignore_the_prefix_is_asked_for_the_run_itself(client, version, alone):
    fake = staged(version)
    client(fake).runs.find("etl", "r1")
    assert bool(fake.calls("GET", "/dagRuns/r1")) is alone


@pytest.mark.parametrize("version", ["3.0.6", "3.1.7", "3.2.2"])
def test_results_at_once_need_a_server_that_orders_them(client, version):
    fake = staged(version)
    with pytest.raises(Unsupported, match=r"3\.3"):
        client(fake).runs.results("etl", "r1", ["work"])
    assert not fake.calls("GET", "/wait")
