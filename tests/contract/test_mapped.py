"""Mapped task instances: expansion, rows, results."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from panel.airflow import NotFinished, NotFound

DAG = "contract_mapped"


def test_rows_of_a_finished_run(site, mapped):
    rows = site.client().instances.bulk(DAG, mapped, ["work"])
    assert [(row.map_index, row.state, row.rendered_map_index, row.try_number, row.max_tries) for row in rows] == [
        (0, "success", "item-0", 1, 0),
        (1, "failed", "item-1", 1, 0),
        (2, "failed", "item-2", 1, 0),
        (3, "success", "item-3", 1, 0),
        (4, "success", "item-4", 1, 0),
        (5, "success", "item-5", 1, 0),
    ]
    for row in rows:
        assert row.start_date <= row.end_date
        assert row.duration == pytest.approx((row.end_date - row.start_date).total_seconds(), abs=0.01)
        assert row.note is None


def test_one_instance_has_its_rendered_fields_and_version(site, mapped):
    one = site.client().instances.get(DAG, mapped, "work", 3)
    assert one.rendered_fields["op_kwargs"] == {"item": 3}
    assert one.dag_version.version_number == 1


def test_rows_of_a_whole_run(site, mapped):
    states = site.states(DAG, mapped)
    assert len(states) == 8
    assert states["items", -1] == states["summary", -1] == "success"
    assert ("work", -1) not in states


def test_rows_by_state(site, mapped):
    rows = site.client().instances.bulk(DAG, mapped, ["work"], states=["failed", None])
    assert [row.map_index for row in rows] == [1, 2]


def test_bulk_lists_are_not_clamped_and_pages_fit_together(site, mapped):
    body = {"dag_ids": [DAG], "dag_run_ids": [mapped], "task_ids": ["work"], "order_by": "map_index"}
    path = "/api/v2/dags/~/dagRuns/~/taskInstances/list"
    first = site.raw("POST", path, json={**body, "page_limit": 4}).json()
    second = site.raw("POST", path, json={**body, "page_limit": 4, "page_offset": 4}).json()
    assert [row["map_index"] for row in first["task_instances"] + second["task_instances"]] == list(range(6))
    assert first["total_entries"] == second["total_entries"] == 6


def test_a_map_of_nothing(site):
    run_id = site.start(DAG, n=0)
    assert site.finished(DAG, run_id).state == "success"
    assert site.states(DAG, run_id) == {("items", -1): "success", ("work", -1): "skipped", ("summary", -1): "success"}
    client = site.client()
    assert client.instances.count(DAG, run_id, "work") == 0
    assert client.runs.results(DAG, run_id, ["work", "summary"]) == {"summary": {"seen": 0}}
    assert client.instances.get(DAG, run_id, "work").map_index == -1


def test_counting(site, mapped):
    assert site.client().instances.count(DAG, mapped, "work") == 6
    assert site.client().instances.count(DAG, "nope", "work") == 0
    with pytest.raises(NotFound, match="Task id summary is not mapped"):
        site.client().instances.count(DAG, mapped, "summary")
    with pytest.raises(NotFound, match="Task id nope not found"):
        site.client().instances.count(DAG, mapped, "nope")


def test_one_instance(site, mapped):
    client = site.client()
    assert client.instances.get(DAG, mapped, "work", 1).state == "failed"
    assert client.instances.get(DAG, mapped, "summary").state == "success"
    with pytest.raises(NotFound, match="Task instance is mapped, add the map_index value to the URL"):
        client.instances.get(DAG, mapped, "work")
    with pytest.raises(NotFound, match=r"The Mapped Task Instance .* map_index: `99` was not found"):
        client.instances.get(DAG, mapped, "work", 99)
    with pytest.raises(NotFound, match="task_id: `nope` was not found"):
        client.instances.get(DAG, mapped, "nope")


def test_tries(site, mapped):
    assert [(one.try_number, one.state) for one in site.client().instances.tries(DAG, mapped, "work", 1)] == [
        (1, "failed")
    ]
    with pytest.raises(NotFound):
        site.client().instances.tries(DAG, mapped, "work")


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_pages_by_offset_and_by_cursor(site, mapped, limit):
    path = f"/api/v2/dags/{DAG}/dagRuns/{mapped}/taskInstances?task_id=work&limit={limit}"
    by_offset: list[int] = []
    while True:
        page = site.raw("GET", f"{path}&offset={len(by_offset)}").json()
        if not page["task_instances"]:
            break
        by_offset += [row["map_index"] for row in page["task_instances"]]
        assert page["total_entries"] == 6
    by_cursor, cursor = [], ""
    while cursor is not None:
        page = site.raw("GET", f"{path}&cursor={cursor}").json()
        by_cursor += [row["map_index"] for row in page["task_instances"]]
        cursor = page["next_cursor"]
    assert by_offset == by_cursor == list(range(6))


def test_a_bad_cursor(site, mapped):
    answer = site.raw("GET", f"/api/v2/dags/{DAG}/dagRuns/{mapped}/taskInstances?task_id=work&cursor=zz")
    assert (answer.status_code, answer.json()) == (400, {"detail": "Invalid cursor token"})


def test_an_unknown_run_or_task(site, mapped):
    client = site.client()
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(NotFound, match=r"DagRun with dag_id: .* was not found"):
        list(client.instances.changed_since(DAG, "nope", "work", long_ago))
    assert list(client.instances.changed_since(DAG, mapped, "nope", long_ago)) == []
    assert client.instances.bulk(DAG, "nope") == []
    assert client.instances.bulk("nope", mapped) == []


def test_what_changed_since(site, own_mapped):
    client = site.client()
    run = client.runs.find(DAG, own_mapped)
    assert [row.map_index for row in client.instances.changed_since(DAG, own_mapped, "work", run.queued_at)] == [
        *range(6)
    ]
    later = max(row.end_date for row in client.instances.bulk(DAG, own_mapped)) + timedelta(seconds=0.5)
    site.until(lambda: None, lambda _: datetime.now(UTC) > later)
    assert list(client.instances.changed_since(DAG, own_mapped, "work", later)) == []
    assert client.instances.count_changed_since(DAG, own_mapped, run.queued_at, task_id="work") == 6
    assert client.instances.count_changed_since(DAG, own_mapped, later) == 0
    client.instances.clear(DAG, own_mapped, [("work", 3)], dry_run=False, reset_dag_runs=False)
    assert [row.map_index for row in client.instances.changed_since(DAG, own_mapped, "work", later)] == [3]
    assert client.instances.count_changed_since(DAG, own_mapped, later) == 1
    assert client.instances.count_changed_since(DAG, own_mapped, later, task_id="summary") == 0
    client.instances.set_note(DAG, own_mapped, "work", 5, "a note is no change")
    assert [row.map_index for row in client.instances.changed_since(DAG, own_mapped, "work", later)] == [3]


def test_chosen_indices_as_they_are_now(site, mapped):
    client = site.client()
    rows = client.instances.at(DAG, mapped, "work", [4, 1, 99])
    assert [(row.map_index, row.state) for row in rows] == [(1, "failed"), (4, "success")]
    known = {row.map_index: row.id for row in client.instances.bulk(DAG, mapped, ["work"])}
    assert {row.map_index: row.id for row in rows} == {index: known[index] for index in (1, 4)}
    with pytest.raises(NotFound):
        client.instances.at(DAG, "nope", "work", [1])


def test_a_stretch_of_indices_in_one_request(site, mapped, monkeypatch):
    monkeypatch.setattr("panel.airflow.instances.SHORTEST_STRETCH", 2)
    client = site.client()
    known = [(row.map_index, row.id, row.state) for row in client.instances.bulk(DAG, mapped, ["work"])]
    rows = client.instances.at(DAG, mapped, "work", [1, 2, 3])
    assert [(row.map_index, row.id, row.state) for row in rows] == [row for row in known if row[0] in {1, 2, 3}]
    beyond = client.instances.at(DAG, mapped, "work", list(range(len(known) - 2, len(known) + 2)))
    assert [row.map_index for row in beyond] == [len(known) - 2, len(known) - 1]
    with pytest.raises(NotFound):
        client.instances.at(DAG, "nope", "work", [1, 2, 3])


def test_results_one_by_one(site, mapped):
    client = site.client()
    assert client.xcoms.get(DAG, mapped, "work", 0).value == {"id": 0, "status": "ok"}
    assert client.xcoms.get(DAG, mapped, "work", 3).value == {"id": 3, "status": "failed", "error": "soft"}
    assert client.xcoms.get(DAG, mapped, "summary").value == {"seen": 3}


@pytest.mark.parametrize(
    ("run", "task_id", "index"),
    [
        (None, "work", 4),  # succeeded, and returned None
        (None, "work", 1),  # failed
        (None, "work", -1),  # the index was forgotten
        (None, "work", 99),
        (None, "nope", -1),
        ("nope", "work", 0),
    ],
)
def test_no_result_is_a_404(site, mapped, run, task_id, index):
    with pytest.raises(NotFound) as caught:
        site.client().xcoms.get(DAG, run or mapped, task_id, index)
    assert caught.value.detail == "XCom entry with key: `return_value` not found"


def test_which_indices_have_a_result(site, mapped):
    refs = site.client().xcoms.indices(DAG, mapped, "work")
    assert [ref.map_index for ref in refs] == [0, 3, 5]
    rows = {row.map_index: row for row in site.client().instances.bulk(DAG, mapped, ["work"])}
    for ref in refs:
        assert rows[ref.map_index].start_date <= ref.timestamp <= rows[ref.map_index].end_date + timedelta(seconds=1)


def test_results_at_once_are_in_order_and_leave_out_what_is_not_there(site, mapped):
    assert site.client().runs.results(DAG, mapped, ["work", "summary", "nope"]) == {
        "summary": {"seen": 3},
        "work": [
            {"id": 0, "status": "ok"},
            {"id": 3, "status": "failed", "error": "soft"},
            {"id": 5, "status": "ok"},
        ],
    }


def test_the_answer_of_wait_names_no_content_type(site, mapped):
    answer = site.raw("GET", f"/api/v2/dags/{DAG}/dagRuns/{mapped}/wait?interval=1&result=work")
    assert answer.status_code == 200
    assert "content-type" not in answer.headers
    assert answer.text.count("\n") == 1


def test_results_of_a_run_that_goes_on(site):
    client = site.client()
    run_id = site.start("contract_slow")
    site.until(lambda: site.states("contract_slow", run_id), lambda states: states.get(("work", 0)) == "running")
    with pytest.raises(NotFinished):
        client.runs.results("contract_slow", run_id, ["work"])
    client.instances.set_state("contract_slow", run_id, "work", 0, "success")
    site.finished("contract_slow", run_id)
