"""The check before Airflow: every format, all errors at once, plain words."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator
from referencing.exceptions import Unresolvable

from panel.launches.conf import conf_errors
from panel.launches.fields import fields_of
from panel.launches.validation import FORMATS, messages_for

GOOD_AND_BAD = {
    "date": ("2026-11-22", "2026-13-01"),
    "date-time": ("2026-11-22T10:00:00+01:00", "zz"),
    "time": ("14:30:00", "25:00:00"),
    "duration": ("PT15M", "15 minutes"),
    "email": ("name@example.org", "name at example.org"),
    "idn-email": ("имя@example.org", "nobody"),
    "hostname": ("db.example.org", "-bad-.example"),
    "idn-hostname": ("пример.рф", "〮한국"),
    "ipv4": ("192.0.2.1", "300.1.1.1"),
    "ipv6": ("2001:db8::1", "12345::"),
    "uri": ("https://example.org/a?b#c", "not a uri"),
    "uri-reference": ("../a", "\\\\server"),
    "iri": ("https://пример.рф/", "не адрес"),
    "iri-reference": ("../ä", "\\\\server"),
    "uri-template": ("https://x.example/{id}", "{"),
    "uuid": ("123e4567-e89b-12d3-a456-426614174000", "123"),
    "json-pointer": ("/a/0", "a/0"),
    "relative-json-pointer": ("1/a", "/a"),
    "regex": ("^a+$", "("),
}
"""Every format that JSON schema (draft 2020-12) names."""


@pytest.mark.parametrize("name", GOOD_AND_BAD)
def test_a_checker_for_the_format_is_installed_and_turns_a_bad_value_down(name):
    good, bad = GOOD_AND_BAD[name]
    assert name in FORMATS.checkers
    schema = {"type": "string", "format": name}
    assert messages_for(schema, good) == []
    assert len(messages_for(schema, bad)) == 1


def test_the_formats_are_those_json_schema_names():
    assert set(Draft202012Validator.FORMAT_CHECKER.checkers) <= set(GOOD_AND_BAD)


@pytest.mark.parametrize("bad", ["2026-11-22T10:00:00", "2026-02-30T10:00:00Z", "2026-11-22", "tomorrow"])
def test_a_date_time_needs_a_real_day_and_a_zone(bad):
    assert "zone" in messages_for({"type": "string", "format": "date-time"}, bad)[0]


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": "integer"}, "5", "a whole number"),
        ({"type": "integer"}, True, "a whole number"),
        ({"type": ["string", "null"]}, 5, "text or no value"),
        ({"minimum": 1}, 0, "1 or more"),
        ({"maximum": 10}, 99, "10 or less"),
        ({"exclusiveMinimum": 1}, 1, "more than 1"),
        ({"exclusiveMaximum": 1}, 1, "less than 1"),
        ({"multipleOf": 5}, 7, "multiple of 5"),
        ({"minLength": 2}, "a", "at least 2 characters"),
        ({"maxLength": 1}, "ab", "at most 1 character"),
        ({"pattern": "^v"}, "1", "must match ^v"),
        ({"enum": ["a", "b"]}, "c", "one of: a, b"),
        ({"const": "fixed"}, "other", "Only fixed"),
        ({"minItems": 1}, [], "at least 1 item"),
        ({"maxItems": 1}, [1, 2], "at most 1 item"),
        ({"uniqueItems": True}, [1, 1], "more than once"),
        ({"items": {"type": "integer"}}, [1, "x"], "item 2: This must be a whole number"),
        ({"required": ["a"]}, {}, "Missing: a"),
        ({"additionalProperties": False}, {"b": 1}, "Not known here: b"),
        ({"properties": {"a": {"type": "string"}}}, {"a": 1}, "a: This must be text"),
        ({"oneOf": [{"type": "integer"}, {"type": "null"}]}, "x", "none of the allowed forms"),
    ],
)
def test_it_says_in_plain_words_what_is_wrong(schema, value, words):
    (message,) = messages_for(schema, value)
    assert words in message


def test_all_errors_of_all_params_are_found_at_once():
    params = [
        ("a", {"value": 1, "schema": {"type": "integer", "minimum": 1}}),
        ("b", {"value": None, "schema": {"type": "string"}}),
        ("c", {"value": "x", "schema": {"type": "string", "minLength": 2, "pattern": "^v"}}),
        ("d", {"value": 1, "schema": {"type": "integer"}}),
    ]
    errors = conf_errors(fields_of(params), {"a": 0, "c": "y", "d": 2, "typo": 1})
    assert set(errors) == {"a", "b", "c", "typo"}
    assert len(errors["c"]) == 2


def test_four_and_four_point_zero_are_both_whole_numbers_as_in_airflow():
    assert messages_for({"type": "integer"}, 4.0) == []
    assert messages_for({"type": "integer"}, 4.5) != []


@pytest.mark.parametrize("value", ["a\x00b", ["\x00"], {"k": {"\x00": 1}}, "\ud800", float("inf"), [float("nan")]])
def test_what_no_database_could_hold_is_turned_down(value):
    assert len(messages_for({}, value)) == 1


def test_a_schema_never_makes_this_server_fetch_an_address(monkeypatch):
    fetched = []
    monkeypatch.setattr("urllib.request.urlopen", lambda request, *more, **options: fetched.append(request))
    schema = {"$ref": "http://127.0.0.1:1/schema.json"}
    with pytest.raises(Unresolvable):
        list(Draft202012Validator(schema).iter_errors(1))
    assert len(fetched) == 1, "this is how jsonschema fetches when it is left to"
    assert messages_for(schema, 1) == []
    assert len(fetched) == 1


@pytest.mark.parametrize("schema", [{"type": "strange"}, {"pattern": "("}, {"minLength": "x"}, {"$ref": "#/nowhere"}])
def test_a_schema_that_is_none_is_left_to_airflow(schema):
    assert messages_for(schema, "x") == []


def test_a_long_value_is_not_repeated_at_length():
    (message,) = messages_for({"enum": ["a" * 5_000]}, "x")
    assert len(message) < 500
