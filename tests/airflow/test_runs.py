"""Dag runs: listed, found, triggered, and their results at once."""

from __future__ import annotations

import httpx
import pytest

from panel.airflow import Capabilities, Conflict, Forbidden, Invalid, NotFinished, NotFound


def test_runs_by_state_and_time(airflow, etl):
    etl.clock.advance(60)
    since = etl.clock.now()
    etl.add_run("etl", "r2", state="running")
    etl.add_run("etl", "r3", state="failed")
    assert [run.dag_run_id for run in airflow.runs.list("etl")] == ["r3", "r2", "r1"]
    assert [run.dag_run_id for run in airflow.runs.list(states=["running", "success"])] == ["r2", "r1"]
    assert [run.dag_run_id for run in airflow.runs.list("etl", updated_after=since)] == ["r3", "r2"]
    assert [run.dag_run_id for run in airflow.runs.list("etl", order_by="run_after", limit=2)] == ["r1", "r2"]


def test_a_run_is_found_without_loading_its_instances(airflow, etl):
    assert airflow.runs.find("etl", "r1").state == "success"
    assert not etl.calls("GET", "/dagRuns/r1")


@pytest.mark.parametrize("run_id", ["r", "r11", "R1", "~", "%", "nope"])
def test_a_run_that_does_not_exist(airflow, etl, run_id):
    with pytest.raises(NotFound, match="was not found"):
        airflow.runs.find("etl", run_id)


def test_triggering(airflow, etl):
    run = airflow.runs.trigger("etl", run_id="r2", conf={"z_first": "x"}, note="because")
    assert (run.dag_run_id, run.state, run.conf, run.note) == ("r2", "queued", {"z_first": "x"}, "because")
    assert etl.calls("POST")[-1].body["logical_date"] is None


def test_triggering_again_under_the_same_id(airflow, etl):
    airflow.runs.trigger("etl", run_id="r2", conf={"z_first": "x"})
    with pytest.raises(Conflict):
        airflow.runs.trigger("etl", run_id="r2", conf={"z_first": "x"})
    assert len(etl.world.runs) == 2


def test_params_that_break_their_schema_are_named(airflow, etl):
    with pytest.raises(Invalid) as caught:
        airflow.runs.trigger("etl", run_id="r2", conf={"z_first": "x", "n": 99})
    assert caught.value.fields == {"n": ["99 is greater than the maximum of 10"]}
    with pytest.raises(Invalid) as caught:
        airflow.runs.trigger("etl", run_id="r2", conf={})
    assert caught.value.fields == {"z_first": ["No value passed"]}
    assert len(etl.world.runs) == 1


def test_results_of_a_finished_run(airflow, etl):
    found = airflow.runs.results("etl", "r1", ["work", "agg", "nope"])
    assert found["agg"] == {"task": "agg", "index": -1}
    assert [value["index"] for value in found["work"]] == [0, 3, 4]
    assert "nope" not in found
    assert airflow.runs.results("etl", "r1", []) == {}


def test_results_of_a_run_that_goes_on(airflow, etl):
    etl.add_run("etl", "r2")
    with pytest.raises(NotFinished):
        airflow.runs.results("etl", "r2", ["work"])


def test_the_results_of_a_run_that_goes_on_are_not_waited_for(answering):
    """Airflow would send a line an interval until the run ends."""
    taken = []

    class Lines(httpx.SyncByteStream):
        def __iter__(self):
            while len(taken) < 100:
                taken.append(1)
                yield b'{"state":"running"}\n'

    kept = Capabilities(
        "3.3.2", (3, 3, 2), clear_note=True, clear_prevent_running=True, cursors=True, run_id_prefix=True
    )
    airflow = answering(lambda request: httpx.Response(200, stream=Lines()), capabilities=kept)
    with pytest.raises(NotFinished):
        airflow.runs.results("etl", "r2", ["work"])
    assert len(taken) == 1


def test_results_need_access_to_xcoms(airflow, etl):
    etl.forbid("xcom")
    with pytest.raises(Forbidden):
        airflow.runs.results("etl", "r1", ["work"])
