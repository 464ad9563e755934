"""The fake counts what was done to each index, so that tests can say "each once"."""

from __future__ import annotations

import pytest

from panel.airflow import Airflow, Conflict, Password
from tests.fakes.airflow import FakeAirflow, Task

WORK = ("etl", "r1", "work")


@pytest.fixture
def fake():
    """A finished run: of three indices, 1 failed."""
    fake = FakeAirflow()
    tasks = [Task("work", is_mapped=True, expands=3, downstream=["agg"]), Task("agg", trigger_rule="all_done")]
    fake.add_dag("etl", tasks=tasks)
    fake.add_run("etl", "r1", state="queued")

    def decide(row):
        if (row.map_index, row.try_number) == (1, 1):
            raise KeyError("no")

    fake.run_queued(decide)
    return fake


@pytest.fixture
def airflow(fake):
    with Airflow(fake.base_url, Password("op", fake.password("op")), transport=fake.transport()) as client:
        yield client


def clear(airflow, *indices, **more):
    airflow.instances.clear("etl", "r1", [("work", index) for index in indices], **{"dry_run": False, **more})


def test_tries_are_counted_as_they_begin(fake, airflow):
    assert fake.tries_started(*WORK) == {0: 1, 1: 1, 2: 1}
    clear(airflow, 1)
    fake.run_queued()
    assert fake.tries_started(*WORK) == {0: 1, 1: 2, 2: 1}
    assert fake.tries_started("etl", "r1", "agg") == {-1: 1}


def test_clears_are_counted_and_dry_runs_are_not(fake, airflow):
    clear(airflow, 0, 1, dry_run=True)
    assert fake.clears(*WORK) == {}
    clear(airflow, 0, 1)
    fake.run_queued()
    clear(airflow, 1)
    assert fake.clears(*WORK) == {0: 1, 1: 2}
    assert {one.user for one in fake.effects.all if one.what == "clear"} == {"op"}


def test_a_clear_of_what_waits_anyway_is_told_apart(fake, airflow):
    clear(airflow, 1)
    clear(airflow, 1)
    assert fake.clears(*WORK) == {1: 1}
    assert [one.before for one in fake.effects.all if one.what == "clear"] == ["failed", None]


def test_marks_are_counted_once_for_each_change(fake, airflow):
    airflow.instances.set_state("etl", "r1", "work", 1, "success")
    with pytest.raises(Conflict):
        airflow.instances.set_state("etl", "r1", "work", 1, "success")
    assert fake.marks(*WORK) == {1: 1}
    assert fake.clears(*WORK) == {}


def test_what_a_test_calls_this_moment_is_kept(fake, airflow):
    fake.effects.cause = "job 1"
    clear(airflow, 1)
    fake.effects.cause = ""
    clear(airflow, 2)
    assert [(one.map_index, one.cause) for one in fake.effects.all if one.what == "clear"] == [(1, "job 1"), (2, "")]


def test_a_fresh_fake_has_counted_nothing(fake):
    fake.reset()
    assert (fake.effects.all, fake.tries_started(*WORK)) == ([], {})
