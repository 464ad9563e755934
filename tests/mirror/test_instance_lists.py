"""The list of instances: its counts are right after every change, and no page reads more than a range of an index."""

from __future__ import annotations

import base64
import json
import re

import pytest
from django.db import connection
from django.db.models.sql.compiler import SQLCompiler
from django.test.utils import CaptureQueriesContext

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import Outcome
from panel.domain.selection import Selection
from panel.keyset import keyset_page
from panel.mirror import instance_lists
from panel.mirror.claims import claim
from panel.mirror.instance_lists import ORDERINGS, _selected, instance_page, matching
from panel.mirror.models import Instance, MappedTask
from panel.mirror.selectors import instances
from panel.mirror.sync.rows import put_error
from panel.mirror.sync.store import store
from panel.prepared import _KEPT, LONGEST_KEPT
from tests.mirror.stage import mirrored_task

pytestmark = pytest.mark.django_db

FAILED = frozenset({Outcome.HARD_FAILURE, Outcome.SOFT_FAILURE})
SELECTIONS = {
    "nothing": Selection(),
    "outcomes": Selection(outcomes=FAILED),
    "indices": Selection(indices=IndexExpression.parse("3-200")),
    "label": Selection(label="part-1"),
    "tries": Selection(try_number_gte=2),
    "duration": Selection(duration_gte=70, duration_lte=200),
    "error text": Selection(q="item 1"),
    "all of them": Selection(outcomes=FAILED, label="part", try_number=1, duration_gte=61, q="item"),
}


@pytest.fixture
def task(server) -> MappedTask:
    outcomes = ["success", "hard_failure", "soft_failure", "success", "waiting"] * 60
    return mirrored_task(
        server,
        outcomes,
        labels={index: f"part-{index}" for index in range(0, 300, 2)},
        errors={index: ("KeyError", f"item {index}") for index in range(1, 300, 5)},
        results={index: {"rows": index} for index in range(0, 300, 5)},
        tries=dict.fromkeys(range(0, 300, 7), 2),
    )


def page_of(task: MappedTask, selection: Selection, ordering: str = "map_index", cursor=None, size: int = 20):
    found = matching(task, selection)
    return instance_page(task, selection, found, ordering=ordering, cursor=cursor, page_size=size)


def walk(task: MappedTask, selection: Selection, ordering: str) -> list[int]:
    page = page_of(task, selection, ordering)
    seen = [row.map_index for row in page.rows]
    while page.next_cursor:
        page = page_of(task, selection, ordering, page.next_cursor)
        seen += [row.map_index for row in page.rows]
    return seen


@pytest.mark.parametrize("few", [0, 2_000], ids=["many", "few"])
@pytest.mark.parametrize("kind", SELECTIONS)
def test_the_pages_of_any_selection_and_order_are_what_it_matches(task, monkeypatch, kind, few):
    monkeypatch.setattr(instance_lists, "FEW", few)
    selection = SELECTIONS[kind]
    expected = set(instance_lists.select_instances(task, selection).values_list("map_index", flat=True))
    assert expected
    assert matching(task, selection).count == len(expected)
    for ordering in ("map_index", "-duration", "label", "-try_number", "outcome", "-number_0"):
        seen = walk(task, selection, ordering)
        assert len(seen) == len(expected)
        assert set(seen) == expected


@pytest.mark.parametrize("few", [0, 2_000], ids=["many", "few"])
@pytest.mark.parametrize("ordering", ["map_index", "-map_index", "-duration", "start_date", "label", "-outcome"])
def test_pages_of_a_query_that_was_written_down_are_those_of_django(task, monkeypatch, ordering, few):
    """Row by row, value and type, both ways; no query of a shape that was met is written down again."""
    monkeypatch.setattr(instance_lists, "FEW", few)
    Instance.objects.filter(mapped_task=task, map_index__gte=200).update(duration=None, start_date=None)
    _KEPT.clear()  # it is emptied when it is full, which may be now
    sign, column = ordering[: -len(ordering.lstrip("-"))], ORDERINGS[ordering.removeprefix("-")]
    for turn in range(2):
        for selection in (Selection(), Selection(outcomes=FAILED), Selection(duration_gte=60 + turn, label="part")):
            found = matching(task, selection)
            narrowed = found.rows(task, selection, walked_by=column)
            cursor, way = None, "next_cursor"
            while way:
                asked = {"ordering": sign + column, "tiebreak": "map_index", "cursor": cursor, "page_size": 7}
                if turn:
                    monkeypatch.setattr(SQLCompiler, "as_sql", None)
                page = keyset_page(narrowed, **asked)
                monkeypatch.undo()
                monkeypatch.setattr(instance_lists, "FEW", few)
                expected = keyset_page(narrowed.queryset(), **asked)
                assert page == expected
                assert [[*map(type, row)] for row in page.rows] == [[*map(type, row)] for row in expected.rows]
                cursor = getattr(page, way)
                if cursor is None:  # to the end, then all the way back
                    way = "previous_cursor" if way == "next_cursor" else ""
                    cursor = way and page.previous_cursor
                way = way if cursor else ""


@pytest.mark.parametrize("tie", [2**63 - 1, -(2**63) + 1, 2**31, -(2**31) - 1, 3])
@pytest.mark.parametrize("ordering", ["map_index", "-map_index"])
def test_a_cursor_beyond_every_index_is_answered_before_and_after_the_query_is_known(task, ordering, tie):
    cursor = base64.urlsafe_b64encode(json.dumps([ordering, 0, tie, tie]).encode()).decode().rstrip("=")
    rows = sorted(range(300), reverse=ordering.startswith("-"))
    expected = [index for index in rows if (index < tie if ordering.startswith("-") else index > tie)][:20]
    _KEPT.clear()
    for _turn in range(2):
        assert [row.map_index for row in page_of(task, Selection(), ordering, cursor).rows] == expected
        page_of(task, Selection(), ordering, page_of(task, Selection(), ordering).next_cursor)


def test_a_long_condition_is_not_kept(task):
    many = Selection(indices=IndexExpression.parse(",".join(f"{index}-{index + 1}" for index in range(0, 900, 3))))
    page_of(task, many)
    before, conditions = len(_KEPT), _selected.cache_info()
    rows = instance_lists.Matching(1).rows(task, many, walked_by="duration")
    assert len(rows.condition.sql) > LONGEST_KEPT
    assert len(keyset_page(rows, ordering="duration", tiebreak="map_index", page_size=20).rows) == 20
    assert len(_KEPT) == before
    assert _selected.cache_info() == conditions


def test_a_change_of_the_rows_is_a_change_of_the_count(task):
    selection = Selection(outcomes=FAILED, q="boom")
    assert matching(task, selection).count == 0
    row = Instance.objects.get(mapped_task=task, map_index=1)
    put_error(row, "ValueError", "boom")
    held = claim(MappedTask.objects.get(pk=task.pk))
    assert held is not None
    store(held, [row])
    task.refresh_from_db()
    assert matching(task, selection).count == 1
    assert [each.map_index for each in page_of(task, selection).rows] == [1]


def test_a_mirror_that_was_rebuilt_does_not_take_the_counts_of_the_old_one(server):
    old = mirrored_task(server, ["hard_failure"] * 3)
    assert matching(old, Selection(duration_gte=0)).count == 3
    old.delete()
    new = mirrored_task(server, ["success"] * 2)
    assert (new.pk, new.version) == (old.pk or new.pk, old.version)
    assert matching(new, Selection(duration_gte=0)).count == 2


def test_what_is_known_of_a_selection_is_not_read_again(task, django_assert_num_queries):
    selection = SELECTIONS["all of them"]
    matching(task, selection)
    with django_assert_num_queries(0):
        matching(task, selection)
    with django_assert_num_queries(1):
        page_of(task, selection, "map_index")


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("ordering", ORDERINGS)
def test_a_page_is_read_from_the_index_of_its_order(task, ordering, sign):
    """Neither sorted nor scanned, on the way down, on the way back, and where the empty values begin."""
    rows, column = instances(task), sign + ORDERINGS[ordering]
    first = keyset_page(rows, ordering=column, tiebreak="map_index", page_size=20)
    for cursor in (None, first.next_cursor):
        for query in queries_of(lambda cursor=cursor: keyset_page(
            rows, ordering=column, tiebreak="map_index", page_size=20, cursor=cursor
        )):  # fmt: skip
            plan = plan_of(query)
            assert "mirror_instance" in plan
            assert not re.search(r"Sort|Seq Scan|TEMP B-TREE|SCAN ", plan), plan


@pytest.mark.parametrize("ordering", ["label", "try_number", "start_date", "end_date", "duration"])
@pytest.mark.parametrize("outcome", [Outcome.HARD_FAILURE, Outcome.SOFT_FAILURE])
def test_many_failures_among_more_others_are_read_from_an_index_of_failures(task, monkeypatch, ordering, outcome):
    monkeypatch.setattr(instance_lists, "FEW", 0)
    selection = Selection(outcomes=frozenset({outcome}))
    found = matching(task, selection)
    assert found.keys is None
    first = page_of(task, selection, f"-{ordering}", size=1)
    for cursor in (None, first.next_cursor):
        asked = queries_of(lambda cursor=cursor: page_of(task, selection, f"-{ordering}", cursor=cursor))
        pages = [query for query in asked if "ORDER BY" in query]
        assert pages
        plans = "\n".join(map(plan_of, pages))
        assert not re.search(r"Sort|Seq Scan|TEMP B-TREE|SCAN ", plans), plans
        if connection.vendor == "sqlite":  # PostgreSQL weighs its indexes by what is in the table
            assert f"failures_by_{ORDERINGS[ordering]}" in plans


def queries_of(act) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        act()
    return [query["sql"] for query in queries]


def plan_of(query: str) -> str:
    """PostgreSQL would rather read a small table whole: told not to, it shows whether it must."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for way in ("seqscan", "sort", "bitmapscan"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
            cursor.execute(f"EXPLAIN {query}")
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {query}")
        return "\n".join(str(row[-1]) for row in cursor.fetchall())
