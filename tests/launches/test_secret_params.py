"""Params that hold secrets (``format: password``, ``writeOnly``): shown nowhere, sent as they are."""

from __future__ import annotations

import json

import pytest

from panel.access.models import AuditEvent
from panel.airflow import Unreachable
from panel.launches.guard_rails_changing import set_guard_rails
from panel.launches.models import Launch
from panel.launches.services import request_launch
from panel.mirror.models import Dag, DagRun
from panel.mirror.serializers import RunSerializer

pytestmark = pytest.mark.django_db
URL = "/servers/prod/dags/deploy/launch/"
SECRET = "hunter2-<&>\"'"


@pytest.fixture
def secret_dag(deploy_dag):
    schema = {"type": "string", "format": "password", "minLength": 5}
    deploy_dag.params["token"] = {"value": None, "schema": schema, "description": None, "source": None}
    return deploy_dag


@pytest.fixture
def client(as_user, deployer, secret_dag):
    return as_user(deployer)


def filled_in(client, **more):
    form = client.get(URL).context["form"]
    posted = {"launch-form": form.reading.digest, "launch-key": form.key, "p-env": '"prod"', "p-replicas": "2"}
    return posted | {"p-version": "1", "p-token": SECRET} | more


def shown(*answers):
    return "".join(answer.content.decode() for answer in answers)


def test_it_reaches_airflow_and_no_page(client, submitted, fake_airflow):
    answer = client.post(URL, filled_in(client))
    launch = submitted(Launch.objects.get())
    (run,) = fake_airflow.world.runs.values()
    assert run.conf["token"] == SECRET
    pages = shown(
        answer,
        client.get(f"/launches/{launch.pk}/"),
        client.get(f"{URL}?from={launch.pk}"),
        client.get(f"/api/v1/launches/{launch.pk}/"),
        client.get("/api/v1/launches/"),
    )
    assert "hunter2" not in pages
    assert "••••••" in pages
    assert all("hunter2" not in json.dumps(event.detail) for event in AuditEvent.objects.all())


def test_the_field_is_a_password_and_empty(client):
    page = client.get(URL).content.decode()
    assert '<input id="p-token" name="p-token" type="password" value=""' in page


def test_a_wrong_one_is_not_said_again(client):
    answer = client.post(URL, filled_in(client, **{"p-token": "abc9", "p-version": ""}))
    assert answer.status_code == 422
    assert "abc9" not in shown(answer)
    assert answer.context["form"].errors["token"] == ["This does not fit what the Dag asks for here."]


def test_airflow_saying_it_is_not_said_again(client, submitted, fake_airflow, secret_dag):
    client.post(URL, filled_in(client))
    said = f"Invalid input for param token: {SECRET!r} is not what we like"
    fake_airflow.fail_next(method="POST", path="/dagRuns", status=400, detail=said)
    launch = submitted(Launch.objects.get())
    assert launch.state == "refused"
    assert "hunter2" not in launch.message + json.dumps(launch.fields)
    assert "••••••" in launch.message


def test_the_dags_own_secret_is_kept_when_nothing_is_typed(client, secret_dag, submitted, fake_airflow):
    secret_dag.params["token"]["value"] = "of-the-dag"
    assert "of-the-dag" not in shown(client.get(URL), client.get("/api/v1/servers/prod/dags/deploy/form/"))
    client.post(URL, filled_in(client, **{"p-token": ""}))
    launch = submitted(Launch.objects.get())
    assert launch.state == "queued"
    assert "token" not in launch.params


def test_while_the_form_was_never_read_nothing_is_shown(server, secret_dag, deployer, submitted, monkeypatch):
    """Airflow was away when it was asked for: which of its values are secret is not known yet."""

    def away(**_names):
        raise Unreachable("away")

    Dag.objects.create(server=server, dag_id="deploy")
    monkeypatch.setattr("panel.launches.services.read_form", away)
    params = {"version": "1", "token": SECRET}
    launch = request_launch(user=deployer, server=server, dag_id="deploy", params=params).launch
    assert set(launch.shown_params.values()) == {"••••••"}
    assert submitted(launch).state == "queued"
    assert launch.shown_params == {"version": "1", "token": "••••••"}


def test_to_confirm_it_is_typed_again(client, server, admin):
    posted = filled_in(client)
    set_guard_rails(user=admin, server=server, dag_id="deploy", protects="everything", needs_approval=False)
    page = client.post(URL, posted)
    assert "hunter2" not in shown(page)
    assert 'name="p-token" type="password"' in shown(page)
    carried = dict(page.context["form"].carried)
    assert "p-token" not in carried
    client.post(URL, carried | {"p-token": SECRET, "launch-confirm": "deploy"})
    assert Launch.objects.get().params["token"] == SECRET


def test_the_conf_of_a_run_hides_it(client, server):
    dag = Dag.objects.create(server=server, dag_id="deploy")
    client.get(URL)
    dag.refresh_from_db()
    assert dag.secret_params == ["token"]
    run = DagRun.objects.create(dag=dag, run_id="r", state="running", conf={"token": SECRET, "env": "prod"})
    assert RunSerializer(run).data["conf"] == {"token": "••••••", "env": "prod"}
