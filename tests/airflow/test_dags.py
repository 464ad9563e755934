"""Dags: their params, their tasks, and which of those expand."""

from __future__ import annotations

import pytest

from panel.airflow import NotFound, Unreachable
from tests.fakes.airflow import Task


def test_params_keep_their_order(airflow, etl):
    details = airflow.dags.details("etl")
    assert list(details.params) == ["z_first", "n", "a_last"]
    assert details.params["z_first"].schema == {"type": "string", "title": "First"}
    assert details.params["z_first"].description == "Who"
    assert details.params["a_last"].value == 5


def test_an_unknown_dag(airflow, etl):
    for call in (airflow.dags.details, airflow.dags.tasks, airflow.dags.mapped_task_ids, airflow.runs.list):
        with pytest.raises(NotFound, match="was not found"):
            call("nope")


@pytest.fixture
def grouped(fake):
    """A mapped group, a plain group with a mapped task, and a mapped task of its own, declared out of order."""
    tasks = [
        Task("last", is_mapped=True),
        Task("group.b", group="group", group_is_mapped=True, downstream=["plain.mapped"]),
        Task("group.a", group="group", group_is_mapped=True, downstream=["group.b"]),
        Task("plain.mapped", group="plain", is_mapped=True, downstream=["last"]),
        Task("plain.single", group="plain"),
    ]
    fake.add_dag("grouped", tasks=tasks)
    return fake


def test_mapped_tasks_in_groups_are_found_upstream_first(airflow, grouped):
    assert airflow.dags.mapped_task_ids("grouped") == ["group.a", "group.b", "plain.mapped", "last"]


@pytest.mark.parametrize("fault", [{"html": True}, {"status": 404}, {"status": 403}, {"status": 500, "times": 3}])
def test_mapped_tasks_without_the_private_route(airflow, grouped, fault):
    grouped.fail_next(**{"path": "/ui/grid/structure", **fault})
    assert sorted(airflow.dags.mapped_task_ids("grouped")) == ["last", "plain.mapped"]


def test_a_task_that_is_gone_is_not_mapped(airflow, grouped):
    """The grid's structure merges older versions of the Dag."""
    nodes = [{"id": "gone", "is_mapped": True}, {"id": "last", "is_mapped": True}]
    grouped.fail_next(json=nodes, path="/ui/grid/structure")
    assert airflow.dags.mapped_task_ids("grouped") == ["last", "plain.mapped"]


def test_a_server_that_cannot_be_reached_is_not_a_dag_without_groups(airflow, grouped):
    grouped.fail_next(drop=True, path="/ui/grid/structure", times=3)
    with pytest.raises(Unreachable):
        airflow.dags.mapped_task_ids("grouped")
