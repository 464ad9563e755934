"""The REST API of forms and launches."""

from __future__ import annotations

import json

import pytest

from panel.launches.dag_forms import read_form
from panel.launches.models import Launch

pytestmark = pytest.mark.django_db

DAG = "/api/v1/servers/prod/dags/deploy/"


@pytest.fixture
def api(as_user, deployer, deploy_dag):
    client = as_user(deployer)

    def post(url, body=None):
        text = body if isinstance(body, str) else json.dumps(body or {})
        return client.post(url, text, content_type="application/json")

    client.send = post
    return client


def body(**more):
    return {"params": {"version": "1.2.3"}} | more


def test_the_form_tells_its_fields_in_order(api):
    answer = api.get(f"{DAG}form/")
    assert answer.status_code == 200
    form = answer.json()
    assert form["can_launch"] is True
    assert [field["name"] for field in form["fields"]] == ["env", "version", "replicas"]
    assert form["fields"][0] == {
        "name": "env",
        "type": "enum",
        "title": "Environment",
        "help": "",
        "section": "What",
        "default": "staging",
        "required": False,
        "nullable": False,
        "choices": [{"value": "staging", "label": "staging"}, {"value": "prod", "label": "Production"}],
        "proposals": [],
        "limits": {},
        "secret": False,
        "parts": [],
        "optional": False,
        "help_is_markdown": False,
    }
    assert form["fields"][1]["required"] is True
    assert form["fields"][1]["help"] == "The version to deploy."
    assert form["fields"][1]["limits"] == {"minLength": 1, "maxLength": 20}
    assert form["fields"][2]["default"] == 2


def test_the_form_says_what_stands_in_the_way(api, deploy_dag):
    deploy_dag.is_paused = deploy_dag.is_stale = True
    form = api.get(f"{DAG}form/").json()
    assert form["can_launch"] is False
    assert form["is_paused"] is True
    assert "paused" in form["warnings"][0]


def test_a_launch_is_stored_and_answers_201(api):
    answer = api.send(f"{DAG}launches/", body(note="why"))
    assert answer.status_code == 201
    launch = Launch.objects.get()
    told = answer.json()
    assert told["id"] == str(launch.pk)
    assert told["state"] == "submitting"
    assert told["dag_run_id"] == launch.dag_run_id
    assert told["url"] == f"http://testserver/launches/{launch.pk}/"
    assert told["params"] == {"version": "1.2.3"}
    assert (told["note"], told["requested_by"], told["server"]) == ("why", "dora", "prod")


def test_what_was_given_reaches_airflow_with_its_types(api, submitted, fake_airflow, deploy_dag):
    deploy_dag.params["any"] = {"value": None, "schema": {}, "description": None, "source": None}
    raw = '{"params": {"version": "007", "replicas": 4.0, "any": {"b": [1, 1.0, null, true], "a": 1e16}}}'
    assert api.send(f"{DAG}launches/", raw).status_code == 201
    submitted(Launch.objects.get())
    (run,) = fake_airflow.world.runs.values()
    assert repr(run.conf) == "{'version': '007', 'replicas': 4.0, 'any': {'b': [1, 1.0, None, True], 'a': 1e+16}}"


def test_the_same_key_and_body_answer_200_and_the_same_launch(api):
    first = api.send(f"{DAG}launches/", body(idempotency_key="k"))
    second = api.send(f"{DAG}launches/", body(idempotency_key="k"))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]


def test_the_same_key_with_another_body_answers_409(api):
    api.send(f"{DAG}launches/", body(idempotency_key="k"))
    answer = api.send(f"{DAG}launches/", body(idempotency_key="k", note="other"))
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "idempotency_key_reused"


def test_bad_params_answer_422_with_messages_by_param_and_no_run(api, fake_airflow):
    answer = api.send(f"{DAG}launches/", {"params": {"env": "moon", "replicas": "2", "typo": 1}})
    assert answer.status_code == 422
    fields = answer.json()["error"]["fields"]
    assert set(fields) == {"env", "version", "replicas", "typo"}
    assert "a whole number" in fields["replicas"][0]
    assert not Launch.objects.exists()
    assert fake_airflow.world.runs == {}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"parms": {"version": "1"}}, "parms"),
        ({"params": ["version"]}, "params"),
        ({"params": None}, "params"),
        ({"params": {}, "note": "x" * 801}, "note"),
        ({"params": {}, "idempotency_key": "x" * 201}, "idempotency_key"),
        ({"params": {}, "note": {"a": 1}}, "note"),
    ],
)
def test_a_body_that_makes_no_sense_answers_422(given, field, api):
    answer = api.send(f"{DAG}launches/", given)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["fields"]
    assert not Launch.objects.exists()


def test_a_body_that_cannot_be_read_answers_400(api):
    assert api.send(f"{DAG}launches/", '{"params": {').status_code == 400


@pytest.mark.parametrize("raw", ['{"params": {"version": "\\u0000"}}', '{"params": {"version": 1e999}}'])
def test_values_that_cannot_be_stored_answer_422(raw, api):
    answer = api.send(f"{DAG}launches/", raw)
    assert answer.status_code == 422
    assert list(answer.json()["error"]["fields"]) == ["version"]


@pytest.mark.parametrize("path", ["form/", "launches/"])
@pytest.mark.parametrize("dag", ["/api/v1/servers/prod/dags/nope/", "/api/v1/servers/nowhere/dags/deploy/"])
def test_what_does_not_exist_answers_404(path, dag, api):
    answer = api.get(f"{dag}{path}") if path == "form/" else api.send(f"{dag}{path}", body())
    assert answer.status_code == 404
    assert answer.json()["error"]["message"]


def test_a_dag_that_cannot_run_answers_409(api, deploy_dag):
    deploy_dag.has_import_errors = True
    answer = api.send(f"{DAG}launches/", body())
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "dag_not_launchable"


def test_airflow_down_the_launch_stays_submitting(api, server, submitted, fake_airflow):
    read_form(server=server, dag_id="deploy")
    fake_airflow.down = True
    answer = api.send(f"{DAG}launches/", body())
    assert answer.status_code == 201
    submitted(Launch.objects.get())
    assert api.get(f"/api/v1/launches/{answer.json()['id']}/").json()["state"] == "submitting"


def test_airflow_down_and_nothing_known_answers_503(api, fake_airflow):
    fake_airflow.down = True
    assert api.send(f"{DAG}launches/", body()).status_code == 503
    assert api.get(f"{DAG}form/").status_code == 503


def test_a_refusal_is_told_with_its_fields(api, launched, submitted, deploy_dag):
    launch = launched(replicas=9)
    deploy_dag.params["replicas"]["schema"]["maximum"] = 5
    submitted(launch)
    told = api.get(f"/api/v1/launches/{launch.pk}/").json()
    assert told["state"] == "refused"
    assert list(told["fields"]) == ["replicas"]
    assert told["message"]


def test_the_list_is_newest_first_and_filters(api, launched, submitted):
    first, second = launched(), submitted(launched())
    every = api.get("/api/v1/launches/").json()
    assert [row["id"] for row in every["results"]] == [str(second.pk), str(first.pk)]
    assert every["count"] == 2
    queued = api.get("/api/v1/launches/?state=queued&state=running&server=prod&dag_id=deploy").json()
    assert [row["id"] for row in queued["results"]] == [str(second.pk)]


@pytest.mark.parametrize("query", ["status=queued", "state=flying", "ordering=note", "page_size=0", "cursor=x"])
def test_filters_that_do_not_exist_answer_400(query, api):
    assert api.get(f"/api/v1/launches/?{query}").status_code == 400


def test_cancel_takes_back_what_was_not_sent(api, launched, submitted):
    launch = launched()
    assert api.send(f"/api/v1/launches/{launch.pk}/cancel/").json()["state"] == "cancelled"
    assert api.send(f"/api/v1/launches/{launch.pk}/cancel/").status_code == 200, "again is no harm"
    sent = submitted(launched())
    assert api.send(f"/api/v1/launches/{sent.pk}/cancel/").status_code == 409


@pytest.mark.parametrize("cast", ["viewer", "operator"])
def test_others_see_but_may_not_launch_or_cancel(cast, launched, as_user, request):
    launch = launched()
    client = as_user(request.getfixturevalue(cast))
    assert client.get(f"{DAG}form/").status_code == 200
    assert client.get("/api/v1/launches/").status_code == 200
    assert client.get(f"/api/v1/launches/{launch.pk}/").status_code == 200
    assert client.post(f"{DAG}launches/", body(), content_type="application/json").status_code == 403
    assert client.post(f"/api/v1/launches/{launch.pk}/cancel/").status_code == 403
    assert Launch.objects.get().state == "submitting"


def test_who_is_in_no_group_gets_403_and_who_is_nobody_401(launched, nobody, as_user, client):
    launch = launched()
    for url in (f"{DAG}form/", "/api/v1/launches/", f"/api/v1/launches/{launch.pk}/"):
        assert as_user(nobody).get(url).status_code == 403
        assert client.get(url).status_code == 401
    assert client.post(f"{DAG}launches/", body(), content_type="application/json").status_code == 401
    assert Launch.objects.count() == 1
