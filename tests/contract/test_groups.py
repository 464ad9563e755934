"""Mapped task groups: how they are found, and how failures spread inside them."""

from __future__ import annotations

import pytest

DAG = "contract_group"


def test_tasks_of_a_mapped_group_do_not_say_that_they_are_mapped(site):
    assert {task.task_id: task.is_mapped for task in site.client().dags.tasks(DAG)} == {
        "each.first": False,
        "each.second": False,
        "after": False,
    }


def test_the_structure_says_it(site):
    assert site.raw("GET", f"/ui/grid/structure/{DAG}").json() == [
        {
            "id": "each",
            "label": "each",
            "is_mapped": True,
            "children": [
                {"id": "each.first", "label": "first", "is_mapped": True},
                {"id": "each.second", "label": "second", "is_mapped": True},
            ],
        },
        {"id": "after", "label": "after"},
    ]
    assert site.raw("GET", "/ui/grid/structure/contract_mapped").json() == [
        {"id": "items", "label": "items"},
        {"id": "work", "label": "work", "is_mapped": True},
        {"id": "summary", "label": "summary"},
    ]


def test_mapped_tasks(site):
    assert site.client().dags.mapped_task_ids(DAG) == ["each.first", "each.second"]
    assert site.client().dags.mapped_task_ids("contract_mapped") == ["work"]
    assert site.client().dags.mapped_task_ids("contract_params") == []


def test_downstream_and_trigger_rules(site):
    tasks = {task.task_id: task for task in site.client().dags.tasks("contract_mapped")}
    assert tasks["items"].downstream_task_ids == ["work"]
    assert tasks["work"].downstream_task_ids == ["summary"]
    assert (tasks["work"].trigger_rule, tasks["summary"].trigger_rule) == ("all_success", "all_done")
    assert (tasks["work"].retries, tasks["work"].pool) == (0, "default_pool")


def test_a_failure_stays_at_its_index(site, group):
    assert site.states(DAG, group) == {
        ("each.first", 0): "success",
        ("each.first", 1): "failed",
        ("each.first", 2): "success",
        ("each.second", 0): "success",
        ("each.second", 1): "upstream_failed",
        ("each.second", 2): "success",
        ("after", -1): "success",
    }
    client = site.client()
    assert client.runs.find(DAG, group).state == "success"
    assert client.instances.get(DAG, group, "each.second", 1).try_number == 0
    assert client.instances.count(DAG, group, "each.second") == 3
    assert client.runs.results(DAG, group, ["each.second"]) == {"each.second": [0, 20]}


@pytest.mark.parametrize("index", [0, 1, 2])
def test_downstream_inside_the_group_is_the_same_index(site, group, index):
    rows = site.client().instances.clear(DAG, group, [("each.first", index)], dry_run=True, include_downstream=True)
    assert sorted((row.task_id, row.map_index) for row in rows) == [
        ("after", -1),
        ("each.first", index),
        ("each.second", index),
    ]


def test_a_groups_id_means_nothing(site, group):
    assert site.client().instances.clear(DAG, group, ["each"], dry_run=True) == []


def test_a_retry_of_an_index_with_its_failed_upstream(site):
    client = site.client()
    run_id = site.start(DAG)
    site.finished(DAG, run_id)
    client.instances.clear(DAG, run_id, [("each.first", 1), ("each.second", 1), "after"], dry_run=False)
    site.finished(DAG, run_id)
    assert set(site.states(DAG, run_id).values()) == {"success"}
    assert client.runs.results(DAG, run_id, ["each.second"]) == {"each.second": [0, 10, 20]}
    tries = [(one.try_number, one.state) for one in client.instances.tries(DAG, run_id, "each.first", 1)]
    assert tries == [(1, "failed"), (2, "success")]
    assert client.instances.get(DAG, run_id, "each.second", 0).try_number == 1


def test_an_upstream_failed_index_alone_fails_again(site):
    client = site.client()
    run_id = site.start(DAG)
    site.finished(DAG, run_id)
    client.instances.clear(DAG, run_id, [("each.second", 1)], dry_run=False)
    site.finished(DAG, run_id)
    assert site.states(DAG, run_id)["each.second", 1] == "upstream_failed"
