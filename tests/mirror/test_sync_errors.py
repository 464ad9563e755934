"""Why instances failed: read from the log once a try, newest first, within bounds."""

from __future__ import annotations

import pytest

from panel.mirror.error_groups import error_groups
from panel.mirror.models import Instance, MappedTask, TryError
from panel.mirror.read_requests import request_errors
from panel.mirror.sync import errors
from tests.mirror.interruptions import StopsAfter

pytestmark = pytest.mark.django_db


def texts(task: MappedTask) -> list[tuple[str, str]]:
    found = Instance.objects.filter(mapped_task=task).order_by("map_index")
    return list(found.values_list("error_type", "error_message"))


def log_reads(fake) -> int:
    return len(fake.calls("GET", "/logs/"))


def test_failures_that_agree_form_a_group(etl, mapped, sync):
    task = mapped(4)
    etl.finish("etl", "r1", "work", 0, error=("ConnectionError", "host 10.0.0.1:5432 refused after 30 ms"))
    etl.finish("etl", "r1", "work", 1, error=("ConnectionError", "host 10.0.0.2:5432 refused after 31 ms"))
    etl.finish("etl", "r1", "work", 2, error=("KeyError", "'name'"))
    etl.finish("etl", "r1", "work", 3, result={"status": "failed", "error": "no rows in part 3"})
    groups = error_groups(sync(task))
    assert [(group.outcome, group.error_type, group.message, str(group.indices)) for group in groups] == [
        ("hard_failure", "ConnectionError", "host <ip>:<n> refused after <n> ms", "0-1"),
        ("hard_failure", "KeyError", "'name'", "2"),
        ("soft_failure", "", "no rows in part <n>", "3"),
    ]


def test_each_error_is_read_once_a_try(etl, mapped, sync, airflow):
    task = mapped(2)
    etl.finish("etl", "r1", "work", 0, error=("ValueError", "first"))
    sync(task)
    sync(task, full=True)
    assert log_reads(etl) == 1
    airflow.instances.clear("etl", "r1", [("work", 0)], dry_run=False)
    etl.finish("etl", "r1", "work", 0, error=("ValueError", "second"))
    assert texts(sync(task))[0] == ("ValueError", "second")
    assert log_reads(etl) == 2


def test_a_try_that_will_be_repeated_shows_its_error_but_is_no_failure_yet(etl, mapped, sync):
    task = mapped(1)
    etl.finish("etl", "r1", "work", 0, "up_for_retry", error=("ValueError", "boom"))
    task = sync(task)
    assert texts(task) == [("ValueError", "boom")]
    assert (task.counts, error_groups(task)) == ({"retrying": 1}, [])


def failed_tasks(etl, mapped, count: int, **more):
    task = mapped(count)
    for index in range(count):
        etl.finish("etl", "r1", "work", index, error=("ValueError", f"boom {index}"), **more)
    return task


def told_indices(task: MappedTask) -> list[int]:
    return [index for index, (_type, message) in enumerate(texts(task)) if message]


def test_of_many_errors_a_sample_is_read_the_newest_and_some_of_everywhere(etl, mapped, sync, worker, monkeypatch):
    monkeypatch.setattr(errors, "SAMPLE", 9)
    monkeypatch.setattr(errors, "BEYOND_SAMPLE", 2)
    task = sync(failed_tasks(etl, mapped, 60))
    assert told_indices(task) == [0, 9, 19, 28, 38, 47, 57, 58, 59]
    assert (task.unread_errors, log_reads(etl), task.complete) == (51, 9, True)
    assert sum(group.count for group in error_groups(task)) == 9  # what is not read is in no group
    task = sync(task)
    assert (task.unread_errors, log_reads(etl)) == (49, 11)  # later passes add little
    worker.work()
    assert log_reads(etl) == 11  # and do not go on by themselves


def test_the_rest_is_read_when_somebody_asks(etl, mapped, sync, worker, monkeypatch):
    monkeypatch.setattr(errors, "SAMPLE", 10)
    monkeypatch.setattr(errors, "CALLS_A_PASS", 20)
    task = sync(failed_tasks(etl, mapped, 60))
    assert task.unread_errors == 50
    assert request_errors(mapped_task=task)
    worker.work()
    task.refresh_from_db()
    assert (task.unread_errors, task.errors_requested_at) == (0, None)
    assert [message for _, message in texts(task)] == [f"boom {index}" for index in range(60)]
    assert log_reads(etl) == 60  # each once
    assert not request_errors(mapped_task=task)  # nothing is left to ask for


def test_errors_asked_for_while_a_pass_is_under_way_are_read_after_it(etl, mapped, sync, worker, monkeypatch):
    monkeypatch.setattr(errors, "SAMPLE", 10)
    task = failed_tasks(etl, mapped, 30)
    etl.finish_run("etl", "r1", "failed")
    MappedTask.objects.filter(pk=task.pk).update(unread_errors=30)
    keep = errors._store

    def ask_meanwhile(*arguments):
        request_errors(mapped_task=task)
        keep(*arguments)

    monkeypatch.setattr(errors, "_store", ask_meanwhile)
    sync(task)
    worker.work()
    task.refresh_from_db()
    assert task.unread_errors == 0


def test_a_pass_that_is_stopped_keeps_what_it_stored_and_asks_nothing_twice(etl, mapped, sync, monkeypatch):
    monkeypatch.setattr(errors, "STORE_EVERY", 10)
    monkeypatch.setattr(errors, "connections_to", lambda server: 1)
    task = failed_tasks(etl, mapped, 40)
    etl._faults.append(StopsAfter(path="/logs/", reads=25))
    with pytest.raises(KeyboardInterrupt):
        sync(task)
    MappedTask.objects.filter(pk=task.pk).update(claimed_until=None)
    stored = len(told_indices(task))
    assert stored == 25
    etl._faults.clear()
    etl.forget_requests()
    assert len(told_indices(sync(task))) == 40
    assert log_reads(etl) == 40 - stored


def test_an_error_keeps_its_frame_and_its_causes(etl, mapped, sync):
    task = mapped(1)
    chain = [("RuntimeError", "row 7"), ("KeyError", "'id'")]
    etl.finish("etl", "r1", "work", 0, error=chain)
    sync(task)
    row = Instance.objects.get(mapped_task=task)
    error = TryError.objects.get(mapped_task=task)
    assert (error.map_index, error.try_number, error.error_type, error.message) == (0, 1, "RuntimeError", "row 7")
    assert error.frame == row.error_frame
    assert " in work" in error.frame
    assert [(cause["type"], cause["message"]) for cause in error.causes] == [("KeyError", "'id'")]


def test_the_error_of_an_earlier_try_is_read_and_kept(etl, mapped, sync, airflow):
    task = mapped(1)
    etl.finish("etl", "r1", "work", 0, error=("ValueError", "first"))
    airflow.instances.clear("etl", "r1", [("work", 0)], dry_run=False)
    etl.finish("etl", "r1", "work", 0, error=("ValueError", "second"))
    sync(task)
    row = Instance.objects.select_related("mapped_task__run__dag").get(mapped_task=task)
    error = errors.read_try_error(airflow, row, 1)
    assert error is not None
    assert set(TryError.objects.values_list("try_number", "message")) == {(1, "first"), (2, "second")}
    assert errors.read_try_error(airflow, row, 7) is None


def test_a_log_without_an_error_is_not_asked_for_again(etl, mapped, sync):
    task = mapped(2)
    etl.finish("etl", "r1", "work", 0, "failed")
    etl.set_log("etl", "r1", "work", 0, 1, [])
    etl.finish("etl", "r1", "work", 1, "failed")
    etl.set_log("etl", "r1", "work", 1, 1, [{"event": "Killed\x00 by signal 9", "level": "error"}])
    task = sync(task)
    assert texts(task) == [("", ""), ("", "Killed by signal 9")]
    sync(task)
    assert log_reads(etl) == 2


def test_logs_that_may_not_be_read_leave_the_failures_without_a_text(etl, mapped, sync):
    task = mapped(5)
    for index in range(5):
        etl.finish("etl", "r1", "work", index, error=("ValueError", "boom"))
    etl.forbid("logs")
    etl.forget_requests()
    task = sync(task)
    assert (task.counts, task.last_error, log_reads(etl)) == ({"hard_failure": 5}, "", 1)
    assert [group.count for group in error_groups(task)] == [5]


def test_one_log_that_cannot_be_read_does_not_hold_up_the_others(etl, mapped, sync):
    task = mapped(3)
    for index in range(3):
        etl.finish("etl", "r1", "work", index, error=("ValueError", "boom"))
    etl.fail_next(path="/logs/2", hang=60)
    etl.fail_next(path="/logs/", hang=60)
    task = sync(task)
    assert sorted(texts(task)) == [("", ""), ("ValueError", "boom"), ("ValueError", "boom")]
    assert task.last_error == ""


def test_when_no_log_can_be_read_the_rest_is_known_and_the_next_pass_tries_again(etl, mapped, sync):
    task = mapped(4)
    for index in range(4):
        etl.finish("etl", "r1", "work", index, error=("ValueError", "boom"))
    etl.fail_next(path="/logs/", hang=60, times=3)
    task = sync(task)
    assert (task.counts, task.last_error_code) == ({"hard_failure": 4}, "airflow_timed_out")
    assert texts(sync(task)) == [("ValueError", "boom")] * 4


def test_markup_and_length_of_a_message_are_airflows_business(etl, mapped, sync):
    task = mapped(1)
    etl.finish("etl", "r1", "work", 0, error=("X" * 300, "<script>alert(1)</script>" + "y" * 9_000))
    error_type, message = texts(sync(task))[0]
    assert (len(error_type), len(message)) == (200, 4_000)
    assert message.startswith("<script>")
