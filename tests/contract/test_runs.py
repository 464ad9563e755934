"""Runs: started by form, found again, refused for good reasons."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from panel.airflow import Conflict, Invalid, NotFound, ServerFault
from panel.airflow.errors import Rejected

PARAMS = "contract_params"


def test_a_run_is_queued_with_exactly_the_conf_that_was_sent(site):
    run_id = site.run_id() + "+00:00~x.y"
    run = site.client().runs.trigger(PARAMS, run_id=run_id, conf={"name": "x", "extra": [1]}, note="because")
    assert (run.dag_run_id, run.dag_id, run.state, run.run_type) == (run_id, PARAMS, "queued", "manual")
    assert (run.conf, run.note, run.logical_date) == ({"name": "x", "extra": [1]}, "because", None)
    assert run.triggering_user_name == "op"
    done = site.finished(PARAMS, run_id)
    assert done.state == "success"
    assert done.note == "because"
    assert site.client().xcoms.get(PARAMS, run_id, "echo").value == 3
    assert site.client().runs.results(PARAMS, run_id, ["echo"]) == {"echo": 3}


def test_the_same_id_twice(site):
    run_id = site.start(PARAMS, name="x")
    with pytest.raises(Conflict, match="Unique constraint violation"):
        site.client().runs.trigger(PARAMS, run_id=run_id, conf={"name": "y"})
    assert site.client().runs.find(PARAMS, run_id).conf == {"name": "x"}


@pytest.mark.parametrize(
    ("conf", "name", "message"),
    [
        ({}, "name", "No value passed"),
        ({"name": None}, "name", "None is not of type 'string'"),
        ({"name": 7}, "name", "7 is not of type 'string'"),
        ({"name": "x", "n": 99}, "n", "99 is greater than the maximum of 10"),
        ({"name": "x", "n": 0}, "n", "0 is less than the minimum of 1"),
        ({"name": "x", "n": 2.5}, "n", "2.5 is not of type 'integer'"),
        ({"name": "x", "kind": "c"}, "kind", "'c' is not one of ['a', 'b']"),
        ({"name": "x", "day": "zz"}, "day", "'zz' is not a 'date'"),
        ({"name": "x", "maybe": 5}, "maybe", "5 is not of type 'null', 'string'"),
        ({"n": 99, "name": 7}, "name", "7 is not of type 'string'"),
    ],
)
def test_params_that_break_their_schema(site, conf, name, message):
    run_id = site.run_id()
    with pytest.raises(Invalid) as caught:
        site.client().runs.trigger(PARAMS, run_id=run_id, conf=conf)
    assert caught.value.status == 400
    assert caught.value.fields == {name: [message]}
    with pytest.raises(NotFound):
        site.client().runs.find(PARAMS, run_id)


@pytest.mark.parametrize("conf", [{"n": 4.0}, {"maybe": None}, {"plain": "text"}, {"unknown": {"a": 1}}])
def test_params_that_are_taken(site, conf):
    assert site.start(PARAMS, name="x", **conf)


@pytest.mark.parametrize(
    ("run_id", "message"),
    [
        ("a b", "does not match regex pattern"),
        ("a/b", "does not match regex pattern"),
        ("a..b", "must not contain '..'"),
        ("scheduled__x", "reserved for scheduled runs"),
        ("backfill__x", "reserved for backfill runs"),
    ],
)
def test_run_ids_that_are_refused(site, run_id, message):
    with pytest.raises(Invalid, match=message) as caught:
        site.client().runs.trigger(PARAMS, run_id=run_id, conf={"name": "x"})
    assert caught.value.status == 400


@pytest.mark.parametrize("more", [{"note": "x" * 1001}, {"run_id": "x" * 251}])
def test_texts_too_long_for_the_database(site, more):
    with pytest.raises(Invalid, match="Value rejected by database") as caught:
        site.client().runs.trigger(PARAMS, **{"run_id": site.run_id(), "conf": {"name": "x"}, **more})
    assert caught.value.status == 422


def test_an_unknown_dag(site):
    with pytest.raises(NotFound, match="Dag with dag_id: 'nope' not found"):
        site.client().runs.trigger("nope", run_id="r", conf={})


def test_params_of_the_form(site):
    params = site.client().dags.details(PARAMS).params
    assert list(params) == ["name", "n", "kind", "day", "maybe", "plain"]
    assert params["name"].value is None
    assert params["name"].schema == {"type": "string", "title": "Name"}
    assert params["name"].description == "Who"
    assert params["n"].value == 3
    assert params["n"].schema == {"type": "integer", "minimum": 1, "maximum": 10}
    assert params["kind"].schema == {"enum": ["a", "b"], "values_display": {"a": "Kind A", "b": "Kind B"}}
    assert params["maybe"].schema == {"type": ["null", "string"]}
    assert params["plain"].value == 5
    assert params["plain"].schema == {}


def test_a_run_is_found_by_its_exact_id(site, mapped):
    client = site.client()
    longer = f"{mapped}-longer"
    client.runs.trigger("contract_mapped", run_id=longer, conf={"n": 0})
    assert client.runs.find("contract_mapped", mapped).dag_run_id == mapped
    assert client.runs.find("contract_mapped", longer).dag_run_id == longer
    for wrong in (mapped[:-1], mapped.upper(), f"{mapped}%", "nope"):
        with pytest.raises(NotFound):
            client.runs.find("contract_mapped", wrong)
    site.finished("contract_mapped", longer)


def test_runs_are_listed_newest_first(site):
    ids = [site.start(PARAMS, name="x") for _ in range(3)]
    listed = [run.dag_run_id for run in site.client().runs.list(PARAMS, limit=3)]
    assert listed == ids[::-1]
    assert [run.dag_run_id for run in site.client().runs.list(limit=3)] == ids[::-1]
    assert [run.dag_run_id for run in site.client().runs.list(PARAMS, order_by="run_after", limit=500)][-3:] == ids
    for run_id in ids:
        site.finished(PARAMS, run_id)
    found = {run.dag_run_id for run in site.client().runs.list(PARAMS, states=["success"], limit=500)}
    assert set(ids) <= found
    assert not set(ids) & {run.dag_run_id for run in site.client().runs.list(PARAMS, states=["failed"], limit=500)}


def test_runs_of_a_paused_dag_wait_and_pages_are_clamped_silently(site):
    """101 runs that stay queued: more than the largest page."""
    client = site.client()
    assert client.dags.details("contract_paused").is_paused
    ids = [site.start("contract_paused") for _ in range(101)]
    listed = client.runs.list("contract_paused", limit=101)
    assert [run.dag_run_id for run in listed] == ids[::-1]
    assert {run.state for run in listed} == {"queued"}
    page = site.raw("GET", "/api/v2/dags/contract_paused/dagRuns?limit=1000").json()
    assert len(page["dag_runs"]) == 100
    assert page["total_entries"] >= 101
    assert len(site.raw("GET", "/api/v2/dags/contract_paused/dagRuns").json()["dag_runs"]) == 50
    assert site.raw("GET", "/api/v2/dags/contract_paused/dagRuns?limit=0").json()["dag_runs"] == []


def test_runs_by_when_they_changed(site, mapped):
    run = site.client().runs.find("contract_mapped", mapped)
    listed = site.client().runs.list("contract_mapped", updated_after=run.queued_at, limit=500)
    assert mapped in {one.dag_run_id for one in listed}
    later = datetime.now(UTC) + timedelta(hours=1)
    assert site.client().runs.list("contract_mapped", updated_after=later) == []


def test_results_of_something_unknown(site, mapped):
    with pytest.raises(NotFound, match="was not found"):
        site.client().runs.results("contract_mapped", "nope", ["work"])
    assert site.client().runs.results("contract_mapped", mapped, ["nope"]) == {}


def test_waiting_needs_an_interval(site, mapped):
    answer = site.raw("GET", f"/api/v2/dags/contract_mapped/dagRuns/{mapped}/wait?result=work")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "interval"]


def test_dags_are_listed(site):
    listed = {dag.dag_id: dag for dag in site.client().dags.list()}
    assert {"contract_group", "contract_mapped", "contract_params", "contract_paused", "contract_slow"} <= set(listed)
    dag = listed["contract_mapped"]
    assert (dag.is_paused, dag.is_stale, dag.has_import_errors) == (False, False, False)
    assert [tag.name for tag in dag.tags] == ["contract"]
    assert list(listed) == sorted(listed)
    assert site.client().dags.import_errors() == []


def test_refusals_are_never_server_faults(site):
    """What the client sends is always well-formed: times with zones, quoted ids."""
    with pytest.raises(Rejected) as caught:
        site.client().dags.details("a+b %/..")
    assert not isinstance(caught.value, ServerFault)
