"""What people do to runs and instances by hand, and what the audit log tells of it."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from panel.airflow import NotFound
from panel.airflow.audit import details

DAG = "contract_mapped"
MARKS = ["patch_task_instance", "patch_dag_run", "delete_dag_run"]


def audit(site, dag_id: str, run_id: str):
    since = timezone.now() - timedelta(minutes=10)
    return site.client().audit.list(dag_id, run_id, events=MARKS, since=since)


def test_a_mark_keeps_id_and_try_and_the_audit_log_names_who_and_which(site, own_mapped):
    client = site.client()
    before = client.instances.get(DAG, own_mapped, "work", 1)
    client.instances.clear(DAG, own_mapped, [("work", 1)], dry_run=False, reset_dag_runs=False)
    cleared = client.instances.get(DAG, own_mapped, "work", 1)
    client.instances.set_state(DAG, own_mapped, "work", 1, "success")
    marked = client.instances.get(DAG, own_mapped, "work", 1)
    assert (marked.state, marked.id, marked.try_number) == ("success", cleared.id, before.try_number)
    assert cleared.max_tries == before.try_number + before.max_tries
    (entry,) = audit(site, DAG, own_mapped)
    assert (entry.event, entry.owner, entry.task_id) == ("patch_task_instance", "op", "work")
    assert {name: details(entry)[name] for name in ("map_index", "new_state")} == {
        "map_index": "1",
        "new_state": "success",
    }


def test_a_run_marked_failed_takes_every_index_of_what_runs_along(site):
    run_id = site.start("contract_slow")
    wanted = {("work", 0): "running", ("work", 1): "success"}
    site.until(lambda: site.states("contract_slow", run_id), lambda states: states == wanted)
    path = f"/api/v2/dags/contract_slow/dagRuns/{quote(run_id)}"
    assert site.raw("PATCH", path, json={"state": "failed"}).status_code == 200
    assert site.states("contract_slow", run_id) == {("work", 0): "failed", ("work", 1): "failed"}
    (entry,) = audit(site, "contract_slow", run_id)
    assert (entry.event, entry.owner, details(entry)["state"]) == ("patch_dag_run", "op", "failed")


def test_our_client_ends_a_run_and_leaves_its_note_in_one_go(site):
    run_id = site.start("contract_slow")
    wanted = {("work", 0): "running", ("work", 1): "success"}
    site.until(lambda: site.states("contract_slow", run_id), lambda states: states == wanted)
    ended = site.client().runs.mark_failed("contract_slow", run_id, note="stopped: wrong version")
    assert (ended.state, ended.note) == ("failed", "stopped: wrong version")
    assert ended.end_date is not None
    found = site.client().runs.find("contract_slow", run_id)
    assert (found.state, found.note) == ("failed", "stopped: wrong version")
    with pytest.raises(NotFound):
        site.client().runs.mark_failed("contract_slow", "nope", note="x")


def test_a_run_marked_before_anything_began_is_skipped(site, own_mapped):
    site.client().instances.clear(DAG, own_mapped, ["summary"], dry_run=False, reset_dag_runs=False)
    path = f"/api/v2/dags/{DAG}/dagRuns/{quote(own_mapped)}"
    assert site.raw("PATCH", path, json={"state": "success"}).status_code == 200
    assert site.states(DAG, own_mapped)["summary", -1] == "skipped"


def test_a_deleted_run_stays_in_the_audit_log(site, own_mapped):
    path = f"/api/v2/dags/{DAG}/dagRuns/{quote(own_mapped)}"
    assert site.raw("DELETE", path).status_code == 204
    assert [entry.event for entry in audit(site, DAG, own_mapped)] == ["delete_dag_run"]
