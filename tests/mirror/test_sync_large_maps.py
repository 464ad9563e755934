"""Large maps are read by what changed, and in full when that is due."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from panel.mirror.models import Instance

pytestmark = pytest.mark.django_db


@pytest.fixture
def large(etl, mapped, sync):
    """400 indices, above what is read in full every time."""
    task = sync(mapped(400))
    etl.forget_requests()
    return task


def bulk_reads(fake) -> int:
    return len(fake.calls("POST", "/taskInstances/list"))


def test_only_what_changed_is_read(etl, large, sync):
    for row in etl.world.of_run("etl", "r1"):
        row.updated_at -= timedelta(minutes=10)
    etl.finish("etl", "r1", "work", 7, result={"id": 7})
    task = sync(large)
    changed, changes, count, _xcom = etl.calls("GET", "/taskInstances")
    assert dict(changed.query)["limit"] == dict(count.query)["limit"] == "0"
    assert "updated_at_gte" in dict(changed.query)
    assert "updated_at_gte" in dict(changes.query)
    assert "updated_at_gte" not in dict(count.query)
    assert bulk_reads(etl) == 0
    assert task.counts == {"success": 1, "waiting": 399}


def test_where_nothing_changed_no_row_is_read(etl, large, sync):
    for row in etl.world.of_run("etl", "r1"):
        row.updated_at -= timedelta(minutes=10)
    sync(large)
    assert [dict(one.query)["limit"] for one in etl.calls("GET", "/taskInstances")] == ["0", "0"]
    assert bulk_reads(etl) == 0


def test_a_map_that_was_cleared_as_a_whole_takes_one_request_and_not_a_page_for_each_hundred(etl, large, sync, airflow):
    for index in range(400):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl.finish_run("etl", "r1")
    sync(large)
    airflow.instances.clear("etl", "r1", [("work", index) for index in range(400)], dry_run=False)
    etl.forget_requests()
    assert sync(large).counts == {"waiting": 400}
    assert (bulk_reads(etl), len(etl.calls("GET", "/dagRuns/r1/taskInstances"))) == (1, 1)


def test_the_reads_overlap_so_that_a_late_commit_is_not_missed(etl, large, sync):
    row = etl.finish("etl", "r1", "work", 3, result={"id": 3})
    sync(large)
    etl.finish("etl", "r1", "work", 4, result={"id": 4})
    late = etl.instance("etl", "r1", "work", 4)
    late.updated_at = row.updated_at  # stamped before the last read, committed after it
    assert sync(large).counts["success"] == 2


def test_a_read_without_news_writes_no_rows(large, sync):
    sync(large)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        sync(large)
    assert [sql for q in queries for sql in [q["sql"]] if "INSERT" in sql or 'UPDATE "mirror_instance"' in sql] == []


def test_a_finished_run_is_read_in_full_once(etl, large, sync, worker, later):
    for index in range(400):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl.finish_run("etl", "r1")
    etl.forget_requests()
    task = sync(large)
    assert (bulk_reads(etl), task.counts) == (1, {"success": 400})
    assert task.run.reconciled_at is not None
    for row in etl.world.of_run("etl", "r1"):
        row.updated_at -= timedelta(minutes=10)
    for _ in range(3):
        later(20)
        worker.beat()
        sync(large)
    assert bulk_reads(etl) == 1


def test_rows_that_vanished_without_a_trace_are_noticed_by_their_number(etl, large, sync):
    del etl.world.of_task("etl", "r1", "work")[7]
    task = sync(large)
    assert (task.total, task.counts) == (399, {"waiting": 399})
    assert not Instance.objects.filter(mapped_task=task, map_index=7).exists()


def test_of_a_finished_run_too(etl, large, sync):
    etl.finish_run("etl", "r1")
    sync(large)
    del etl.world.of_task("etl", "r1", "work")[399]
    assert sync(large).total == 399


def test_a_clear_in_airflows_own_pages_is_noticed_and_reconciled_again(etl, large, sync, worker, later, airflow):
    for index in range(400):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl.finish_run("etl", "r1")
    sync(large)
    later(300)
    airflow.instances.clear("etl", "r1", [("work", 5)], dry_run=False)
    etl.forget_requests()
    worker.beat(2)
    large.refresh_from_db()
    assert (large.run.state, large.counts) == ("queued", {"success": 399, "waiting": 1})
    assert large.run.reconciled_at is None
    etl.finish("etl", "r1", "work", 5, result={"id": "again"})
    etl.finish_run("etl", "r1")
    later(20)
    etl.forget_requests()
    worker.beat(2)
    large.run.refresh_from_db()
    large.refresh_from_db()
    assert (bulk_reads(etl), large.counts) == (1, {"success": 400})
    assert large.run.reconciled_at is not None
    assert Instance.objects.get(mapped_task=large, map_index=5).result == {"id": "again"}


def test_a_clear_that_starts_nothing_is_noticed_when_somebody_looks(etl, large, sync, airflow):
    for index in range(400):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl.finish_run("etl", "r1")
    sync(large)
    airflow.instances.clear("etl", "r1", [("work", 5)], dry_run=False, reset_dag_runs=False)
    etl.forget_requests()
    task = sync(large)
    assert task.counts == {"success": 399, "waiting": 1}
    assert bulk_reads(etl) == 1
    assert task.due_at is not None  # it may hang like that for long, but is looked at again


def test_ten_thousand_instances_take_seconds(etl, mapped, sync):
    task = mapped(10_000)
    for index, row in etl.world.of_task("etl", "r1", "work").items():
        row.state, row.try_number = "success", 1
        row.start_date = row.end_date = etl.clock.now()
        etl.world.push(row, "return_value", {"id": index, "status": "failed" if index % 100 == 0 else "ok"})
    etl.finish_run("etl", "r1")
    started = time.process_time()
    task = sync(task)
    assert task.counts == {"success": 9_900, "soft_failure": 100}
    assert time.process_time() - started < 20  # the fake's own work is in it; a quadratic step takes minutes
