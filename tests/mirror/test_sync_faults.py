"""When Airflow misbehaves: what was known stays, the reason is said, and it is not asked more than is decent."""

from __future__ import annotations

import pytest

from panel.mirror.models import DagRun, Instance, ServerMirror
from panel.mirror.services import sync_dag, sync_server
from panel.servers.encryption import encrypt

pytestmark = pytest.mark.django_db

FAULTS = [
    pytest.param({"drop": True}, "airflow_unreachable", id="down"),
    pytest.param({"hang": 60}, "airflow_timed_out", id="slow"),
    pytest.param({"html": True}, "airflow_bad_payload", id="html"),
    pytest.param({"garbage": True}, "airflow_bad_payload", id="garbage"),
    pytest.param({"json": []}, "airflow_bad_payload", id="other json"),
    pytest.param(
        {"json": {"task_instances": [{"id": 1}], "dag_runs": [{"state": 7}]}}, "airflow_bad_payload", id="shapes"
    ),
    pytest.param({"status": 500, "text": "Internal Server Error"}, "airflow_refused", id="500"),
    pytest.param({"status": 403}, "airflow_refused", id="403"),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_a_mapped_task_keeps_what_was_known_and_says_why(etl, mapped, sync, fault, code):
    task = mapped(2)
    etl.finish("etl", "r1", "work", 0, result={"id": 0})
    before = sync(task)
    etl.fail_next(path="/dagRuns", times=9, **fault)
    after = sync(task)
    assert (after.counts, after.version, after.synced_at) == (before.counts, before.version, before.synced_at)
    assert (after.last_error_code, after.complete, after.failed_reads) == (code, False, 1)
    assert after.last_error
    assert after.claimed_until is None
    etl._faults.clear()
    healed = sync(task)
    assert (healed.last_error, healed.last_error_code, healed.failed_reads, healed.complete) == ("", "", 0, True)


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_a_server_keeps_its_dags_and_says_why(etl, mapped, server, later, fault, code):
    mapped(2)
    later(70)
    etl.fail_next(path="/api/v2/dags", times=9, **fault)
    sync_server(server_id=server.pk)
    mirror = ServerMirror.objects.get()
    assert (mirror.last_error_code, mirror.failed_reads) == (code, 1)
    assert list(server.dags.filter(deleted_at=None).values_list("dag_id", flat=True)) == ["etl"]
    assert DagRun.objects.filter(deleted_at=None).count() == 1


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_a_dag_keeps_its_runs_and_says_why(etl, mapped, server, fault, code):
    dag = mapped(2).run.dag
    etl.fail_next(path="/dags/etl", times=9, **fault)
    assert sync_dag(dag_pk=dag.pk) is False
    dag.refresh_from_db()
    assert (dag.last_error_code, dag.mapped_task_ids, dag.deleted_at) == (code, ["work"], None)
    assert DagRun.objects.filter(deleted_at=None).count() == 1


def test_each_failure_in_a_row_puts_the_next_try_further_off(etl, mapped, sync):
    task = mapped(1)
    etl.down = True
    waits = []
    for _ in range(12):
        task = sync(task)
        waits.append((task.due_at - task.synced_at).total_seconds())
    assert waits == sorted(waits)
    assert waits[0] < 10
    assert 300 <= waits[-1] < 330


def test_of_a_server_that_is_down_only_the_server_is_asked(etl, mapped, server, worker, later):
    mapped(2)
    etl.down = True
    later(20)
    worker.beat()
    server.refresh_from_db()
    assert server.unreachable_since is not None
    woken = worker.done_by(lambda: (later(70), worker.beat()))
    assert set(woken) <= {"mirror.sync_server"}
    etl.down = False
    later(300)
    worker.beat()
    later(70)
    worker.beat()
    assert ServerMirror.objects.get().last_error == ""


def test_a_wrong_password_is_said(etl, mapped, server, sync):
    task = mapped(1)
    server.secret_encrypted, server.login_token_encrypted = encrypt("s3cr3t"), ""
    server.save()
    task = sync(task)
    assert (task.last_error_code, task.counts) == ("airflow_refused", {"waiting": 1})
    assert "password is wrong" in task.last_error
    assert "s3cr3t" not in task.last_error


def test_a_secret_that_cannot_be_decrypted_is_said(etl, mapped, server, sync):
    task = mapped(1)
    server.secret_encrypted, server.login_token_encrypted = "rubbish", ""
    server.save()
    assert sync(task).last_error_code == "secret_unreadable"


def test_a_pass_that_fails_half_way_keeps_the_states_it_read(etl, mapped, sync):
    task = mapped(2)
    etl.finish("etl", "r1", "work", 0, error=("ValueError", "boom"))
    etl.finish("etl", "r1", "work", 1, result={"id": 1})
    etl.fail_next(path="xcomEntries", drop=True, times=9)
    task = sync(task)
    assert task.counts == {"hard_failure": 1, "unknown_result": 1}
    assert (task.complete, task.unread_results, task.last_error_code) == (False, 1, "airflow_unreachable")
    assert Instance.objects.filter(mapped_task=task).count() == 2
