"""Links with values, and launching again with those of a launch or a run: filled in, said, never launched by itself."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.http import QueryDict

from panel.launches.dag_forms import read_form
from panel.launches.fields import fields_of
from panel.launches.models import Launch
from panel.launches.prefills import link_query, prefill
from panel.launches.services import request_launch
from panel.launches.shaped_fields import shaped

pytestmark = pytest.mark.django_db
URL = "/servers/prod/dags/deploy/launch/"
THROUGH = f"{URL}?form=deploy-it"
NO_PRESET = "This form has no such preset, or none that you may see. Nothing was taken over from it."
TOKEN = {"value": None, "schema": {"type": ["string", "null"], "format": "password", "title": "Token"}}


def text_of(response):
    return " ".join(response.content.decode().split())


@pytest.fixture
def client(as_user, deployer, deploy_dag):
    return as_user(deployer)


@pytest.fixture
def opened(client):
    """``opened("p.version=1")``: the form that this link opens."""

    def get(query, form=""):
        answer = client.get(f"{URL}?{'form=' + form + '&' if form else ''}{query}")
        assert answer.status_code == 200
        assert not Launch.objects.filter(note="").exists()
        return answer.context["form"]

    return get


# ── Values of every kind ─────────────────────────────────────────────────────────────────────────────────────────
KINDS = {
    "word": ({"type": "string"}, "d", ["", "1.2.3", "true", "null", "a&b=c#d", " x ", "ü\n2"]),
    "maybe": ({"type": ["string", "null"]}, None, ["", "null", None, "x"]),
    "lines": ({"type": "string", "format": "multiline"}, "d", ["a\nb", ""]),
    "whole": ({"type": "integer"}, 1, [4, -1, 0, 10**30]),
    "number": ({"type": "number"}, 1, [4.5, 1e22, 3]),
    "yes": ({"type": "boolean"}, False, [True, False]),
    "perhaps": ({"type": ["boolean", "null"]}, None, [True, False, None]),
    "choice": ({"enum": ["a", 1, "1", True, "x y"]}, "a", ["a", 1, "1", True, "x y"]),
    "choice_or_none": ({"enum": ["a", None]}, None, ["a", None]),
    "several": ({"type": "array", "examples": ["a", "b", 3]}, ["a"], [["a", "b"], [], [3]]),
    "strings": ({"type": "array", "items": {"type": "string"}}, ["a"], [["x", "y z"], []]),
    "strings_or_none": ({"type": ["array", "null"], "items": {"type": "string"}}, None, [["x"], [], None]),
    "numbers": ({"type": "array", "items": {"type": "number"}}, [1], [[1, 2.5], []]),
    "day": ({"type": "string", "format": "date"}, "2026-01-01", ["2026-02-03"]),
    "at": ({"type": ["string", "null"], "format": "date-time"}, None, ["2026-02-03T10:00:00+00:00", None]),
    "clock": ({"type": "string", "format": "time"}, "10:00:00", ["11:12:13"]),
    "mail": ({"type": "string", "format": "email"}, "a@b.test", ["c+d@e.test"]),
    "address": ({"type": "string", "format": "uri"}, "https://a.test", ["https://b.test/?x=1&y=2#z"]),
    "things": ({"type": "object"}, {}, [{"a": [1, None, "ü"]}, {}]),
    "odd name.with=&": ({"type": "string"}, "d", ["x"]),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, kind in KINDS.items() for value in kind[2]])
def test_a_link_brings_a_value_of_every_kind_back_as_it_was(name, value, server, deployer):
    fields = fields_of([(name, {"value": default, "schema": schema}) for name, (schema, default, _) in KINDS.items()])
    shape = shaped(fields)
    query = link_query(shape, {name: value})
    start = prefill(user=deployer, server=server, shape=shape, dag_id="deploy", query=QueryDict(query))
    assert start.said == []
    assert json.dumps(start.values) == json.dumps({name: value})


# ── What is said ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_link_fills_the_form_in(opened):
    form = opened("p.version=1.2.3&p.env=prod&p.replicas=4")
    assert form.said == []
    assert {control.field.name: control.entry.text for _title, controls in form.sections
            for control in controls} == {"env": '"prod"', "version": "1.2.3", "replicas": "4"}  # fmt: skip
    assert not Launch.objects.exists()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("p.verison=1", "The link has a value for “verison”, which is no param."),
        ("p.replicas=many", "The link's value for “replicas” cannot be read: Enter a whole number, digits only."),
        ("p.replicas=99", "“replicas” does not fit: Enter 10 or less."),
        ("p.env=moon", "The link's value for “Environment” cannot be read: This is not one of the choices."),
        ("p.version=1&p.version=2", "The link's value for “version” cannot be read: Only one value is possible here."),
        ("none=version", "“version” does not fit: This must be text."),
        ("none=nope", "“nope” is no param of this Dag; its value was left out."),
        ("from=x", "There is no such launch of this Dag to take values from."),
        ("from=00000000-0000-4000-8000-000000000000", "There is no such launch of this Dag to take values from."),
        ("run=nope", "Airflow has no such run of this Dag to take values from."),
        ("preset=7", NO_PRESET),
        ("preset=x", "This form has no such preset, or none that you may see. Nothing was taken over from it."),
        (
            "preset=" + "9" * 40,
            "This form has no such preset, or none that you may see. Nothing was taken over from it.",
        ),
    ],
)
def test_what_cannot_be_taken_over_is_said(query, said, opened):
    assert opened(query).said == [said]


def test_a_hundred_odd_values_are_said_in_short(opened):
    said = opened(urlencode([(f"p.x{n}", "1") for n in range(100)])).said
    assert len(said) == 31
    assert said[-1] == "And 70 more like these."


def test_what_is_said_is_escaped(client):
    page = text_of(client.get(f"{URL}?p.%3Cscript%3Ealert(1)%3C/script%3E=1"))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_secret_in_a_link_is_refused_and_not_shown(client, change_dag):
    change_dag(token=TOKEN)
    answer = client.get(f"{URL}?p.token=s3cr3t")
    assert "a secret does not belong in a link" in text_of(answer)
    assert "s3cr3t" not in answer.content.decode()


def test_a_form_says_what_it_does_not_let_a_link_choose(opened, form, make_form):
    assert opened("p.replicas=5", "deploy-it").said == ["“replicas” is always the same in this form."]
    assert opened("p.replicas=3", "deploy-it").said == []
    make_form([{"name": "replicas", "mode": "hidden"}], slug="less")
    assert opened("p.replicas=5", "less").said == ["This form does not ask for “replicas”; its value was left out."]


def test_the_forms_own_defaults_stand_where_the_link_says_nothing(opened, form):
    assert opened("p.version=1", "deploy-it").button[-1].text == "prod"
    assert opened("p.env=staging", "deploy-it").button[-1].text == "staging"


# ── Copying one ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_link_with_what_stands_in_the_form_is_given(client, form, change_dag):
    change_dag(token=TOKEN)
    digest = client.get(THROUGH).context["form"].digest
    posted = {"launch-form": digest, "p-env": '"prod"', "p-version": "", "p-token": "s3cr3t", "launch-link": "1"}
    answer = client.post(THROUGH, posted)
    assert answer.status_code == 200
    link = urlsplit(answer.context["link"])
    assert (link.netloc, link.path) == ("testserver", URL)
    assert parse_qsl(link.query, keep_blank_values=True) == [("form", "deploy-it"), ("p.env", "prod")]
    assert "Not in it: Release, Token." in text_of(answer)
    assert "s3cr3t" not in answer.content.decode()
    assert not Launch.objects.exists()


def test_values_too_long_for_a_link_are_said(client, change_dag):
    change_dag(notes={"value": "", "schema": {"type": "string"}})
    digest = client.get(URL).context["form"].digest
    posted = {"launch-form": digest, "p-env": '"prod"', "p-version": "1", "p-replicas": "1", "p-notes": "x" * 7_000}
    answer = client.post(URL, posted | {"launch-link": "1"})
    assert "too long for a link" in text_of(answer)
    assert 'id="launch-link"' not in text_of(answer)


# ── Again ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_again_from_a_launch_keeps_its_form(client, form, server, deployer):
    launch = request_launch(
        user=deployer, server=server, dag_id="deploy", params={"version": "8", "env": "staging"}, form="deploy-it",
        note="why",
    ).launch  # fmt: skip
    page = client.get(f"/launches/{launch.pk}/")
    again = page.context["again_url"]
    assert "form=deploy-it" in again
    begun = client.get(again).context["form"]
    assert (begun.said, begun.start.values, begun.note) == ([], {"version": "8", "env": "staging"}, "why")
    assert "deploy-it" in text_of(page)


def test_again_from_any_run_fills_the_form_in(client, deploy_dag, server, fake_airflow, task_free_run):
    begun = client.get(f"{URL}?run={task_free_run}").context["form"]
    assert begun.start.values == {"version": "5", "env": "prod"}
    assert begun.said == ["“extra” is no param of this Dag; its value was left out."]
    assert not Launch.objects.exists()


def test_the_page_of_a_run_leads_there(client, as_user, viewer, task_free_run):
    page = text_of(client.get(f"/servers/prod/dags/deploy/runs/{task_free_run}/"))
    assert "Launch again with these values" in page
    assert "launch/?run=manual__2026-11-22T02%3A00%3A00%2B00%3A00" in page
    assert "Launch again" not in text_of(as_user(viewer).get(f"/servers/prod/dags/deploy/runs/{task_free_run}/"))


def test_the_secrets_of_a_run_are_left_empty_and_said(client, fake_airflow, change_dag, task_free_run):
    change_dag(version=TOKEN)
    answer = client.get(f"{URL}?run={task_free_run}")
    assert "“Token” is a secret: enter it again." in answer.context["form"].said
    assert "version" not in answer.context["form"].start.values


def test_while_airflow_is_away_the_values_of_a_run_are_said_to_be_missing(client, server, fake_airflow, task_free_run):
    read_form(server=server, dag_id="deploy")
    fake_airflow.down = True
    begun = client.get(f"{URL}?run={task_free_run}").context["form"]
    assert begun.said[0].startswith("The values of the run cannot be read now:")


@pytest.fixture
def task_free_run(deploy_dag, fake_airflow):
    run_id = "manual__2026-11-22T02:00:00+00:00"
    fake_airflow.add_run("deploy", run_id, conf={"version": "5", "env": "prod", "extra": 1})
    return run_id.replace("+", "%2B")


def test_a_link_holds_an_object_as_json(server, fake_airflow, deployer, as_user):
    schema = {"type": ["object", "null"], "properties": {"cpu": {"type": "integer"}}, "required": ["cpu"]}
    fake_airflow.add_dag("sized", params={"size": {"value": {"cpu": 1}, "schema": schema, "description": None}})
    url = "/servers/prod/dags/sized/launch/"
    form = as_user(deployer).get(url, {"p.size": '{"cpu": 4}'}).context["form"]
    ((_title, (control,)),) = form.sections
    assert (form.said, control.parts[0].entry.text) == ([], "4")
    form = as_user(deployer).get(url, {"none": "size"}).context["form"]
    ((_title, (control,)),) = form.sections
    assert (form.said, control.entry.none) == ([], True)
    form = as_user(deployer).get(url, {"p.size": "{"}).context["form"]
    assert "JSON" in form.said[0]
