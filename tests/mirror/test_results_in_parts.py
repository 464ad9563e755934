"""Results of a page are judged part by part, in a thread, while the database writes: one transaction all the same."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from panel.domain.outcome_rules import DEFAULT_RULE
from panel.mirror.claims import claim
from panel.mirror.models import Instance, InstanceResult, MappedTask
from panel.mirror.sync import rollups, store
from panel.mirror.sync.ahead import one_ahead
from panel.mirror.sync.reading import NO_VALUE, Reading
from panel.servers.slots import LeasedSlots

WAYS = pytest.mark.parametrize("way", ["plugin", "wait"])


def test_what_is_made_comes_in_order_and_in_another_thread():
    made = list(one_ahead(lambda item: (item, threading.current_thread()), [3, 1, 2]))
    assert [item for item, _thread in made] == [3, 1, 2]
    assert threading.current_thread() not in {thread for _item, thread in made}
    assert list(one_ahead(str, [])) == []


def test_a_single_one_needs_no_thread():
    assert list(one_ahead(lambda item: (item, threading.current_thread()), [3])) == [(3, threading.current_thread())]


def test_no_more_than_one_is_made_ahead(monkeypatch):
    submitted: list[int] = []
    submit = ThreadPoolExecutor.submit

    def noted(self, make, item):
        submitted.append(item)
        return submit(self, make, item)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", noted)
    coming = one_ahead(str, [0, 1, 2, 3])
    seen = [(made, list(submitted)) for made in coming]
    assert seen == [("0", [0, 1]), ("1", [0, 1, 2]), ("2", [0, 1, 2, 3]), ("3", [0, 1, 2, 3])]


def test_a_failure_comes_where_its_item_would_have_come():
    coming = one_ahead(lambda item: 1 / item, [1, 0, 2])
    assert next(coming) == 1
    with pytest.raises(ZeroDivisionError):
        next(coming)


@pytest.fixture
def in_parts(etl, mapped, monkeypatch):
    """``in_parts("wait")``: 40 results that will be read in this way and written in parts of 7."""

    def make(way: str) -> MappedTask:
        monkeypatch.setattr(store, "PART", 7)
        etl.plugin = way == "plugin"
        task = mapped(40)
        for index in range(40):
            result = {"status": "failed" if index % 9 == 0 else "ok", "error": f"part {index}", "rows": index}
            if index >= 20:
                result["dropped"] = index  # a number that no result of the first parts has
            etl.finish("etl", "r1", "work", index, result=None if index == 5 else result)
        if way == "wait":
            etl.finish_run("etl", "r1")
        return task

    return make


@WAYS
@pytest.mark.django_db
def test_every_part_is_stored_under_one_version(in_parts, sync, way):
    task = sync(in_parts(way))
    rows = list(Instance.objects.filter(mapped_task=task).order_by("map_index"))
    assert task.results_reader == way
    assert task.counts == {"success": 35, "soft_failure": 5}
    assert [row.map_index for row in rows if row.outcome == "soft_failure"] == [0, 9, 18, 27, 36]
    assert [row.error_message for row in rows if row.error_message] == [f"part {i}" for i in (0, 9, 18, 27, 36)]
    assert len({row.version for row in rows}) == 1
    slots = {field["name"]: field["slot"] for field in task.result_fields}
    assert slots == {"rows": 0, "dropped": 1}
    assert [row.number_0 for row in rows] == [None if index == 5 else float(index) for index in range(40)]
    assert [row.number_1 for row in rows] == [None] * 20 + [float(index) for index in range(20, 40)]
    stored = InstanceResult.objects.filter(mapped_task=task).order_by("map_index")
    assert [result.map_index for result in stored if result.value] == [index for index in range(40) if index != 5]


@WAYS
@pytest.mark.django_db
def test_a_part_that_cannot_be_judged_leaves_nothing_stored(in_parts, sync, way, monkeypatch):
    settle = Reading.settle

    def settle_some(self, instance, value, since=None):
        if instance.map_index == 30:
            raise ZeroDivisionError
        settle(self, instance, value, since)

    task = in_parts(way)
    monkeypatch.setattr(Reading, "settle", settle_some)
    with pytest.raises(ZeroDivisionError):
        sync(task)
    task.refresh_from_db()
    assert not InstanceResult.objects.filter(mapped_task=task).exists()
    assert set(Instance.objects.filter(mapped_task=task).values_list("outcome", flat=True)) == {"unknown_result"}
    assert task.counts == {"unknown_result": 40}


@WAYS
@pytest.mark.django_db
def test_the_thread_that_judges_opens_no_connection_to_the_database(in_parts, sync, way, monkeypatch):
    settle, seen = Reading.settle, set()

    def settle_and_see(self, instance, value, since=None):
        if value is not NO_VALUE:
            value = f"s3://bucket/etl/r1/work/{instance.map_index:08x}-0000-4000-8000-000000000000"  # looked at closely
        settle(self, instance, value, since)
        seen.add((threading.current_thread() is threading.main_thread(), connection.connection is None))

    monkeypatch.setattr(Reading, "settle", settle_and_see)
    task = sync(in_parts(way))
    assert seen == {(False, True)}
    assert task.external_results == 39


@pytest.mark.django_db
def test_a_page_that_settles_nothing_counts_nothing_again(in_parts, sync, etl, monkeypatch):
    task = sync(in_parts("plugin"))
    held = claim(task)
    monkeypatch.setattr(rollups, "at_each_write", lambda *_: pytest.fail("Nothing changed."))
    Reading(etl, held, DEFAULT_RULE).settle_and_store(lambda _part: [], range(20))
    version = MappedTask.objects.get(pk=task.pk).version
    assert version == task.version


@pytest.mark.django_db
def test_reads_one_by_one_hand_their_slots_on(in_parts, sync, monkeypatch):
    handing_on, crowds = LeasedSlots.handing_on, []

    def noted(self):
        crowds.append(self.key)
        return handing_on(self)

    monkeypatch.setattr(LeasedSlots, "handing_on", noted)
    task = sync(in_parts("single"))
    assert task.results_reader == "single"
    assert crowds
