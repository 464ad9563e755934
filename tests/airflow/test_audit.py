"""Who changed what in Airflow, by its audit log."""

from __future__ import annotations

from datetime import timedelta

import pytest

from panel.airflow import Forbidden
from panel.airflow.audit import details
from tests.fakes.airflow.people import Person


def test_changes_of_one_run_the_latest_first(airflow, etl):
    since = etl.clock.now() - timedelta(seconds=1)
    maria = Person(etl, "maria")
    maria.mark("etl", "r1", "work", 3, "failed")
    maria.mark_run("etl", "r1", "success")
    maria.clear("etl", "r1", "work", [0])
    found = airflow.audit.list("etl", "r1", events=["patch_task_instance", "patch_dag_run"], since=since)
    assert [(entry.event, entry.owner) for entry in found] == [
        ("patch_dag_run", "maria"),
        ("patch_task_instance", "maria"),
    ]
    assert details(found[1]) == {"map_index": "3", "new_state": "failed", "method": "PATCH"}
    assert airflow.audit.list("etl", "r1", events=["patch_dag_run"], since=etl.clock.now()) == []
    assert airflow.audit.list("etl", "r2", events=["patch_dag_run"], since=since) == []


def test_a_deleted_run_is_still_told_of(airflow, etl):
    since = etl.clock.now() - timedelta(seconds=1)
    Person(etl, "maria").delete_run("etl", "r1")
    assert [entry.owner for entry in airflow.audit.list("etl", "r1", events=["delete_dag_run"], since=since)] == [
        "maria"
    ]


def test_an_audit_log_that_may_not_be_read(airflow, etl):
    etl.forbid("audit")
    with pytest.raises(Forbidden):
        airflow.audit.list("etl", "r1", events=["patch_dag_run"], since=etl.clock.now())


@pytest.mark.parametrize("extra", [None, "", "no json", "[1]"])
def test_details_that_are_no_object_are_none(airflow, etl, extra):
    Person(etl, "maria").mark_run("etl", "r1", "failed")
    etl.world.events[-1]["extra"] = extra
    since = etl.clock.now() - timedelta(seconds=60)
    assert details(airflow.audit.list("etl", "r1", events=["patch_dag_run"], since=since)[0]) == {}
