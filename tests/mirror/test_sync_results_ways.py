"""Which way results are read, what each way asks of Airflow, and that nothing stored is asked for twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync import bulk_results, single_results
from panel.mirror.sync.bulk_writes import execute, update_statements
from tests.fakes.airflow.plugin_api import VALUE_BYTES
from tests.mirror.interruptions import StopsAfter

pytestmark = pytest.mark.django_db


def rows(task: MappedTask) -> list[Instance]:
    return list(Instance.objects.filter(mapped_task=task).order_by("map_index"))


def values(task: MappedTask) -> list[object]:
    return [row.result for row in rows(task)]


def plugin_reads(fake) -> int:
    return len(fake.calls("GET", "/mapboard/dags"))


def single_reads(fake) -> list[int]:
    """The indices whose result was asked for one by one, in order."""
    calls = fake.calls("GET", "/xcomEntries/return_value")
    return [int(value) for call in calls for name, value in call.query if name == "map_index"]


@pytest.fixture
def finished(etl, mapped):
    """``finished(30)``: a run at work with so many successes that the mirror has not seen yet."""

    def make(count: int, *, total: int | None = None) -> MappedTask:
        task = mapped(total or count)
        for index in range(count):
            etl.finish("etl", "r1", "work", index, result={"id": index})
        etl.forget_requests()
        return task

    return make


@pytest.fixture
def plugin(etl):
    etl.plugin = True
    return etl


def test_with_the_plugin_one_request_reads_all_even_while_the_run_goes_on(plugin, finished, sync):
    task = sync(finished(40, total=50))
    assert values(task)[:40] == [{"id": index} for index in range(40)]
    assert (plugin_reads(plugin), single_reads(plugin)) == (1, [])
    assert (task.results_reader, task.unread_results, task.complete) == ("plugin", 0, True)


def test_with_the_plugin_only_the_stretch_that_is_new_is_asked_for(plugin, finished, sync, monkeypatch):
    monkeypatch.setattr(bulk_results, "GAP", 5)
    task = sync(finished(10, total=60))
    plugin.forget_requests()
    for index in (20, 22, 50):
        plugin.finish("etl", "r1", "work", index, result={"id": index})
    sync(task)
    asked = [dict(call.query) for call in plugin.calls("GET", "/mapboard/dags")]
    assert asked == [{"after": "19", "limit": "3"}, {"after": "49", "limit": "1"}]


def test_the_plugins_pages_are_followed_to_their_end(plugin, finished, sync, monkeypatch):
    monkeypatch.setattr("tests.fakes.airflow.plugin_api.ANSWER_BYTES", 500)
    task = sync(finished(40))
    assert values(task) == [{"id": index} for index in range(40)]
    assert plugin_reads(plugin) > 3
    assert single_reads(plugin) == []


def test_what_is_too_large_for_a_page_of_the_plugin_is_read_by_itself(plugin, finished, sync):
    task = finished(5, total=6)
    plugin.finish("etl", "r1", "work", 5, result={"status": "failed", "log": "x" * (VALUE_BYTES + 1)})
    task = sync(task)
    assert task.counts == {"success": 5, "soft_failure": 1}
    assert single_reads(plugin) == [5]


def test_instances_that_returned_nothing_are_told_by_the_plugin(plugin, mapped, sync):
    task = mapped(3)
    for index in range(3):
        plugin.finish("etl", "r1", "work", index, result=None if index == 1 else {"id": index})
    task = sync(task)
    assert [row.result_state for row in rows(task)] == ["read", "absent", "read"]
    assert task.counts == {"success": 3}


def test_the_plugins_old_values_are_not_taken(plugin, mapped, sync):
    task = mapped(1)
    instance = plugin.finish("etl", "r1", "work", 0, result={"status": "failed"})
    instance.start_date += timedelta(minutes=5)
    instance.end_date += timedelta(minutes=6)
    (row,) = rows(sync(task))
    assert (row.outcome, row.result_state) == ("unknown_result", "unreadable")


def test_a_plugin_that_fails_leaves_the_single_reads(plugin, finished, sync):
    task = finished(5)
    plugin.fail_next(path="/mapboard/dags", status=500, times=9)
    task = sync(task)
    assert (task.counts, task.results_reader) == ({"success": 5}, "single")
    assert sorted(single_reads(plugin)) == [0, 1, 2, 3, 4]


def test_a_plugin_that_may_not_be_read_says_why_by_one_single_read(plugin, finished, sync):
    task = finished(30)
    plugin.forbid("xcom")
    task = sync(task)
    assert {(row.result_state, row.result_reason) for row in rows(task)} == {("forbidden", "Forbidden")}
    assert len(single_reads(plugin)) == 1


def test_pages_say_which_way_was_taken(etl, finished, sync):
    task = sync(finished(30))
    assert task.results_reader == "single"
    etl.expand("etl", "r1", "work", 80)
    for index in range(30, 80):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl.finish_run("etl", "r1")
    assert sync(task).results_reader == "wait"


def test_neighbours_of_the_newest_hard_failures_are_read_first_then_the_newest(etl, mapped, sync, monkeypatch):
    monkeypatch.setattr(single_results, "connections_to", lambda server: 1)
    task = mapped(30)
    for index in (0, 1, 2, 3, 4, 20, 21, 22, 23, 24, 28):
        etl.finish("etl", "r1", "work", index, result={"id": index})
    etl.finish("etl", "r1", "work", 19, error=("ValueError", "older"))
    etl.finish("etl", "r1", "work", 5, error=("ValueError", "newest"))
    etl.forget_requests()
    sync(task)
    assert single_reads(etl) == [4, 3, 20, 21, 28, 24, 23, 22, 2, 1, 0]


def test_reads_go_on_at_once_but_leave_a_slot_to_people(etl, finished, sync, broker_url):
    etl.delay_seconds = 0.02
    task = finished(30)
    sync(task)
    assert 2 <= etl.peak_in_flight <= 3  # of the server's four


def test_a_pass_that_is_stopped_keeps_what_it_stored_and_asks_nothing_twice(etl, finished, sync, monkeypatch):
    monkeypatch.setattr(single_results, "STORE_EVERY", 10)
    monkeypatch.setattr(single_results, "connections_to", lambda server: 1)
    task = finished(40)
    etl._faults.append(StopsAfter(path="xcomEntries", reads=25))
    with pytest.raises(KeyboardInterrupt):
        sync(task)
    MappedTask.objects.filter(pk=task.pk).update(claimed_until=None)
    stored = {row.map_index for row in rows(task) if row.result_state == "read"}
    assert len(stored) == 25
    etl._faults.clear()
    etl.forget_requests()
    task = sync(task)
    assert (task.counts, task.unread_results) == ({"success": 40}, 0)
    assert set(single_reads(etl)) == set(range(40)) - stored


def test_a_stopped_read_by_the_plugin_goes_on_where_it_was(plugin, finished, sync, monkeypatch):
    monkeypatch.setattr("tests.fakes.airflow.plugin_api.ANSWER_BYTES", 2_000)
    task = finished(60)
    plugin._faults.append(StopsAfter(path="/mapboard/dags", reads=2))
    with pytest.raises(KeyboardInterrupt):
        sync(task)
    MappedTask.objects.filter(pk=task.pk).update(claimed_until=None)
    stored = sum(row.result_state == "read" for row in rows(task))
    assert 0 < stored < 60
    plugin._faults.clear()
    plugin.forget_requests()
    assert sync(task).counts == {"success": 60}
    first = dict(plugin.calls("GET", "/mapboard/dags")[0].query)
    assert int(first["after"]) == stored - 1


@pytest.mark.parametrize("way", ["plugin", "wait", "single"])
def test_counts_always_equal_the_rows(etl, mapped, sync, way):
    etl.plugin = way == "plugin"
    task = mapped(60)
    for index in range(60):
        status = "failed" if index % 7 == 0 else "ok"
        etl.finish("etl", "r1", "work", index, result={"status": status, "error": f"part {index}", "rows": index})
    if way == "wait":
        etl.finish_run("etl", "r1")
    task = sync(task)
    outcomes = [row.outcome for row in rows(task)]
    assert task.results_reader == way
    assert task.counts == {name: outcomes.count(name) for name in sorted(set(outcomes), reverse=True)}
    assert {row.number_0 for row in rows(task)} == {float(index) for index in range(60)}


def test_columns_that_stay_as_they_were_are_not_written_and_the_others_are(finished, sync):
    task = sync(finished(3))
    written = list(Instance.objects.filter(mapped_task=task, map_index__lt=2).order_by("map_index"))
    for row, message in zip(written, ("", "late"), strict=True):
        row.outcome, row.error_message, row.note = "soft_failure", message, ""
    Instance.objects.filter(mapped_task=task).update(error_message="before", note="before")
    with CaptureQueriesContext(connection) as asked:
        execute(update_statements(written, ["outcome", "error_message", "note"], {"note": "", "error_message": ""}))
    assert [query["sql"].count('"note"') for query in asked] == [0]
    assert [(row.outcome, row.error_message, row.note) for row in rows(task)] == [
        ("soft_failure", "", "before"), ("soft_failure", "late", "before"), ("success", "before", "before"),
    ]  # fmt: skip
