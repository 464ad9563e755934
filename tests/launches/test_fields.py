"""Which field a param becomes."""

from __future__ import annotations

import pytest

from panel.launches.fields import Kind, field_of, fields_of, sections_of


def made(value, schema=None, description=None, name="p"):
    return field_of(name, {"value": value, "schema": schema or {}, "description": description})


@pytest.mark.parametrize(
    ("value", "schema", "kind"),
    [
        (5, {}, Kind.NUMBER),
        (5.5, {}, Kind.NUMBER),
        (True, {}, Kind.BOOLEAN),
        ("x", {}, Kind.STRING),
        (None, {}, Kind.STRING),
        (["a", "b"], {}, Kind.STRINGS),
        ([1, "b"], {}, Kind.JSON),
        ([], {}, Kind.JSON),
        ({"a": 1}, {}, Kind.JSON),
        ("hello", {"type": "string", "minLength": 2}, Kind.STRING),
        ("l1\nl2", {"type": "string", "format": "multiline"}, Kind.MULTILINE),
        (5, {"type": "integer"}, Kind.INTEGER),
        (5, {"type": "number"}, Kind.NUMBER),
        (5, {"type": ["integer", "number"]}, Kind.NUMBER),
        (True, {"type": "boolean"}, Kind.BOOLEAN),
        ("b", {"type": "string", "enum": ["a", "b"]}, Kind.ENUM),
        (3, {"enum": [1, 2, 3]}, Kind.ENUM),
        ("x", {"type": "string", "examples": ["x", "y"]}, Kind.STRING),
        (["one"], {"type": "array", "examples": ["one", "two"]}, Kind.MULTI_SELECT),
        (["one"], {"type": "array", "items": {"enum": ["one", "two"]}}, Kind.MULTI_SELECT),
        ("2026-01-02", {"type": "string", "format": "date"}, Kind.DATE),
        ("2026-01-02T00:00:00Z", {"type": "string", "format": "date-time"}, Kind.DATE_TIME),
        ("10:00:00", {"type": "string", "format": "time"}, Kind.TIME),
        ("a@b.example", {"type": "string", "format": "email"}, Kind.EMAIL),
        ("https://x.example", {"type": "string", "format": "uri"}, Kind.URI),
        (["a"], {"type": "array", "items": {"type": "string"}}, Kind.STRINGS),
        (["a"], {"type": "array"}, Kind.STRINGS),
        (["two\nlines"], {"type": "array", "items": {"type": "string"}}, Kind.JSON),
        ([""], {"type": "array", "items": {"type": "string"}}, Kind.JSON),
        ([1, 2.5], {"type": "array", "items": {"type": "number"}}, Kind.NUMBERS),
        ([{"a": 1}], {"type": "array", "items": {"type": "object"}}, Kind.JSON),
        ({}, {"type": ["object", "null"]}, Kind.JSON),
        ("x", {"type": ["string", "integer"]}, Kind.JSON),
        (None, {"type": ["null", "string"]}, Kind.STRING),
        ("fixed", {"const": "fixed"}, Kind.CONST),
        (1, {"oneOf": [{"type": "integer"}, {"type": "string"}]}, Kind.JSON),
        (None, {"type": "a type of the future"}, Kind.JSON),
    ],
)
def test_the_kind_follows_schema_and_value(value, schema, kind):
    assert made(value, schema).kind is kind


@pytest.mark.parametrize(
    ("value", "schema", "required"),
    [
        (None, {"type": "string"}, True),
        (None, {"type": ["string", "null"]}, False),
        (None, {}, False),
        ("x", {"type": "string"}, False),
        (None, {"enum": ["a", "b"]}, True),
        (None, {"enum": ["a", None]}, False),
        (None, {"oneOf": [{"type": "integer"}, {"type": "null"}]}, False),
        (None, {"oneOf": [{"type": "integer"}, {"type": "string"}]}, True),
        (None, {"type": "boolean"}, True),
        ("", {"type": "string"}, False),
    ],
)
def test_required_is_null_where_null_does_not_fit(value, schema, required):
    assert made(value, schema).required is required


@pytest.mark.parametrize(
    ("value", "schema", "nullable"),
    [
        (None, {"type": ["null", "string"]}, True),
        ("x", {"type": ["string", "null"]}, True),
        ("x", {"type": "string"}, False),
        (5, {}, False),
        (None, {}, True),
        (None, {"type": "string"}, False),
    ],
)
def test_no_value_is_offered_where_the_dag_provides_for_it(value, schema, nullable):
    assert made(value, schema).nullable is nullable


def test_labels_are_found_although_their_keys_are_strings():
    field = made(3, {"enum": [1, 2, 3, True, "x"], "values_display": {"1": "One", "3": "Three", "true": "Yes"}})
    assert [(choice.value, choice.label) for choice in field.choices] == [
        (1, "One"),
        (2, "2"),
        (3, "Three"),
        (True, "Yes"),
        ("x", "x"),
    ]


def test_numbers_and_texts_that_look_alike_stay_two_choices():
    assert len(made(None, {"enum": [1, "1", 1.0, True]}).choices) == 4


def test_a_default_beside_the_proposals_stays_choosable():
    field = made(["mine"], {"type": "array", "examples": ["one"]})
    assert [choice.value for choice in field.choices] == ["one", "mine"]


def test_titles_helps_and_sections():
    field = made(1, {"title": "A title", "section": "Numbers", "description_md": "**md**"})
    assert (field.title, field.section, field.help) == ("A title", "Numbers", "**md**")
    assert made(1, {"description_md": "md"}, description="plain").help == "plain"
    assert made(1, {}, name="bare").title == "bare"


def test_sections_come_in_the_order_of_the_dag():
    params = [("a", "B"), ("b", ""), ("c", "A"), ("d", "B")]
    fields = fields_of([(name, {"value": 1, "schema": {"section": section}}) for name, section in params])
    found = [(section.title, [field.name for field in section.fields]) for section in sections_of(fields)]
    assert found == [("B", ["a", "d"]), ("", ["b"]), ("A", ["c"])]


def test_odd_names_become_safe_and_different_ids():
    names = ["x", "x-none", 'a"b', "a b", "a.b", "a/b", "ü", "<script>", "", "p" * 300, "\ud800"]
    keys = [made(1, name=name).key for name in names]
    assert len(set(keys)) == len(names)
    for key in keys:
        assert key.isascii()
        assert key.replace("-", "").replace("_", "").isalnum()
        assert len(key) < 80


@pytest.mark.parametrize(
    "schema",
    [
        {"type": 5, "enum": "abc", "examples": {"a": 1}, "title": 7, "section": ["x"], "values_display": [1]},
        {"type": ["string", 5, None]},
        {"items": "x", "type": "array"},
        {"$ref": "#/nowhere"},
        {"pattern": "("},
        {"format": 3},
    ],
)
def test_a_schema_that_is_none_still_gives_a_field(schema):
    assert made(None, schema).title == "p"
