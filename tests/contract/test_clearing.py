"""Clearing: what a request means, and what it does."""

from __future__ import annotations

import pytest

from panel.airflow import Conflict, Invalid, NotFound, ServerFault

DAG = "contract_mapped"


def places(rows):
    return sorted((row.task_id, row.map_index) for row in rows)


@pytest.mark.parametrize(
    ("targets", "options", "expected"),
    [
        ([("work", 2)], {}, [("work", 2)]),
        ([("work", 0)], {}, [("work", 0)]),
        ([("work", 1), ("work", 3), ("work", 1)], {}, [("work", 1), ("work", 3)]),
        ([("work", 2)], {"include_downstream": True}, [("summary", -1), ("work", 2)]),
        ([("work", 2)], {"include_upstream": True}, [("items", -1), ("work", 2)]),
        (["summary"], {}, [("summary", -1)]),
        ([("summary", -1)], {}, [("summary", -1)]),
        ([("summary", 0)], {}, []),
        ([("work", -1)], {}, []),
        ([("work", 99)], {}, []),
        ([("work", 99)], {"include_downstream": True}, [("summary", -1)]),
        (["nope"], {}, []),
        ([("nope", 1)], {}, []),
        (["work", ("work", 1)], {}, [("work", index) for index in range(6)]),
    ],
)
def test_what_a_request_means(site, mapped, targets, options, expected):
    rows = site.client().instances.clear(DAG, mapped, targets, dry_run=True, **options)
    assert places(rows) == expected


def test_a_dry_run_shows_the_present_and_changes_nothing(site, mapped):
    before = site.client().instances.bulk(DAG, mapped)
    rows = site.client().instances.clear(DAG, mapped, ["work"], dry_run=True, include_downstream=True)
    assert {row.map_index: row.state for row in rows if row.task_id == "work"}[1] == "failed"
    assert site.client().instances.bulk(DAG, mapped) == before


def test_the_server_defaults_to_a_dry_run_of_the_failed(site, mapped):
    answer = site.raw(
        "POST", f"/api/v2/dags/{DAG}/clearTaskInstances", json={"dag_run_id": mapped, "task_ids": ["work"]}
    )
    assert sorted(row["map_index"] for row in answer.json()["task_instances"]) == [1, 2]
    assert site.states(DAG, mapped)["work", 1] == "failed"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"task_ids": [["work", 2, 3]]}, 422),
        ({"dag_run_id": "nope"}, 404),
        ({"include_past": True}, 400),
        ({"task_ids": [["nope", 1]], "include_downstream": True}, 500),
    ],
)
def test_requests_that_are_refused(site, mapped, body, status):
    answer = site.raw("POST", f"/api/v2/dags/{DAG}/clearTaskInstances", json={"dag_run_id": mapped, **body})
    assert answer.status_code == status


def test_an_unknown_task_with_relatives_is_a_fault_of_the_server(site, mapped):
    with pytest.raises(ServerFault) as caught:
        site.client().instances.clear(DAG, mapped, [("nope", 1)], dry_run=False, include_downstream=True)
    assert caught.value.detail == "Internal Server Error"


def test_an_unknown_run_or_dag(site, mapped):
    with pytest.raises(NotFound, match="Dag Run id nope not found in dag contract_mapped"):
        site.client().instances.clear(DAG, "nope", ["work"], dry_run=True)
    with pytest.raises(NotFound):
        site.client().instances.clear("nope", mapped, ["work"], dry_run=True)


def test_a_note_too_long(site, mapped):
    body = {"dag_run_id": mapped, "task_ids": ["work"], "dry_run": True, "note": "x" * 1001}
    answer = site.raw("POST", f"/api/v2/dags/{DAG}/clearTaskInstances", json=body)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "note"])


def test_a_retry_from_the_clear_to_the_new_result(site, own_mapped):
    """One soft, one crashed and one hopeless index, with the aggregator: new ids, history, stale result, recovery."""
    client = site.client()
    before = {(row.task_id, row.map_index): row for row in client.instances.bulk(DAG, own_mapped)}
    targets = [("work", 1), ("work", 2), ("work", 3)]
    cleared = client.instances.clear(
        DAG, own_mapped, targets, dry_run=False, include_downstream=True, reset_dag_runs=False, note="again"
    )
    assert places(cleared) == [("summary", -1), *targets]
    assert {row.state for row in cleared} == {None}

    # Nothing runs yet: the run was not reset.
    assert client.runs.find(DAG, own_mapped).state == "success"
    row = client.instances.get(DAG, own_mapped, "work", 3)
    assert row.state is None
    assert row.id != before["work", 3].id
    assert (row.try_number, row.max_tries) == (1, 1)
    assert row.start_date == before["work", 3].start_date  # of the old try
    assert row.note == "again"
    assert client.instances.get(DAG, own_mapped, "summary").note == "again"
    assert client.instances.get(DAG, own_mapped, "work", 0).note is None
    assert client.instances.get(DAG, own_mapped, "work", 0).id == before["work", 0].id
    assert client.xcoms.get(DAG, own_mapped, "work", 3).value["status"] == "failed"  # stale
    assert [(one.try_number, one.state) for one in client.instances.tries(DAG, own_mapped, "work", 3)] == [
        (1, "success"),
        (1, None),
    ]

    # The same again does no harm and leaves no history; now with the run.
    client.instances.clear(DAG, own_mapped, targets, dry_run=False, include_downstream=True, note="again")
    assert client.runs.find(DAG, own_mapped).state in ("queued", "running")
    assert client.runs.find(DAG, own_mapped).end_date is None
    site.finished(DAG, own_mapped)

    states = site.states(DAG, own_mapped)
    assert [states["work", index] for index in range(6)] == ["success", "success", "failed", *["success"] * 3]
    row = client.instances.get(DAG, own_mapped, "work", 3)
    assert (row.try_number, row.note) == (2, "again")
    assert row.start_date > before["work", 3].end_date
    fresh = client.xcoms.get(DAG, own_mapped, "work", 3)
    assert fresh.value == {"id": 3, "status": "ok"}
    assert fresh.timestamp >= row.start_date
    assert [(one.try_number, one.state) for one in client.instances.tries(DAG, own_mapped, "work", 2)] == [
        (1, "failed"),
        (2, "failed"),
    ]
    assert client.instances.get(DAG, own_mapped, "work", 0).try_number == 1
    assert client.instances.get(DAG, own_mapped, "summary").try_number == 2
    assert client.xcoms.get(DAG, own_mapped, "summary").value == {"seen": 4}


def test_a_clear_on_the_latest_version(site, own_mapped):
    client = site.client()
    latest = client.dags.details(DAG).latest_dag_version.version_number
    (row,) = client.instances.clear(DAG, own_mapped, [("work", 1)], dry_run=True, run_on_latest_version=True)
    assert (row.state, row.pool, row.pool_slots) == ("failed", "default_pool", 1)
    assert row.dag_version.version_number <= latest
    client.instances.clear(DAG, own_mapped, [("work", 1)], dry_run=False, run_on_latest_version=True)
    site.finished(DAG, own_mapped)
    row = client.instances.get(DAG, own_mapped, "work", 1)
    assert (row.state, row.dag_version.version_number) == ("success", latest)


def test_an_aggregator_that_is_not_cleared_does_not_run_again(site, own_mapped):
    client = site.client()
    client.instances.clear(DAG, own_mapped, [("work", 1)], dry_run=False)
    assert site.finished(DAG, own_mapped).state == "success"
    assert client.instances.get(DAG, own_mapped, "work", 1).state == "success"
    assert client.instances.get(DAG, own_mapped, "summary").try_number == 1
    assert client.xcoms.get(DAG, own_mapped, "summary").value == {"seen": 3}


def test_a_running_instance(site):
    """Asked to spare running ones, Airflow clears nothing; else it kills the process and tries again."""
    client = site.client()
    run_id = site.start("contract_slow")
    wanted = {("work", 0): "running", ("work", 1): "success"}
    site.until(lambda: site.states("contract_slow", run_id), lambda states: states == wanted)
    assert len(client.instances.clear("contract_slow", run_id, ["work"], dry_run=True)) == 2
    with pytest.raises(Conflict, match="prevent_running_task"):
        client.instances.clear("contract_slow", run_id, [("work", 0), ("work", 1)], dry_run=False)
    assert site.states("contract_slow", run_id) == wanted
    client.instances.set_state("contract_slow", run_id, "work", 0, "failed", note="stopped")
    row = client.instances.get("contract_slow", run_id, "work", 0)
    assert (row.state, row.note, row.try_number) == ("failed", "stopped", 1)
    assert site.finished("contract_slow", run_id).state == "failed"


def test_marking_by_hand(site, own_mapped):
    client = site.client()
    before = client.instances.get(DAG, own_mapped, "work", 1)
    client.instances.set_state(DAG, own_mapped, "work", 1, "success", note="checked")
    after = client.instances.get(DAG, own_mapped, "work", 1)
    assert (after.state, after.note, after.try_number, after.id) == ("success", "checked", 1, before.id)
    client.instances.set_note(DAG, own_mapped, "summary", -1, "seen")
    assert client.instances.get(DAG, own_mapped, "summary").note == "seen"
    with pytest.raises(Invalid) as caught:
        client.instances.set_state(DAG, own_mapped, "work", 1, "running")
    assert list(caught.value.fields) == ["new_state"]
    with pytest.raises(NotFound, match="map_index: `99` was not found"):
        client.instances.set_note(DAG, own_mapped, "work", 99, "x")
