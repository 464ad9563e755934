"""Reading results: in one call where it is safe, singly where not, each once a try, and never an old one."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync import single_results
from tests.fakes.airflow.faults import Fault

pytestmark = pytest.mark.django_db


class LostFromTheThirdOn(Fault):
    seen = 0

    def hits(self, request) -> bool:
        self.seen += self.path in request.path
        return self.seen > 2 and super().hits(request)


def rows(task: MappedTask) -> list[Instance]:
    return list(Instance.objects.filter(mapped_task=task).order_by("map_index"))


def values(task: MappedTask) -> list[object]:
    return [row.result for row in rows(task)]


def waits(fake) -> int:
    return len(fake.calls("GET", "/wait"))


def single_reads(fake) -> int:
    return len(fake.calls("GET", "/xcomEntries/return_value"))


@pytest.fixture
def finished(etl, mapped, sync):
    """``finished(30, {3: None})``: a finished run of so many successes; the mapping says what some returned."""

    def make(count: int, returned: dict | None = None, state: str = "success"):
        task = mapped(count)
        for index in range(count):
            etl.finish("etl", "r1", "work", index, result=(returned or {}).get(index, {"id": index}))
        return task, lambda: (etl.finish_run("etl", "r1", state), etl.forget_requests())

    return make


def test_the_results_of_a_finished_run_take_one_request(etl, finished, sync):
    task, end = finished(40)
    end()
    task = sync(task)
    assert values(task) == [{"id": index} for index in range(40)]
    assert (waits(etl), single_reads(etl), len(etl.calls("GET", "xcomEntries"))) == (1, 0, 0)
    assert task.complete


def test_failed_instances_leave_gaps_that_are_not_mixed_up(etl, mapped, sync):
    task = mapped(40)
    for index in range(40):
        error = ("ValueError", "boom") if index % 4 == 0 else None
        etl.finish("etl", "r1", "work", index, result=None if error else {"id": index}, error=error)
    etl.finish_run("etl", "r1", "failed")
    task = sync(task)
    assert values(task) == [None if index % 4 == 0 else {"id": index} for index in range(40)]
    assert (waits(etl), single_reads(etl)) == (1, 0)


def test_instances_that_returned_nothing_are_told_apart_by_the_list_of_xcoms(etl, mapped, sync):
    task = mapped(40)
    for index in range(40):
        etl.finish("etl", "r1", "work", index, result=None if index in {3, 17} else {"id": index})
    etl.finish_run("etl", "r1")
    etl.forget_requests()
    task = sync(task)
    assert values(task) == [None if index in {3, 17} else {"id": index} for index in range(40)]
    assert [row.result_state for row in rows(task)][3] == "absent"
    assert task.counts == {"success": 40}
    assert (waits(etl), single_reads(etl)) == (1, 0)


def test_a_map_that_returns_nothing_at_all(etl, mapped, sync):
    task = mapped(40)
    for index in range(40):
        etl.finish("etl", "r1", "work", index)
    etl.finish_run("etl", "r1")
    etl.forget_requests()
    task = sync(task)
    assert (task.counts, task.complete, single_reads(etl)) == ({"success": 40}, True, 0)


def test_an_old_value_of_a_removed_instance_shifts_nothing(etl, mapped, sync):
    """The counts agree by chance: one index returned nothing, a removed one still has its old value."""
    task = mapped(41)
    for index in range(41):
        etl.finish("etl", "r1", "work", index, result=None if index == 0 else {"id": index})
    etl.expand("etl", "r1", "work", 40)
    etl.finish_run("etl", "r1")
    task = sync(task)
    assert values(task)[:40] == [None, *({"id": index} for index in range(1, 40))]


def test_the_old_value_of_a_failure_marked_by_hand_shifts_nothing(etl, mapped, sync, airflow):
    """Here too the counts agree by chance."""
    task = mapped(40)
    for index in range(40):
        etl.finish("etl", "r1", "work", index, result=None if index == 0 else {"id": index})
    airflow.instances.set_state("etl", "r1", "work", 39, "failed")
    etl.finish_run("etl", "r1", "failed")
    task = sync(task)
    assert values(task) == [None, *({"id": index} for index in range(1, 39)), None]


def test_an_older_airflow_is_read_one_by_one(etl, finished, sync):
    etl.version, etl.numbers = "3.2.0", (3, 2, 0)
    task, end = finished(30)
    end()
    task = sync(task)
    assert values(task) == [{"id": index} for index in range(30)]
    assert (waits(etl), single_reads(etl)) == (0, 30)


def test_a_run_at_work_is_read_one_by_one_each_result_once(etl, mapped, sync):
    task = mapped(30)
    for index in range(28):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl.forget_requests()
    task = sync(task)
    assert (waits(etl), single_reads(etl)) == (0, 28)
    etl.finish("etl", "r1", "work", 28, result={"id": 28})
    task = sync(task)
    assert (single_reads(etl), task.complete) == (29, True)


def test_a_pass_is_bounded_and_the_next_goes_on(etl, mapped, sync, worker, woken, monkeypatch):
    monkeypatch.setattr(single_results, "CALLS_A_PASS", 4)
    task = mapped(10)
    for index in range(10):
        etl.finish("etl", "r1", "work", index, result={"status": "failed"})
    task = sync(task)
    assert (task.counts, task.unread_results, task.complete) == ({"soft_failure": 4, "unknown_result": 6}, 6, False)
    assert "mirror.sync_mapped_task" in woken.names()
    worker.work()
    task.refresh_from_db()
    assert (task.counts, task.complete, single_reads(etl)) == ({"soft_failure": 10}, True, 10)


def test_what_was_read_before_a_failure_is_kept(etl, mapped, sync, monkeypatch):
    monkeypatch.setattr(single_results, "connections_to", lambda server: 1)
    task = mapped(5)
    for index in range(5):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl._faults.append(LostFromTheThirdOn(path="xcomEntries", drop=True, times=9))
    task = sync(task)
    assert task.unread_results == 3
    assert (task.complete, task.last_error_code) == (False, "airflow_unreachable")
    etl._faults.clear()
    task = sync(task)
    assert (task.unread_results, task.complete, task.last_error) == (0, True, "")


def test_results_that_may_not_be_read_are_unknown_with_the_reason(etl, mapped, sync):
    task = mapped(30)
    for index in range(30):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl.finish_run("etl", "r1")
    etl.forbid("xcom")
    etl.forget_requests()
    task = sync(task)
    assert task.counts == {"unknown_result": 30}
    assert {(row.result_state, row.result_reason) for row in rows(task)} == {("forbidden", "Forbidden")}
    assert (task.unread_results, task.complete, task.last_error) == (0, True, "")
    assert single_reads(etl) == 1  # one answer settles the others


@pytest.fixture
def forbidden_once(etl, mapped, sync) -> MappedTask:
    """Three results that could not be read, and now can."""
    task = mapped(3)
    for index in range(3):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl.forbid("xcom")
    task = sync(task)
    assert task.counts == {"unknown_result": 3}
    assert all(row.result_reason for row in rows(task))
    etl.allow("xcom")
    return task


def test_once_they_may_be_read_a_full_sync_reads_them(forbidden_once, sync):
    task = sync(forbidden_once, full=True)
    assert task.counts == {"success": 3}
    assert [(row.result_state, row.result_reason) for row in rows(task)] == [("read", "")] * 3


def test_a_reason_that_an_older_version_left_goes_when_the_result_is_read(forbidden_once, sync):
    Instance.objects.filter(mapped_task=forbidden_once).update(result_state="unread", result_try=None)
    MappedTask.objects.filter(pk=forbidden_once.pk).update(unread_results=3, complete=False)
    assert [(row.result_state, row.result_reason) for row in rows(sync(forbidden_once))] == [("read", "")] * 3


def test_a_reference_to_object_storage_is_not_taken_for_the_result(etl, mapped, sync):
    task = mapped(2)
    reference = "s3://conn@bucket/xcom/etl/r1/work/4383aeab-1111-2222-3333-444455556666"
    etl.finish("etl", "r1", "work", 0, result=reference)
    etl.finish("etl", "r1", "work", 1, result="s3://bucket/output/part-1.parquet")
    first, second = rows(sync(task))
    assert (first.outcome, first.result_state, first.result) == ("unknown_result", "external", reference)
    assert (second.outcome, second.result) == ("success", "s3://bucket/output/part-1.parquet")


def test_a_large_result_is_shortened_after_the_outcome_was_judged_by_all_of_it(etl, mapped, sync, settings):
    settings.RESULT_PREVIEW_BYTES = 200
    task = mapped(1)
    etl.finish("etl", "r1", "work", 0, result={"a": "ü" * 500, "status": "FAILED", "error": "deep inside"})
    (row,) = rows(sync(task))
    assert (row.outcome, row.error_message, row.result_shortened) == ("soft_failure", "deep inside", True)
    assert row.result["status"] == "FAILED"
    assert row.result["a"].startswith("üüü")
    assert len(json.dumps(row.result, ensure_ascii=False).encode()) <= 200


@pytest.mark.parametrize(
    "value",
    [0, False, "", [], {}, [1, [2]], "text", {"k\x00ey": "v\x00alue"}, 1.5, [[[["deep"]]]], 10**30],
)
def test_any_json_is_a_result(etl, mapped, sync, value):
    task = mapped(1)
    etl.finish("etl", "r1", "work", 0, result=value)
    (row,) = rows(sync(task))
    assert (row.outcome, row.result_state) == ("success", "read")


def test_of_a_very_deep_result_a_preview_is_kept(etl, mapped, sync):
    value: object = "x"
    for _ in range(300):
        value = [value]
    task = mapped(1)
    etl.finish("etl", "r1", "work", 0, result=value)
    (row,) = rows(sync(task))
    assert (row.outcome, row.result_shortened) == ("success", True)


def test_a_value_older_than_the_try_is_never_shown(etl, mapped, sync):
    task = mapped(1)
    instance = etl.finish("etl", "r1", "work", 0, result={"status": "failed"})
    instance.start_date += timedelta(minutes=5)
    instance.end_date += timedelta(minutes=6)
    (row,) = rows(sync(task))
    assert (row.outcome, row.result, row.result_state) == ("unknown_result", None, "unreadable")


def test_one_result_that_airflow_cannot_give_does_not_hold_up_the_others(etl, mapped, sync):
    task = mapped(4)
    for index in range(4):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl.fail_next(path="xcomEntries", garbage=True)
    task = sync(task)
    assert task.counts == {"unknown_result": 1, "success": 3}
    assert sorted(row.result_state for row in rows(task)) == ["read", "read", "read", "unreadable"]
    assert task.complete


def test_nonsense_again_and_again_is_the_servers_fault_and_settles_nothing(etl, mapped, sync):
    task = mapped(5)
    for index in range(5):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl.fail_next(path="xcomEntries", html=True, times=3)
    task = sync(task)
    assert (task.unread_results, task.last_error_code) == (5, "airflow_bad_payload")
    assert sync(task).counts == {"success": 5}
