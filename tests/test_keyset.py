"""Keyset pages: any column, both ways, empty values last, nothing twice and nothing lost."""

from __future__ import annotations

import base64
import json
import random
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from panel.keyset import MAX_CURSOR_LENGTH, BadCursor, keyset_page
from panel.mirror.models import Instance
from panel.mirror.selectors import instances
from tests.mirror.stage import mirrored_task

pytestmark = pytest.mark.django_db

COLUMNS = ["map_index", "try_number", "duration", "start_date", "label_folded", "outcome"]


@pytest.fixture
def rows(server):
    """23 rows with many ties and many empty values."""
    chance = random.Random(7)
    task = mirrored_task(server, ["success"] * 23)
    now = timezone.now()
    for row in instances(task):
        row.try_number = chance.randrange(3)
        row.duration = chance.choice([None, 1.5, 2.5, 0.1 + 0.2])
        row.start_date = chance.choice([None, now, now - timedelta(microseconds=1)])
        row.label_folded = chance.choice([None, "a", "b", "ü", "a%_\\'"])
        row.save()
    return instances(task)


def walk(rows, ordering, size, tiebreak="pk", backwards=False, cursor=None):
    pages = []
    while True:
        page = keyset_page(rows, ordering=ordering, tiebreak=tiebreak, cursor=cursor, page_size=size)
        pages.append([row.map_index for row in page.rows])
        cursor = page.previous_cursor if backwards else page.next_cursor
        if cursor is None:
            return pages, page
        assert len(pages) < 100


def expected(rows, ordering):
    field, descending = ordering.removeprefix("-"), ordering.startswith("-")
    if field == "map_index":
        return sorted((row.map_index for row in rows), reverse=descending)
    whole = keyset_page(rows, ordering=ordering, page_size=500)
    assert (whole.next_cursor, whole.previous_cursor) == (None, None)
    return [row.map_index for row in whole.rows]


@pytest.mark.parametrize("size", [2, 5, 23, 24])
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("sign", ["", "-"])
def test_the_pages_together_are_the_list(rows, column, sign, size):
    pages, last = walk(rows, sign + column, size)
    assert [index for page in pages for index in page] == expected(rows, sign + column)
    assert all(len(page) == size for page in pages[:-1])
    assert last.next_cursor is None


def test_one_row_a_page(rows):
    pages, _last = walk(rows, "-duration", 1)
    assert [index for page in pages for index in page] == expected(rows, "-duration")


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("sign", ["", "-"])
def test_the_way_back_shows_the_same_rows(rows, column, sign):
    whole = expected(rows, sign + column)
    forwards, last = walk(rows, sign + column, 5)
    back, first = walk(rows, sign + column, 5, backwards=True, cursor=last.previous_cursor)
    assert [index for page in reversed(back) for index in page] == whole[: len(whole) - len(forwards[-1])]
    assert first.previous_cursor is None
    assert first.next_cursor is not None


@pytest.mark.parametrize("column", ["duration", "start_date", "label_folded"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_empty_values_come_last_either_way(rows, column, sign):
    found = [getattr(row, column) for row in keyset_page(rows, ordering=sign + column, page_size=500).rows]
    first_empty = found.index(None)
    assert all(value is None for value in found[first_empty:])
    filled = found[:first_empty]
    if column != "label_folded":  # texts are sorted as the database does
        assert filled == sorted(filled, reverse=bool(sign))


@pytest.mark.parametrize("sign", ["", "-"])
def test_ties_are_broken_by_the_unique_column_in_the_direction_of_the_list(rows, sign):
    found = keyset_page(rows, ordering=f"{sign}try_number", tiebreak="map_index", page_size=500).rows
    for one, other in pairwise(found):
        assert one.try_number != other.try_number or (one.map_index < other.map_index) is not bool(sign)


def test_a_row_that_goes_away_does_not_shift_the_next_page(rows):
    page = keyset_page(rows, ordering="map_index", page_size=5)
    Instance.objects.filter(map_index__lt=3).delete()
    after = keyset_page(rows, ordering="map_index", page_size=5, cursor=page.next_cursor)
    assert [row.map_index for row in after.rows] == [5, 6, 7, 8, 9]


def test_a_page_beyond_everything_is_empty(rows):
    page = keyset_page(rows, ordering="map_index", page_size=20)
    Instance.objects.filter(map_index__gte=20).delete()
    after = keyset_page(rows, ordering="map_index", page_size=20, cursor=page.next_cursor)
    assert (after.rows, after.next_cursor, after.previous_cursor) == ([], None, None)


def test_an_empty_list_has_one_empty_page(rows):
    page = keyset_page(rows.none(), ordering="duration")
    assert (page.rows, page.next_cursor, page.previous_cursor) == ([], None, None)


def test_a_page_is_one_range_of_an_index_and_a_second_where_it_reaches_the_empty_values(rows):
    page = keyset_page(rows, ordering="-duration", page_size=5)
    queries = []
    while page.next_cursor:
        with CaptureQueriesContext(connection) as captured:
            page = keyset_page(rows, ordering="-duration", page_size=5, cursor=page.next_cursor)
        assert not any("OFFSET" in query["sql"] for query in captured)
        queries.append(len(captured))
    assert queries[0] == 1
    assert max(queries) == 2


def cursor_of(*values) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "rubbish!",
        "ü",
        "\x00",
        "é" * 50,
        "a" * (MAX_CURSOR_LENGTH + 1),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"[" * 1_490).decode(),
        cursor_of(),
        cursor_of("duration", 0, 1.0),
        cursor_of("start_date", 0, "yesterday", 1),
        cursor_of("start_date", 0, 17, 1),
        cursor_of("start_date", 0, [1], 1),
        cursor_of("start_date", 0, {"a": 1}, 1),
        cursor_of("start_date", 0, None, "one"),
        cursor_of("start_date", 0, None, None),
        cursor_of("start_date", 0, None, 10**30),
        cursor_of("start_date", 0, "2026-01-01T00:00:00+00:00", -(10**30)),
        cursor_of("-start_date", 0, None, 1),  # of the same list the other way round
        cursor_of("duration", 0, None, 1),  # of another column
        base64.urlsafe_b64encode(b'{"a":1}').decode(),
        base64.urlsafe_b64encode(b"17").decode(),
    ],
)
def test_a_cursor_that_is_none_is_refused(rows, cursor):
    with pytest.raises(BadCursor):
        keyset_page(rows, ordering="start_date", cursor=cursor)


@pytest.mark.parametrize("value", ["text", [], {}, 10**400])
def test_a_forged_number_is_refused(rows, value):
    with pytest.raises(BadCursor):
        keyset_page(rows, ordering="duration", cursor=cursor_of("duration", 0, value, 1))


@pytest.mark.parametrize("tie", [10**18, -(10**18), True, "7"])
def test_a_forged_place_gives_a_page_of_this_list_at_most(rows, tie):
    page = keyset_page(rows, ordering="duration", cursor=cursor_of("duration", 0, 1.5, tie))
    assert {row.pk for row in page.rows} <= set(rows.values_list("pk", flat=True))


def test_a_forged_text_is_refused_where_a_database_cannot_hold_it(rows):
    with pytest.raises(BadCursor):
        keyset_page(rows, ordering="label_folded", cursor=cursor_of("label_folded", 0, "a\x00b", 1))


def test_a_forged_place_without_an_index_is_refused(rows):
    with pytest.raises(BadCursor):
        keyset_page(rows, ordering="map_index", tiebreak="map_index", cursor=cursor_of("map_index", 0, None, 5))
