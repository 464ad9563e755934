"""Result fields: the numbers in results, and which of them get a column."""

from __future__ import annotations

import pytest

from panel.domain.result_fields import MOST_FIELDS, assign_slots, numbers_in


def test_numbers_are_found_three_levels_down():
    result = {"rows": 3, "stats": {"rows": 4.5, "io": {"bytes": 7, "more": {"too": 1}}}, "name": "x", "list": [1]}
    assert numbers_in(result) == {"rows": 3.0, "stats/rows": 4.5, "stats/io/bytes": 7.0}


def test_a_result_that_is_a_number_is_found_too():
    assert numbers_in(12) == {"result": 12.0}


@pytest.mark.parametrize(
    "value", [True, False, None, "12", float("nan"), float("inf"), -float("inf"), 10**400, 1e101, [1], {}, [{"a": 1}]]
)
def test_what_is_no_number_to_add_up_is_left_out(value):
    assert numbers_in(value) == {}
    assert numbers_in({"a": value, "b": 0}) == {"b": 0.0}


def test_names_are_told_apart_and_can_be_shown():
    assert numbers_in({"a/b": 1, "a": {"b": 2}, "x~": 3, "bad\x00": 4, "half\ud800": 5, "n" * 200: 6}) == {
        "a~1b": 1.0,
        "a/b": 2.0,
        "x~0": 3.0,
    }


def test_a_table_is_not_searched_to_its_end():
    assert len(numbers_in({f"column {n}": n for n in range(10_000)})) == 64


def test_the_fields_that_occur_most_get_the_columns():
    results = [{"rows": 1.0, "rare": 1.0}] + [{"rows": 1.0, "stats/rows": 2.0}] * 3
    assert assign_slots({}, results) == {"rows": 0, "stats/rows": 1, "rare": 2}


def test_identifiers_get_what_columns_are_left():
    results = [{"id": 1.0, "customer_id": 2.0, "exit_code": 0.0, "rows": 3.0}, {"id": 1.0}]
    assert list(assign_slots({}, results)) == ["rows", "id", "customer_id", "exit_code"]


def test_a_field_keeps_its_column_and_no_more_than_there_are_get_one():
    first = assign_slots({}, [{"b": 1.0, "a": 1.0}])
    later = assign_slots(first, [{f"new {n}": 1.0 for n in range(20)}] * 5)
    assert {name: later[name] for name in first} == first
    assert sorted(later.values()) == list(range(MOST_FIELDS))
    assert assign_slots(later, [{"one more": 1.0}]) == later
