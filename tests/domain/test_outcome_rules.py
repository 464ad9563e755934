"""Outcome rules: pointers into any value, failing values however they are written, messages; nothing ever raises."""

from __future__ import annotations

import sys

import pytest

from panel.domain.json_pointers import MISSING, MalformedPointer, found_at, parts_of, pointer_of
from panel.domain.outcome_rules import DEFAULT_RULE, Rule, comparable, derive, may_hide
from panel.domain.outcomes import Outcome, ResultState
from panel.domain.values import shortened

DOCUMENT = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8, " ": 7, "~1": 9, "deep": {"0": [[], {"x": None}]}}


def verdict(result, *values, at="/status", message=""):
    return derive("success", ResultState.READ, result, Rule(at, values, message))


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", DOCUMENT), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/m~0n", 8), ("/ ", 7),
        ("/~01", 9), ("/deep/0/1/x", None),
        ("/foo/2", MISSING), ("/foo/-", MISSING), ("/foo/01", MISSING), ("/foo/bar", MISSING), ("/foo/0/x", MISSING),
        ("/foo/٣", MISSING), ("/nothing", MISSING), ("/foo/99999999999999999999", MISSING),
    ],
)  # fmt: skip
def test_a_pointer_finds_its_place_or_nothing(pointer, found):
    assert found_at(DOCUMENT, parts_of(pointer)) is found or found_at(DOCUMENT, parts_of(pointer)) == found
    assert pointer_of(parts_of(pointer)) == pointer


@pytest.mark.parametrize(
    ("pointer", "says"),
    [
        ("status", "starts with a slash: /status"), ("/a~b", "~0"), ("/a~", "~0"), ("/" + "x" * 200, "200"),
        ("/a\x00", "NUL"), ("/\ud800", "half a character"),
    ],
)  # fmt: skip
def test_a_malformed_pointer_says_what_is_wrong(pointer, says):
    with pytest.raises(MalformedPointer, match=says):
        Rule(pointer, ("failed",))
    with pytest.raises(MalformedPointer, match=says):
        Rule("/status", ("failed",), pointer)


@pytest.mark.parametrize(
    ("failing", "status"),
    [
        ("failed", "FAILED"), ("failed", "  Failed\n"), ("STRASSE", "straße"), ("not ok", "Not   OK"),
        ("false", False), ("False", "false"), (False, False), ("true", True), ("null", None), (None, None),
        ("0", 0), (0, 0), ("0", 0.0), ("3", 3), ("3", "3"), ("3.0", 3), ("3.50", 3.5), ("1e2", 100), (3.5, "3.5"),
        ("-7", -7), ("9007199254740993", 9007199254740993),
    ],
)  # fmt: skip
def test_failing_values_are_compared_by_what_they_say(failing, status):
    assert verdict({"status": status}, "other", failing).outcome is Outcome.SOFT_FAILURE


@pytest.mark.parametrize(
    ("failing", "status"),
    [
        ("failed", "failing"), ("0", False), ("1", True), ("false", 0), ("false", ""), ("7", "007"), ("null", ""),
        ("null", MISSING), ("0", []), ("[]", []), ("{}", {}), ("nan", float("nan")), ("inf", float("inf")),
        ("9007199254740992", 9007199254740993), ("1", 10**400),
    ],
)  # fmt: skip
def test_what_says_something_else_is_no_failure(failing, status):
    result = {} if status is MISSING else {"status": status}
    assert verdict(result, failing).outcome is Outcome.SUCCESS


def test_an_empty_pointer_judges_the_result_itself():
    assert verdict(False, "false", at="").outcome is Outcome.SOFT_FAILURE
    assert verdict("Failed", "failed", at="").outcome is Outcome.SOFT_FAILURE
    assert verdict({"status": "failed"}, "failed", at="").outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    ("result", "pointer", "message"),
    [
        ({"why": {"text": "no rows"}}, "/why/text", "no rows"),
        ({"why": ["a", {"b": 1}]}, "/why", "['a', {'b': 1}]"),
        ({"why": "", "error": "e"}, "/why", "e"),
        ({"error": None, "reason": "r"}, "/why", "r"),
        ({"message": "m"}, "", "m"),
        ({"other": "o"}, "/why", ""),
    ],
)
def test_the_message_is_what_the_pointer_finds_or_else_the_usual_places(result, pointer, message):
    assert verdict({"ok": False, **result}, "false", at="/ok", message=pointer).message == message


def test_no_value_makes_a_verdict_raise():
    deep = {"status": "failed", "error": []}
    inner = deep["error"]
    for _level in range(sys.getrecursionlimit() * 20):
        inner.append([])
        inner = inner[0]
    assert derive("success", ResultState.READ, deep).outcome is Outcome.SOFT_FAILURE
    huge = {"status": 10**5000, "error": 10**5000}
    assert verdict(huge, "failed").outcome is Outcome.SUCCESS
    assert verdict(huge | {"status": "failed"}, "failed").message == "int"
    for odd in (MISSING, object(), b"failed", {1: 2}, ("failed",), {"status": {"status": "failed"}}):
        assert verdict(odd, "failed").outcome is Outcome.SUCCESS


def test_the_revision_names_what_the_rule_says():
    assert len(DEFAULT_RULE.revision) == 16
    assert Rule("/status", ("Error", "failure", " failed")).revision == DEFAULT_RULE.revision
    others = {
        DEFAULT_RULE.revision,
        Rule("/state", DEFAULT_RULE.failing_values).revision,
        Rule("/status", ("failed",)).revision,
        Rule("/status", DEFAULT_RULE.failing_values, "/error").revision,
    }
    assert len(others) == 4


@pytest.mark.parametrize(
    ("preview", "sure"),
    [
        ({"status": "ok"}, True), ({"status": "ok", "…": "… 9"}, True), ({"status": "ok", "why": "long te…"}, True),
        ({"other": 1}, True), ({"status": "failed", "why": "no rows"}, True), ({"status": "failed"}, True),
        ({"status": "failed", "error": "e"}, True), ({"status": "failed", "why": 3, "…": "… 9"}, True),
        ({"status": "failed", "why": "long te…"}, False), ({"status": "failed", "…": "… 9"}, False),
        ({"status": "failed", "error": "long te…"}, False), ({"status": "failed", "error": "e", "…": "… 9"}, False),
        ({"status": "fai…"}, False), ({"…": "… 9"}, False), ("…", False), ({"status": "failed", "why": [1]}, False),
    ],
)  # fmt: skip
def test_a_preview_is_enough_only_where_nothing_was_cut_away(preview, sure):
    assert Rule("/status", ("failed",), "/why").is_sure_of(preview) is sure


def test_what_a_preview_hides_is_told_from_what_is_not_there():
    value = {"items": [{"n": n} for n in range(1_000)], "text": "x" * 5_000, "last": "ok"}
    preview = shortened(value, 300).value
    hidden = {at: may_hide(preview, parts_of(at)) for at in ("/items/0/n", "/items/900/n", "/text", "/last", "/none")}
    assert hidden == {"/items/0/n": False, "/items/900/n": True, "/text": True, "/last": False, "/none": False}


def test_what_is_no_status_compares_with_nothing():
    assert [comparable(value) for value in ([], {}, MISSING, float("nan"), 1 << 300)] == [None] * 5
