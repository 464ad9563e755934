"""Mapboard's plug-in (airflow_plugin): what it serves, to whom, and within which limits."""

from __future__ import annotations

import httpx
import pytest

from panel.airflow import NotFound
from tests.contract.stage import VALUES

CONTENT_TYPE = "application/vnd.mapboard.mapped-results+json"
LARGE, NONE = len(VALUES) - 2, len(VALUES) - 1


@pytest.fixture(scope="session")
def values(site) -> str:
    """A finished run of ``contract_values``; tests only look at it."""
    run_id = site.start("contract_values")
    site.finished("contract_values", run_id)
    return run_id


def address(dag_id: str, run_id: str, task_id: str = "work") -> str:
    return f"/mapboard/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/results"


def test_it_is_found(site):
    assert site.client().bulk_reads.available()
    answer = site.http.get("/mapboard/format")  # like /version, without a login
    assert (answer.status_code, answer.json()) == (200, {"format": 1})
    assert answer.headers["content-type"] == CONTENT_TYPE


def test_states_and_tries_are_those_of_airflow(site, mapped):
    page = site.client().bulk_reads.results("contract_mapped", mapped, "work")
    rows = site.client().instances.bulk("contract_mapped", mapped, ["work"])
    assert [(row.map_index, row.state, row.try_number, row.start_date) for row in page.rows] == [
        (row.map_index, row.state, row.try_number, row.start_date) for row in rows
    ]
    assert page.next_after is None


def test_values_are_those_of_single_reads(site, values):
    client = site.client()
    rows = client.bulk_reads.results("contract_values", values, "work").rows
    assert len(rows) == len(VALUES)
    for row in rows[:LARGE]:
        single = client.xcoms.get("contract_values", values, "work", row.map_index)
        assert (row.has_value, row.truncated) == (True, False)
        assert row.value == single.value == VALUES[row.map_index]
        assert row.timestamp == single.timestamp
        assert row.timestamp >= row.start_date


def test_sizes_are_those_of_the_json_in_the_database(site, values):
    rows = site.client().bulk_reads.results("contract_values", values, "work").rows
    assert [row.size for row in rows[1:5]] == [len('"grün “quoted” \\\\ and\\nlines"'.encode()), 1, 5, 2]


def test_a_large_value_is_told_and_not_sent(site, values):
    client = site.client()
    large = client.bulk_reads.results("contract_values", values, "work").rows[LARGE]
    assert (large.has_value, large.truncated, large.value, large.size) == (True, True, None, 80_002)
    assert client.xcoms.get("contract_values", values, "work", LARGE).value == VALUES[LARGE]


def test_none_is_no_value(site, values):
    none = site.client().bulk_reads.results("contract_values", values, "work").rows[NONE]
    assert (none.state, none.has_value, none.timestamp) == ("success", False, None)


def test_rows_without_a_value_say_nothing_of_one(site, mapped):
    failed = site.raw("GET", address("contract_mapped", mapped)).json()["rows"][2]
    assert failed.keys() == {"map_index", "state", "try_number", "start_date"}


def test_pages_follow_each_other(site, mapped):
    client = site.client()
    first = client.bulk_reads.results("contract_mapped", mapped, "work", limit=4)
    second = client.bulk_reads.results("contract_mapped", mapped, "work", limit=4, after=first.next_after)
    assert [row.map_index for row in first.rows + second.rows] == list(range(6))
    assert (first.next_after, second.next_after) == (3, None)
    assert client.bulk_reads.results("contract_mapped", mapped, "work", after=5).rows == []


def test_the_value_of_an_earlier_try_is_not_given(site, own_mapped):
    client = site.client()
    client.instances.clear("contract_mapped", own_mapped, [("work", 0)], dry_run=False, reset_dag_runs=False)
    assert client.xcoms.get("contract_mapped", own_mapped, "work", 0).value == {"id": 0, "status": "ok"}
    cleared = client.bulk_reads.results("contract_mapped", own_mapped, "work").rows[0]
    assert (cleared.state, cleared.has_value, cleared.value) == (None, False, None)


def test_tasks_of_a_mapped_group(site, group):
    rows = site.client().bulk_reads.results("contract_group", group, "each.second").rows
    assert [(row.state, row.value) for row in rows] == [("success", 0), ("upstream_failed", None), ("success", 20)]


def test_a_map_that_is_not_expanded_has_no_rows(site):
    run_id = site.start("contract_mapped", n=0)
    site.finished("contract_mapped", run_id)
    page = site.client().bulk_reads.results("contract_mapped", run_id, "work")
    assert (page.rows, page.next_after) == ([], None)


@pytest.mark.parametrize(("dag_id", "task_id"), [("contract_nope", "work"), ("contract_mapped", "nope"), ("~", "work")])
def test_what_is_not_there(site, mapped, dag_id, task_id):
    with pytest.raises(NotFound):
        site.client().bulk_reads.results(dag_id, mapped, task_id)


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "limit=many", "after=-2", "after=x"])
def test_pages_that_cannot_be(site, mapped, query):
    assert site.raw("GET", f"{address('contract_mapped', mapped)}?{query}").status_code == 422


def test_nobody_reads_without_a_login(site, mapped):
    answer = site.http.get(address("contract_mapped", mapped))
    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})
    stranger: httpx.Response = site.http.get(
        address("contract_mapped", mapped), headers={"Authorization": "Bearer stranger"}
    )
    assert (stranger.status_code, stranger.json()) == (403, {"detail": "Invalid JWT token"})


def test_a_viewer_reads(site, mapped):
    assert site.client("viewer").bulk_reads.results("contract_mapped", mapped, "work").rows


def test_it_only_reads(site, mapped):
    assert site.raw("POST", address("contract_mapped", mapped)).status_code == 405
