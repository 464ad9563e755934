"""Every kind of param: what a person enters in the page's form is what Airflow receives, with its type."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.django_db


def S(**schema):  # noqa: N802 - reads as "a schema"
    return schema


JSON_ORDER = '{"b": 1, "a": [1, 1.0, "1", null]}'


@pytest.mark.parametrize(
    ("default", "schema", "entries", "received"),
    [
        # plain
        (5, {}, {"": "7"}, 7),
        (5, {}, {"": "7.0"}, 7.0),
        (5.5, {}, {"": "5.5"}, 5.5),
        ("x", {}, {"": "007"}, "007"),
        (True, {}, {}, False),
        (False, {}, {"": "true"}, True),
        (["a"], {}, {"": "b\r\nc"}, ["b", "c"]),
        ({"a": 1}, {}, {"": JSON_ORDER}, {"b": 1, "a": [1, 1.0, "1", None]}),
        # texts
        ("x", S(type="string"), {"": ""}, ""),
        ("x", S(type="string"), {"": "  spaced  "}, "  spaced  "),
        ("x", S(type="string"), {"": "null"}, "null"),
        ("a\nb", S(type="string", format="multiline"), {"": "1\r\n\r\n2"}, "1\n\n2"),
        ("x", S(type="string", pattern="^v[0-9]$"), {"": "v1"}, "v1"),
        (None, S(type="string"), {"": "007"}, "007"),
        (None, S(type=["null", "string"]), {"": "", "-none": "1"}, None),
        (None, S(type=["null", "string"]), {"": ""}, ""),
        ("x", S(type=["string", "null"]), {"": "y"}, "y"),
        ("a@b.example", S(type="string", format="email"), {"": "c@d.example"}, "c@d.example"),
        (None, S(type=["string", "null"], format="email"), {"": ""}, None),
        ("https://a.example", S(type="string", format="uri"), {"": "s3://bucket/key"}, "s3://bucket/key"),
        ("x", S(type="string", examples=["x", "y"]), {"": "free"}, "free"),
        # numbers
        (5, S(type="integer", minimum=1), {"": "4"}, 4),
        (5, S(type="integer"), {"": "4.0"}, 4),
        (5, S(type="integer"), {"": "-0012"}, -12),
        (5, S(type="number"), {"": "4"}, 4),
        (5, S(type="number"), {"": "4.0"}, 4.0),
        (5, S(type="number"), {"": "1e16"}, 1e16),
        (None, S(type=["integer", "null"]), {"": ""}, None),
        # yes and no
        (True, S(type="boolean"), {}, False),
        (None, S(type="boolean"), {"": "false"}, False),
        (None, S(type=["boolean", "null"]), {"": ""}, None),
        (None, S(type=["boolean", "null"]), {"": "true"}, True),
        # choices
        ("b", S(type="string", enum=["a", "b"]), {"": '"a"'}, "a"),
        (3, S(enum=[1, 2, 3], values_display={"1": "One"}), {"": "1"}, 1),
        (3, S(enum=[1, "1", 1.5]), {"": '"1"'}, "1"),
        (3, S(enum=[1, "1", 1.5]), {"": "1.5"}, 1.5),
        (None, S(enum=["a", None]), {"": ""}, None),
        (["one"], S(type="array", examples=["one", "two", 3]), {"": ['"two"', "3"]}, ["two", 3]),
        (["one"], S(type="array", examples=["one", "two"]), {}, []),
        (["one"], S(type=["array", "null"], examples=["one"]), {"-none": "1"}, None),
        # times
        ("2026-01-02", S(type="string", format="date"), {"": "2026-11-22"}, "2026-11-22"),
        (None, S(type=["string", "null"], format="date"), {"": ""}, None),
        ("10:00:00", S(type="string", format="time"), {"": "14:30"}, "14:30:00"),
        ("10:00:00", S(type="string", format="time"), {"": "14:30:05"}, "14:30:05"),
        (
            "2026-01-02T00:00:00Z",
            S(type="string", format="date-time"),
            {"": "2026-07-01T10:00", "-zone": "Europe/Berlin"},
            "2026-07-01T10:00:00+02:00",
        ),
        (
            "2026-01-02T00:00:00Z",
            S(type="string", format="date-time"),
            {"": "2026-07-01T10:00:30", "-zone": "UTC"},
            "2026-07-01T10:00:30+00:00",
        ),
        (
            "2026-01-02T00:00:00.250Z",  # untouched on another clock: goes out as the Dag wrote it
            S(type="string", format="date-time"),
            {"": "2026-01-02T01:00:00.250", "-zone": "Europe/Berlin"},
            "2026-01-02T00:00:00.250Z",
        ),
        (None, S(type=["string", "null"], format="date-time"), {"": "", "-zone": "UTC"}, None),
        # lists and objects
        (["a"], S(type="array", items={"type": "string"}), {"": "x\r\n\r\n007\r\n"}, ["x", "007"]),
        (["a"], S(type="array", items={"type": "string"}), {"": ""}, []),
        (None, S(type=["array", "null"], items={"type": "string"}), {"": "", "-none": "1"}, None),
        ([1], S(type="array", items={"type": "number"}), {"": "1\r\n2.0\r\n-3"}, [1, 2.0, -3]),
        ([], S(type="array", items={"type": "object"}), {"": '[{"a": 1}]'}, [{"a": 1}]),
        ({}, S(type=["object", "null"]), {"": ""}, None),
        ({}, S(type=["object", "null"]), {"": "null"}, None),
        (1, S(oneOf=[{"type": "integer"}, {"type": "string"}]), {"": '"1"'}, "1"),
        ("fixed", S(const="fixed"), {}, "fixed"),
        ("fixed", S(const="fixed"), {"": "tampered"}, "fixed"),
    ],
)
def test_what_is_entered_is_what_airflow_receives(default, schema, entries, received, enter):
    got = enter(default, schema, entries)
    assert repr(got) == repr(received)


def test_the_order_of_keys_survives(enter):
    assert list(enter({}, S(type="object"), {"": JSON_ORDER})) == ["b", "a"]


@pytest.mark.parametrize(
    ("default", "schema", "entries", "words"),
    [
        (None, S(type="string"), {"": ""}, "Fill this in"),
        (None, S(type="string"), {}, "Fill this in"),
        (None, S(type="array", items={"type": "string"}), {"": " \n"}, "Fill this in"),
        (None, S(type="array", examples=["a"]), {}, "Choose at least one"),
        ("x", S(type="string", minLength=2), {"": "a"}, "at least 2 characters"),
        ("x", S(type="string", pattern="^v"), {"": "1"}, "must match"),
        (5, S(type="integer"), {"": "five"}, "whole number"),
        (5, S(type="integer"), {"": "4.5"}, "whole number"),
        (5, S(type="integer"), {"": "٤"}, "whole number"),
        (5, S(type="integer"), {"": ""}, "Fill this in"),
        (5, S(type="integer", maximum=10), {"": "99"}, "10 or less"),
        (5, S(type="number"), {"": "1,5"}, "point for decimals"),
        (5, S(type="number"), {"": "inf"}, "Enter a number"),
        (5, S(type="number"), {"": "1e999"}, "too large"),
        (5, S(type="integer"), {"": "9" * 5_000}, "whole number"),
        (None, S(type="boolean"), {"": ""}, "Choose yes or no"),
        (None, S(enum=["a", "b"]), {"": ""}, "Choose one"),
        ("a", S(enum=["a", "b"]), {"": '"moon"'}, "not one of the choices"),
        (["a"], S(type="array", examples=["a"]), {"": ['"moon"']}, "not one of the choices"),
        (["a"], S(type="array", examples=["a"], minItems=1), {}, "at least 1 item"),
        ("2026-01-02", S(type="string", format="date"), {"": "2026-02-30"}, "YYYY-MM-DD"),
        ("10:00:00", S(type="string", format="time"), {"": "25:00"}, "HH:MM:SS"),
        ("", S(type="string", format="date-time"), {"": "soon", "-zone": "UTC"}, "date and time"),
        ("", S(type="string", format="date-time"), {"": "2026-07-01T10:00", "-zone": "Moon/Base"}, "date and time"),
        ("", S(type="string", format="date-time"), {"": "2026-07-01T10:00", "-zone": "../etc"}, "date and time"),
        (
            "",
            S(type="string", format="date-time"),
            {"": "2026-03-29T02:30", "-zone": "Europe/Berlin"},
            "does not exist in Europe/Berlin",
        ),
        ("", S(type="string", format="date-time"), {"": "0001-01-01T00:00", "-zone": "Asia/Tokyo"}, "out of range"),
        ("a@b.example", S(type="string", format="email"), {"": "nobody"}, "e-mail"),
        ("https://a.example", S(type="string", format="uri"), {"": "not a uri"}, "whole address"),
        (["a"], S(type="array", items={"type": "number"}), {"": "[1"}, "JSON"),
        ([1], S(type="array", items={"type": "number"}), {"": "1\nx"}, "“x”"),
        ({}, S(type="object"), {"": "{"}, "not JSON"),
        ({}, S(type="object"), {"": "NaN"}, "JSON"),
        ({}, S(type="object"), {"": "[" * 100_000}, "JSON"),
        ({"b": 1}, S(type="object", properties={"a": {"type": "integer"}}), {"": '{"a": "x"}'}, "a: This must be"),
        (None, S(type=["null", "string"]), {"": "x", "-none": "1"}, "not both"),
        ("x", S(type="string"), {"": "a\x00b"}, "cannot be stored"),
    ],
)
def test_what_does_not_fit_is_said_beside_the_field_and_nothing_starts(
    default, schema, entries, words, enter, fake_airflow
):
    assert words in " ".join(enter(default, schema, entries))
    assert fake_airflow.world.runs == {}


@pytest.mark.parametrize("name", ['a"b<c>', "a.b", "p-none", "ümläut", "a b"])
def test_params_with_odd_names_round_trip(name, enter):
    assert enter("x", S(type="string"), {"": "y"}, name=name) == "y"
