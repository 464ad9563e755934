"""Values made wrong from the schemas themselves, over two hundred: each is refused at its param, none reaches Airflow.

What is wrong is judged by plain ``jsonschema`` and, for formats, by hand: never by our own check.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from panel.launches.models import Launch

pytestmark = pytest.mark.django_db

FORM = "/servers/prod/dags/kinds/launch/"
API = "/api/v1/servers/prod/dags/kinds/launches/"

SCHEMAS: dict[str, tuple[Any, dict[str, Any]]] = {
    "text": ("x", {"type": "string"}),
    "text of a length": ("abc", {"type": "string", "minLength": 2, "maxLength": 5}),
    "text with a pattern": ("v1", {"type": "string", "pattern": "^v[0-9]+$"}),
    "text that is required": (None, {"type": "string", "minLength": 1}),
    "text or nothing": (None, {"type": ["string", "null"], "maxLength": 3}),
    "many lines": ("a\nb", {"type": "string", "format": "multiline", "maxLength": 10}),
    "whole number": (5, {"type": "integer", "minimum": 1, "maximum": 10}),
    "number": (5, {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100}),
    "number of steps": (10, {"type": "integer", "multipleOf": 5}),
    "number or nothing": (None, {"type": ["integer", "null"], "minimum": 0}),
    "yes or no": (True, {"type": "boolean"}),
    "yes, no or nothing": (None, {"type": ["boolean", "null"]}),
    "choice": ("a", {"type": "string", "enum": ["a", "b"]}),
    "choice of numbers": (1, {"enum": [1, 2, 3], "values_display": {"1": "One"}}),
    "choice or nothing": (None, {"enum": ["a", "b", None]}),
    "date": ("2026-11-22", {"type": "string", "format": "date"}),
    "date and time": ("2026-11-22T10:00:00Z", {"type": "string", "format": "date-time"}),
    "time": ("10:00:00", {"type": "string", "format": "time"}),
    "e-mail": ("a@b.example", {"type": "string", "format": "email"}),
    "address": ("https://a.example", {"type": "string", "format": "uri"}),
    "several of some": (["one"], {"type": "array", "items": {"enum": ["one", "two"]}, "minItems": 1, "maxItems": 2}),
    "texts": (["a"], {"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": True}),
    "numbers": ([1], {"type": "array", "items": {"type": "number", "maximum": 9}, "minItems": 1, "maxItems": 3}),
    "e-mails": (["a@b.example"], {"type": "array", "items": {"type": "string", "format": "email"}}),
    "objects in a list": (
        [],
        {
            "type": "array",
            "items": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
            "maxItems": 2,
        },
    ),
    "object": ({}, {"type": "object", "minProperties": 0, "maxProperties": 1}),
    "object with properties": (
        None,
        {
            "type": "object",
            "properties": {"cpu": {"type": "integer", "minimum": 1}, "zone": {"enum": ["a", "b"]}},
            "required": ["cpu"],
            "additionalProperties": False,
        },
    ),
    "object or nothing": (None, {"type": ["object", "null"], "additionalProperties": {"type": "integer"}}),
    "fixed": ("fixed", {"const": "fixed"}),
    "one of two": (1, {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "maxLength": 2}]}),
    "any of two": ("x", {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "null"}]}),
    "all of two": (4, {"allOf": [{"type": "integer"}, {"minimum": 3}]}),
    "text or number": ("x", {"type": ["string", "integer"], "maxLength": 2, "maximum": 5}),
}
OF_EVERY_TYPE: list[Any] = [None, True, -7, 1.5, "", "not it, and far too long", [], [[]], {}, {"surely not": {"a": 1}}]
WRONG_FORMATS = {
    "date": ["2026-02-30", "22.11.2026", "2026-11-22T10:00:00Z", "soon"],
    "date-time": ["2026-11-22", "2026-11-22T10:00:00", "2026-11-22T25:00:00Z", "zz"],
    "time": ["25:00:00", "10:00", "10:61:00", "noon"],
    "email": ["nobody", "a@", "@b", "a b@c.example"],
    "uri": ["not a uri", "example.org", "//example.org/x", ""],
}


def made_wrong(schema: dict[str, Any], good: Any) -> Iterator[Any]:
    """Values at and beyond each bound of the schema, of every other type, and of a wrong format."""
    yield from OF_EVERY_TYPE
    yield from beyond_bounds(schema)
    yield from inside(schema, good)


def beyond_bounds(schema: dict[str, Any]) -> Iterator[Any]:
    for word, beyond in (("minimum", -1), ("maximum", 1), ("exclusiveMinimum", 0), ("exclusiveMaximum", 0)):
        if word in schema:
            yield from (schema[word] + beyond, float(schema[word]) + beyond * 1.5)
    if "multipleOf" in schema:
        yield from (schema["multipleOf"] + 1, schema["multipleOf"] - 1)
    if "minLength" in schema:
        yield "x" * (schema["minLength"] - 1)
    if "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1)
    if "pattern" in schema:
        yield from ("no match", "v", "v1\nv2 and more")
    for choice in schema.get("enum", []):
        yield from (f"{choice}?", [choice], {"value": choice})
    if "const" in schema:
        yield from (schema["const"].upper(), [schema["const"]])


def inside(schema: dict[str, Any], good: Any) -> Iterator[Any]:
    if "items" in schema:
        yield from ([wrong] for wrong in made_wrong(schema["items"], None))
        yield from (good * 5, [*good, *good], dict(enumerate(good)))
    for name, one in schema.get("properties", {}).items():
        yield from ({**dict.fromkeys(schema.get("required", []), 1), name: wrong} for wrong in made_wrong(one, None))
    if schema.get("additionalProperties") is not None:
        yield from ({"cpu": 1, "more": "x"}, {"more": "x"})
    if "maxProperties" in schema:
        yield {"a": 1, "b": 2}
    for word in ("oneOf", "anyOf", "allOf"):
        for one in schema.get(word, []):
            yield from made_wrong(one, None)


def wrong_values(name: str) -> list[Any]:
    good, schema = SCHEMAS[name]
    judge = Draft202012Validator(schema)
    wrong = [value for value in made_wrong(schema, good) if not judge.is_valid(value) and json_fits(value)]
    item = schema.get("items", {})
    wrong += WRONG_FORMATS.get(schema.get("format", ""), [])
    wrong += [[value] for value in WRONG_FORMATS.get(item.get("format", ""), [])]
    return list({json.dumps(value): value for value in wrong}.values())


def json_fits(value: Any) -> bool:
    """Whether it is the same after a journey as JSON (an object's keys are texts)."""
    return bool(json.loads(json.dumps(value)) == value)


def test_there_are_over_two_hundred_of_them():
    assert sum(len(wrong_values(name)) for name in SCHEMAS) > 200
    assert min(len(wrong_values(name)) for name in SCHEMAS) >= 3


@pytest.fixture
def kinds(server, fake_airflow):
    return fake_airflow.add_dag("kinds")


def offer(dag, name: str) -> None:
    default, schema = SCHEMAS[name]
    dag.params = {"p": {"value": default, "schema": schema, "description": None, "source": None}}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_api_refuses_each_at_its_param(name, kinds, fake_airflow, deployer, as_user):
    offer(kinds, name)
    client = as_user(deployer)
    for value in wrong_values(name):
        answer = client.post(API, {"params": {"p": value}}, content_type="application/json")
        assert answer.status_code == 422, value
        assert answer.json()["error"]["fields"]["p"], value
    assert Launch.objects.count() == 0
    assert fake_airflow.world.runs == {}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_page_refuses_each_at_its_param(name, kinds, fake_airflow, deployer, as_user):
    offer(kinds, name)
    client = as_user(deployer)
    form = client.get(FORM).context["form"]
    posted = {"launch-form": form.reading.digest, "launch-key": form.key, "launch-view": "json"}
    for value in wrong_values(name):
        answer = client.post(FORM, posted | {"launch-json": json.dumps({"p": value})})
        assert answer.status_code == 422, value
        assert answer.context["form"].errors["p"], value
    assert Launch.objects.count() == 0
    assert fake_airflow.world.runs == {}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_default_beside_them_is_taken(name, kinds, deployer, as_user):
    """The judges are not simply against everything."""
    offer(kinds, name)
    default, schema = SCHEMAS[name]
    params = {"p": default} if Draft202012Validator(schema).is_valid(default) else {}
    answer = as_user(deployer).post(API, {"params": params}, content_type="application/json")
    assert answer.status_code == (422 if default is None and not params else 201)
