"""All values of the form as one JSON text: seen, edited, launched, and back to the fields."""

from __future__ import annotations

import json

import pytest

from panel.launches.dag_forms import read_form
from panel.launches.guard_rails_changing import set_guard_rails
from panel.launches.models import Launch
from tests.launches.conftest import DEPLOY_PARAMS

pytestmark = pytest.mark.django_db

URL = "/servers/prod/dags/deploy/launch/"
VALUES = {"env": "prod", "version": "1.2.3", "replicas": 4}


@pytest.fixture
def client(deployer, as_user, deploy_dag):
    return as_user(deployer)


@pytest.fixture
def post(client):
    """``post(**entries)``: the hidden controls of the form as it stands, and these."""

    def send(**entries):
        form = client.get(URL).context["form"]
        hidden = {"launch-form": form.reading.digest, "launch-key": form.key}
        return client.post(URL, hidden | {name.replace("_", "-"): value for name, value in entries.items()})

    return send


def as_json(values):
    text = values if isinstance(values, str) else json.dumps(values)
    return {"launch_view": "json", "launch_json": text}


FIELDS = {"p_env": '"prod"', "p_version": "1.2.3", "p_replicas": "4"}


def test_what_was_entered_is_shown_as_json(post):
    answer = post(**FIELDS, launch_as_json="1")
    assert answer.status_code == 200
    assert json.loads(answer.context["form"].json_text) == VALUES
    assert 'name="launch-json"' in answer.content.decode()
    assert 'name="p-version"' not in answer.content.decode()
    assert Launch.objects.count() == 0


def test_what_cannot_be_read_stays_in_its_field_with_its_message(post):
    answer = post(**FIELDS | {"p_replicas": "many"}, launch_as_json="1")
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "whole number" in page
    assert 'value="many"' in page
    assert 'name="launch-json"' not in page


def test_what_was_not_filled_in_yet_is_no_obstacle_to_looking(post):
    answer = post(**FIELDS | {"p_version": ""}, launch_as_json="1")
    assert answer.status_code == 200
    assert json.loads(answer.context["form"].json_text) == {"env": "prod", "replicas": 4}
    assert answer.context["form"].json_errors == []
    answer = post(**as_json({"env": "prod"}), launch_as_fields="1")
    assert (answer.status_code, answer.context["form"].errors) == (200, {})


def test_json_is_launched_with_its_types(post, submitted, fake_airflow):
    answer = post(**as_json(VALUES), launch_note="as json")
    assert answer.status_code == 302
    submitted(Launch.objects.get())
    (run,) = fake_airflow.world.runs.values()
    assert run.conf == VALUES
    assert "as json" in run.note


def test_what_is_left_out_has_the_dags_own_value(post):
    assert post(**as_json({"version": "1"})).status_code == 302
    assert Launch.objects.get().params == {"version": "1"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "This is not JSON"),
        ("[1]", "Write one JSON object"),
        ('"x"', "Write one JSON object"),
        ('{"version": "1", "version": "2"}', "“version” stands more than once"),
        ('{"version": NaN}', "JSON"),
        ("{}", "version: Fill this in."),
        ({"version": "1", "replicas": "4"}, "replicas: This must be a whole number."),
        ({"version": "1", "replicas": 40}, "replicas: Enter 10 or less."),
        ({"version": "1", "env": "moon"}, "env: This is not one of the choices."),
        ({"version": "1", "replcias": 4}, "replcias: The Dag has no such param."),
        ({"version": "a\x00b"}, "version: This holds a character that cannot be stored."),
    ],
)
def test_what_does_not_fit_is_said_and_the_text_stays(text, words, post, fake_airflow):
    answer = post(**as_json(text))
    assert answer.status_code == 422
    assert words in " ".join(answer.context["form"].json_errors)
    assert answer.context["form"].json_text == (text if isinstance(text, str) else json.dumps(text))
    assert Launch.objects.count() == 0


def test_back_to_the_fields_with_the_values_typed(post):
    answer = post(**as_json(VALUES), launch_as_fields="1")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert 'name="launch-json"' not in page
    controls = {one.field.name: one for _title, found in answer.context["form"].sections for one in found}
    assert controls["version"].entry.text == "1.2.3"
    assert controls["replicas"].entry.text == "4"
    assert controls["env"].entry.tokens == {'"prod"'}
    assert Launch.objects.count() == 0


def test_a_wrong_value_goes_back_to_its_field_with_its_message(post):
    answer = post(**as_json(VALUES | {"replicas": 40}), launch_as_fields="1")
    (wrong,) = answer.context["form"].wrong_controls
    assert (wrong.field.name, wrong.entry.text, wrong.errors) == ("replicas", "40", ["Enter 10 or less."])


@pytest.mark.parametrize("values", [VALUES | {"more": 1}, VALUES | {"replicas": 4.5}, VALUES | {"env": ["prod"]}])
def test_values_that_the_fields_would_lose_stay_json(values, post):
    answer = post(**as_json(values), launch_as_fields="1")
    assert answer.status_code == 422
    assert "can be given as JSON only" in " ".join(answer.context["form"].problems)
    assert json.loads(answer.context["form"].json_text) == values


def test_params_that_the_dag_does_not_name_are_taken_where_an_admin_allows_them(
    post, admin, server, submitted, fake_airflow
):
    assert post(**as_json(VALUES | {"more": [1, 2.0]})).status_code == 422
    set_guard_rails(user=admin, server=server, dag_id="deploy", protects="nothing", unknown_params=True)
    assert post(**as_json(VALUES | {"more": [1, 2.0], "replicas": 99})).status_code == 422
    assert post(**as_json(VALUES | {"more": [1, 2.0]})).status_code == 302
    submitted(Launch.objects.get())
    (run,) = fake_airflow.world.runs.values()
    assert repr(run.conf["more"]) == "[1, 2.0]"


def test_the_api_takes_unknown_params_only_where_they_are_allowed(client, admin, server):
    url, body = "/api/v1/servers/prod/dags/deploy/launches/", {"params": VALUES | {"more": 1}}
    answer = client.post(url, body, content_type="application/json")
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["more"])
    set_guard_rails(user=admin, server=server, dag_id="deploy", protects="nothing", unknown_params=True)
    assert client.post(url, body, content_type="application/json").status_code == 201


class TestSecrets:
    @pytest.fixture(autouse=True)
    def token(self, deploy_dag):
        schema = {"type": "string", "format": "password", "minLength": 5}
        deploy_dag.params["token"] = {"value": None, "schema": schema, "description": None, "source": None}

    def test_they_are_in_no_text_and_keep_their_fields(self, post):
        answer = post(**FIELDS, p_token="hunter2", launch_as_json="1")
        page = answer.content.decode()
        assert "hunter2" not in page
        assert 'name="p-token"' in page
        assert json.loads(answer.context["form"].json_text) == VALUES

    def test_they_are_refused_in_the_text(self, post):
        answer = post(**as_json(VALUES | {"token": "hunter2"}), p_token="hunter2")
        assert answer.status_code == 422
        assert "token: A secret has a field of its own" in " ".join(answer.context["form"].json_errors)
        assert "hunter2" not in answer.content.decode()

    def test_they_are_sent_from_their_field(self, post):
        assert post(**as_json(VALUES), p_token="hunter2").status_code == 302
        assert Launch.objects.get().params == VALUES | {"token": "hunter2"}

    def test_one_that_is_missing_is_asked_for(self, post):
        answer = post(**as_json(VALUES), p_token="")
        assert answer.status_code == 422
        assert "token: Fill this in." in answer.context["form"].json_errors


def test_a_protected_launch_is_confirmed_with_the_json_that_was_typed(post, client, admin, server):
    read_form(server=server, dag_id="deploy")
    set_guard_rails(
        user=admin, server=server, dag_id="deploy", protects="values", values=[("env", "prod")], needs_approval=False
    )
    asked = post(**as_json(VALUES))
    assert "Type <strong>prod</strong> to confirm" in asked.content.decode()
    carried = dict(asked.context["form"].carried)
    assert client.post(URL, carried | {"launch-confirm": "prod"}).status_code == 302
    assert Launch.objects.get().params == VALUES


def test_json_on_a_dag_that_changed_meanwhile_is_looked_at_again(client, fake_airflow, deploy_dag):
    form = client.get(URL).context["form"]
    deploy_dag.params["replicas"] = {**DEPLOY_PARAMS["replicas"], "value": 3}
    posted = {"launch-form": form.reading.digest, "launch-key": form.key}
    answer = client.post(URL, posted | {"launch-view": "json", "launch-json": json.dumps(VALUES)})
    assert answer.status_code == 422
    assert "have changed since you opened the form" in answer.content.decode()
    assert json.loads(answer.context["form"].json_text) == VALUES
