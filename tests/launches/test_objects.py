"""Params that are objects with properties: each property a field, and what is left empty is left out."""

from __future__ import annotations

import pytest

from panel.launches.fields import Kind, field_of
from panel.launches.forms import LaunchForm

pytestmark = pytest.mark.django_db

SIZE = {
    "type": "object",
    "properties": {
        "cpu": {"type": "integer", "minimum": 1, "maximum": 8, "title": "Processors"},
        "memory": {"type": "string", "pattern": "^[0-9]+Gi$"},
        "spot": {"type": "boolean"},
        "zone": {"enum": ["a", "b"]},
        "notes": {"type": ["string", "null"]},
        "hosts": {"type": "array", "items": {"type": "string"}},
        "at": {"type": "string", "format": "date-time"},
    },
    "required": ["cpu"],
}


def kind_of(value, schema):
    return field_of("p", {"value": value, "schema": schema}).kind


def test_an_object_with_properties_has_a_field_for_each():
    field = field_of("p", {"value": None, "schema": SIZE})
    assert field.kind is Kind.OBJECT
    assert [(part.name, part.kind.value, part.required, part.optional) for part in field.parts] == [
        ("cpu", "integer", True, False),
        ("memory", "string", False, True),
        ("spot", "boolean", False, True),
        ("zone", "enum", False, True),
        ("notes", "string", False, True),
        ("hosts", "strings", False, True),
        ("at", "date-time", False, True),
    ]
    assert len({field.key, *(part.key for part in field.parts)}) == 8


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ({}, {"type": "object"}),
        ({"more": 1}, SIZE),
        (None, {"type": "object", "properties": {"a": {"type": "object"}}}),
        (None, {"type": "object", "properties": {"a": {"oneOf": [{"type": "integer"}, {"type": "string"}]}}}),
        (None, {"type": "object", "properties": {"a": {"type": "string"}}, "oneOf": [{"required": ["a"]}]}),
        (None, {"type": "object", "properties": {"a": 5}}),
        (None, {"type": "object", "properties": {"token": {"type": "string", "format": "password"}}}),
    ],
)
def test_what_fields_could_not_hold_stays_json(value, schema):
    assert kind_of(value, schema) is Kind.JSON


def test_an_object_with_a_secret_in_it_is_secret_as_a_whole():
    schema = {"type": "object", "properties": {"login": {"properties": {"token": {"writeOnly": True}}}}}
    assert field_of("p", {"value": None, "schema": schema}).is_secret


@pytest.mark.parametrize(
    ("default", "schema", "entries", "received"),
    [
        (None, SIZE, {"--cpu": "4"}, {"cpu": 4}),
        (
            None,
            SIZE,
            {
                "--cpu": "4",
                "--memory": "8Gi",
                "--spot": "false",
                "--zone": '"b"',
                "--notes-none": "1",
                "--hosts": "x\r\ny",
                "--at": "2026-07-01T10:00",
                "--at-zone": "UTC",
            },
            {
                "cpu": 4,
                "memory": "8Gi",
                "spot": False,
                "zone": "b",
                "notes": None,
                "hosts": ["x", "y"],
                "at": "2026-07-01T10:00:00+00:00",
            },
        ),
        ({"cpu": 2, "memory": "1Gi"}, SIZE, {"--cpu": "2", "--memory": "1Gi"}, {"cpu": 2, "memory": "1Gi"}),
        ({"memory": "1Gi", "cpu": 2}, SIZE, {"--cpu": "2", "--memory": "1Gi"}, {"memory": "1Gi", "cpu": 2}),
        ({"cpu": 2, "memory": "1Gi"}, SIZE, {"--cpu": "2", "--memory": ""}, {"cpu": 2}),
        ({"a": ""}, {"type": "object", "properties": {"a": {"type": "string"}}}, {"--a": ""}, {"a": ""}),
        (
            {"a": []},
            {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}},
            {},
            {"a": []},
        ),
        ({}, {"type": "object", "properties": {"a": {"type": "string"}}}, {"--a": ""}, {}),
        (None, {"type": ["object", "null"], "properties": {"a": {"type": "string"}}}, {"-none": "1"}, None),
        (None, {"type": ["object", "null"], "properties": {"a": {"type": "string"}}}, {"--a": "x", "-none": "1"}, None),
        (None, {"type": ["object", "null"], "properties": {"a": {"type": "string"}}}, {"--a": "x"}, {"a": "x"}),
    ],
)
def test_what_is_entered_is_what_airflow_receives(default, schema, entries, received, enter):
    got = enter(default, schema, entries)
    assert repr(got) == repr(received)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({}, "cpu: Fill this in."),
        ({"--cpu": "9"}, "cpu: Enter 8 or less."),
        ({"--cpu": "many"}, "cpu: Enter a whole number"),
        ({"--cpu": "1", "--memory": "lots"}, "memory: This does not have the form"),
        ({"--cpu": "1", "--spot": "maybe"}, "spot: Choose yes or no."),
        ({"--cpu": "1", "--zone": '"c"'}, "zone: This is not one of the choices."),
        ({"--cpu": "1", "--at": "soon", "--at-zone": "UTC"}, "at: Enter a date and time"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_starts(entries, words, enter, fake_airflow):
    assert words in " ".join(enter(None, SIZE, entries))
    assert fake_airflow.world.runs == {}


def test_a_message_about_a_property_stands_beside_it(fake_airflow, server, deployer, as_user):
    fake_airflow.add_dag("kinds", params={"p": {"value": None, "schema": SIZE, "description": None}})
    client = as_user(deployer)
    url = "/servers/prod/dags/kinds/launch/"
    form: LaunchForm = client.get(url).context["form"]
    posted = {"launch-form": form.reading.digest, "launch-key": form.key, "p-p--cpu": "99"}
    answer = client.post(url, posted)
    (control,) = answer.context["form"].wrong_controls
    assert control.errors == []
    assert [part.field.name for part in control.parts if part.errors] == ["cpu"]
    page = answer.content.decode()
    assert 'id="p-p--cpu-errors"' in page
    assert "Processors: Enter 8 or less." in page


def test_proposals_of_the_properties_stand_in_the_form_where_the_dag_gives_no_object(enter, fake_airflow):
    schema = {"type": "object", "properties": {"cpu": {"type": "integer", "default": 3}}, "required": ["cpu"]}
    field = field_of("p", {"value": None, "schema": schema})
    assert field.parts[0].default == 3
    assert enter(None, schema, {"--cpu": "3"}) == {"cpu": 3}
