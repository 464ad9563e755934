"""Previews of large values: their shape stays, small scalars are still found, and both databases can hold them."""

from __future__ import annotations

import json

import pytest

from panel.domain.outcome_rules import derive
from panel.domain.outcomes import Outcome, ResultState
from panel.domain.result_fields import numbers_in
from panel.domain.values import CUT, Kept, shortened


def size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


@pytest.mark.parametrize("value", [0, False, None, "", [], {}, [1, [2]], "text", 1.5, 10**30, {"a": {"b": ["ü"]}}])
def test_a_small_value_is_kept_as_it_is(value):
    assert shortened(value, 100) == Kept(value)


def test_long_strings_are_cut_first_and_bear_a_mark():
    kept = shortened({"log": "x" * 50_000, "status": "failed", "rows": 12, "error": "part 7 is empty"}, 1_000)
    assert kept.shortened
    assert kept.value["log"].startswith("xxx")
    assert kept.value["log"].endswith(CUT)
    assert {**kept.value, "log": ""} == {"log": "", "status": "failed", "rows": 12, "error": "part 7 is empty"}
    assert size(kept.value) <= 1_000


def test_long_lists_are_cut_and_say_how_much_is_missing():
    kept = shortened({"items": [{"id": number} for number in range(10_000)], "count": 10_000}, 500)
    *items, mark = kept.value["items"]
    assert items == [{"id": number} for number in range(len(items))]
    assert mark == f"{CUT} {10_000 - len(items)}"
    assert kept.value["count"] == 10_000


def test_a_mapping_of_very_many_keys_keeps_its_small_scalars():
    value = {f"table {number}": {"rows": number} for number in range(5_000)} | {"status": "error", "total": 7}
    kept = shortened(value, 2_000)
    assert (kept.value["status"], kept.value["total"]) == ("error", 7)
    assert kept.value[CUT] == f"{CUT} {5_002 - (len(kept.value) - 1)}"
    assert size(kept.value) <= 2_000


def test_rules_and_numeric_fields_find_in_the_preview_what_they_find_in_the_whole():
    value = {"status": "failed", "error": "no rows", "data": ["y" * 900] * 40, "stats": {"rows_processed": 3}}
    preview = shortened(value, 600).value
    for seen in (value, preview):
        verdict = derive("success", ResultState.READ, seen)
        assert (verdict.outcome, verdict.message) == (Outcome.SOFT_FAILURE, "no rows")
        assert numbers_in(seen) == {"stats/rows_processed": 3}


def nested(levels: int) -> object:
    value: object = "x"
    for level in range(levels):
        value = [value] if level % 2 else {"next": value}
    return value


@pytest.mark.parametrize("levels", [99, 101, 900, 100_000])
def test_a_value_may_be_nested_however_deeply(levels):
    kept = shortened(nested(levels), 4_096)
    assert kept.shortened == (levels >= 100)
    json.dumps(kept.value)


@pytest.mark.parametrize("value", ["x" * 10_000, ["x" * 10_000], list(range(9_999)), {"k" * 900: nested(40)}])
@pytest.mark.parametrize("most", [20, 50, 300])
def test_a_preview_is_never_longer_than_asked(value, most):
    kept = shortened(value, most)
    assert kept.shortened
    assert size(kept.value) <= most


def test_what_no_database_holds_is_taken_out():
    assert shortened({"k\x00ey": ["v\x00alue", "half \ud800"]}, 1_000) == Kept({"key": ["value", "half ?"]})
    assert "\x00" not in json.dumps(shortened("\x00ab" * 1_000, 100).value)


def test_the_text_of_an_escape_is_not_taken_for_one():
    assert shortened("a \\u0000 in a text", 1_000) == Kept("a \\u0000 in a text")
