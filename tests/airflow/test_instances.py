"""Task instances: read in bulk or one by one, cleared, marked, noted."""

from __future__ import annotations

import pytest

from panel.airflow import Conflict, Forbidden, Invalid, NotFound
from tests.fakes.airflow import FakeAirflow, Task


def test_bulk_rows(airflow, etl):
    rows = airflow.instances.bulk("etl", "r1", ["work"])
    assert [(row.map_index, row.state, row.try_number) for row in rows] == [
        (0, "success", 1),
        (1, "failed", 1),
        (2, "success", 1),
        (3, "success", 1),
        (4, "success", 1),
    ]
    assert rows[0].rendered_map_index == "0"
    assert rows[0].start_date.tzinfo is not None


def test_bulk_by_state(airflow, etl):
    etl.instance("etl", "r1", "work", 4).state = None
    rows = airflow.instances.bulk("etl", "r1", ["work"], states=["failed", None])
    assert [row.map_index for row in rows] == [1, 4]


def test_bulk_of_something_unknown_is_empty(airflow, etl):
    assert airflow.instances.bulk("etl", "nope") == []
    assert airflow.instances.bulk("etl", "r1", ["nope"]) == []


def test_counting(airflow, etl):
    assert airflow.instances.count("etl", "r1", "work") == 5
    etl.add_run("etl", "r2")
    assert airflow.instances.count("etl", "r2", "work") == 0
    with pytest.raises(NotFound, match="not mapped"):
        airflow.instances.count("etl", "r1", "agg")


def test_counting_what_changed(airflow, etl):
    before = etl.clock.now()
    assert airflow.instances.count_changed_since("etl", "r1", before) == 0
    etl.set_state("etl", "r1", "work", 3, "skipped")
    etl.set_state("etl", "r1", "agg", -1, "skipped")
    assert airflow.instances.count_changed_since("etl", "r1", before) == 2
    assert airflow.instances.count_changed_since("etl", "r1", before, task_id="work") == 1
    with pytest.raises(NotFound):
        airflow.instances.count_changed_since("etl", "nope", before)


def test_some_indices_a_hundred_a_request(airflow, etl):
    etl.add_run("etl", "large")
    etl.expand("etl", "large", "work", 300)
    etl.forget_requests()
    rows = airflow.instances.at("etl", "large", "work", [*range(0, 300, 2), 999])
    assert [row.map_index for row in rows] == list(range(0, 300, 2))
    assert len(etl.calls("GET", "/taskInstances")) == 2
    with pytest.raises(NotFound):
        airflow.instances.at("etl", "nope", "work", [1])


def test_a_stretch_of_indices_in_one_request(airflow, etl):
    etl.add_run("etl", "large")
    etl.expand("etl", "large", "work", 300)
    etl.forget_requests()
    rows = airflow.instances.at("etl", "large", "work", range(120, 300))
    assert [row.map_index for row in rows] == list(range(120, 300))
    asked = [(one.method, one.path.rpartition("/")[2]) for one in etl.requests if "taskInstances" in one.path]
    assert asked == [("POST", "list")]


@pytest.mark.parametrize("gone", [3, 130])
def test_a_stretch_with_an_index_missing_is_looked_up_one_by_one(gone, airflow, etl):
    """Then a place in the list is not the index any more."""
    etl.add_run("etl", "large")
    etl.expand("etl", "large", "work", 300)
    del etl.world.of_task("etl", "large", "work")[gone]
    rows = airflow.instances.at("etl", "large", "work", range(120, 170))
    assert [row.map_index for row in rows] == [index for index in range(120, 170) if index != gone]


def test_a_stretch_of_an_unknown_run_is_not_found(airflow, etl):
    with pytest.raises(NotFound):
        airflow.instances.at("etl", "nope", "work", range(50))


def test_a_dry_run_tells_pool_and_version(airflow, etl):
    (row,) = airflow.instances.clear("etl", "r1", [("work", 1)], dry_run=True)
    assert (row.pool, row.pool_slots, row.dag_version.version_number) == ("default_pool", 1, 1)


def test_one_instance(airflow, etl):
    row = airflow.instances.get("etl", "r1", "work", 1)
    assert (row.state, row.rendered_fields["op_kwargs"]) == ("failed", {"item": 1})
    assert airflow.instances.get("etl", "r1", "agg").map_index == -1
    with pytest.raises(NotFound, match="is mapped"):
        airflow.instances.get("etl", "r1", "work")
    with pytest.raises(NotFound):
        airflow.instances.get("etl", "r1", "work", 99)


def test_tries_oldest_first(airflow, etl):
    airflow.instances.clear("etl", "r1", [("work", 1)], dry_run=False)
    etl.run_queued(lambda row: 1)
    assert [(one.try_number, one.state) for one in airflow.instances.tries("etl", "r1", "work", 1)] == [
        (1, "failed"),
        (2, "success"),
    ]
    assert len(airflow.instances.tries("etl", "r1", "agg")) == 1


@pytest.mark.parametrize(
    ("targets", "options", "expected"),
    [
        ([("work", 1)], {}, [("work", 1)]),
        ([("work", 1), ("work", 3)], {}, [("work", 1), ("work", 3)]),
        ([("work", 0)], {"include_downstream": True}, [("agg", -1), ("work", 0)]),
        ([("work", 0)], {"include_upstream": True}, [("items", -1), ("work", 0)]),
        (["agg"], {}, [("agg", -1)]),
        ([("work", 99)], {}, []),
    ],
)
def test_a_dry_run_shows_what_would_be_cleared_and_changes_nothing(airflow, etl, targets, options, expected):
    rows = airflow.instances.clear("etl", "r1", targets, dry_run=True, **options)
    assert sorted((row.task_id, row.map_index) for row in rows) == expected
    assert etl.states("etl", "r1", "work")[1] == "failed"
    assert etl.states("etl", "r1", "agg") == {-1: "success"}


def test_clearing_takes_any_state_and_the_note(airflow, etl):
    rows = airflow.instances.clear("etl", "r1", [("work", 0), ("work", 1)], dry_run=False, note="again")
    assert {row.map_index: row.state for row in rows} == {0: None, 1: None}
    assert etl.instance("etl", "r1", "work", 0).note == "again"
    assert etl.world.runs["etl", "r1"].state == "queued"


def test_clearing_without_waking_the_run(airflow, etl):
    airflow.instances.clear("etl", "r1", [("work", 1)], dry_run=False, reset_dag_runs=False)
    assert etl.world.runs["etl", "r1"].state == "success"
    assert etl.states("etl", "r1", "work")[1] is None


def test_a_running_target_keeps_everything_as_it_is(airflow, etl):
    etl.start("etl", "r1", "work", 3)
    with pytest.raises(Conflict, match="prevent_running_task"):
        airflow.instances.clear("etl", "r1", [("work", 1), ("work", 3)], dry_run=False)
    assert etl.states("etl", "r1", "work")[1] == "failed"


def test_clearing_nothing_is_a_mistake(airflow, etl):
    with pytest.raises(ValueError, match="targets"):
        airflow.instances.clear("etl", "r1", [], dry_run=False)
    assert not etl.calls("POST", "clear")


def test_marking_and_noting(airflow, etl):
    airflow.instances.set_state("etl", "r1", "work", 1, "success", note="checked by hand")
    row = airflow.instances.get("etl", "r1", "work", 1)
    assert (row.state, row.note, row.try_number) == ("success", "checked by hand", 1)
    airflow.instances.set_note("etl", "r1", "agg", -1, "seen")
    assert airflow.instances.get("etl", "r1", "agg").note == "seen"
    with pytest.raises(Invalid):
        airflow.instances.set_state("etl", "r1", "work", 1, "running")
    with pytest.raises(NotFound, match="map_index: `99`"):
        airflow.instances.set_note("etl", "r1", "work", 99, "x")


@pytest.mark.parametrize(("version", "requests"), [("3.0.6", 3), ("3.1.7", 1), ("3.3.2", 1)])
def test_marking_many_takes_one_request_where_the_server_has_it(client, version, requests):
    fake = FakeAirflow(version)
    fake.add_dag("etl", tasks=[Task("work", is_mapped=True, expands=5)])
    fake.add_run("etl", "r1")
    airflow = client(fake)
    airflow.instances.mark("etl", "r1", "work", [1, 2, 99], "skipped", note="not needed")
    assert fake.states("etl", "r1", "work") == {0: None, 1: "skipped", 2: "skipped", 3: None, 4: None}
    assert fake.instance("etl", "r1", "work", 1).note == "not needed"
    assert len(fake.calls("PATCH")) == requests


@pytest.mark.parametrize("version", ["3.0.6", "3.3.2"])
def test_what_was_not_marked_is_said(client, version):
    fake = FakeAirflow(version)
    fake.add_dag("etl", tasks=[Task("work", is_mapped=True, expands=3)])
    fake.add_run("etl", "r1")
    fake.finish("etl", "r1", "work", 1)
    said = client(fake).instances.mark("etl", "r1", "work", [1], "success")
    assert said == ["Task id work is already in success state"]


@pytest.mark.parametrize("call", ["clear", "mark", "set_state", "set_note", "trigger"])
def test_a_viewer_changes_nothing(client, etl, call):
    viewer = client(etl, user="viewer")
    calls = {
        "clear": lambda: viewer.instances.clear("etl", "r1", [("work", 1)], dry_run=True),
        "mark": lambda: viewer.instances.mark("etl", "r1", "work", [1, 2], "success"),
        "set_state": lambda: viewer.instances.set_state("etl", "r1", "work", 1, "success"),
        "set_note": lambda: viewer.instances.set_note("etl", "r1", "work", 1, "x"),
        "trigger": lambda: viewer.runs.trigger("etl", run_id="r2", conf={"z_first": "x"}),
    }
    with pytest.raises(Forbidden):
        calls[call]()
    assert len(viewer.instances.bulk("etl", "r1")) == 7
