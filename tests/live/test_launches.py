"""Launching on a real Airflow: what it receives, what it refuses, and that our run id is taken once."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
from django.utils import timezone

from examples.demo.airflow import AirflowStandalone
from panel.airflow import Airflow, Password
from panel.launches.board import board_of
from panel.launches.final_check import final_check
from panel.launches.models import Launch
from panel.launches.services import request_launch
from panel.launches.stop_sending import stop_run
from panel.launches.stopping import request_stop
from panel.launches.submission import submit_launch
from panel.launches.watching import follow_mirror, mirror_run
from panel.mirror.models import DagRun, MappedTask
from panel.mirror.services import sync_mapped_task, sync_run
from panel.servers.encryption import encrypt
from panel.servers.models import Server

pytestmark = pytest.mark.django_db

DAG = "contract_params"
PAGE = f"/servers/live/dags/{DAG}/launch/"


@pytest.fixture
def airflow(real_airflow: AirflowStandalone):
    real_airflow.wait_for_dags([DAG])
    with Airflow(real_airflow.base_url, Password("op", real_airflow.users["op"])) as client:
        yield client


@pytest.fixture
def live_server_row(real_airflow: AirflowStandalone) -> Server:
    return Server.objects.create(
        slug="live",
        name="Live",
        base_url=real_airflow.base_url,
        username="op",
        secret_encrypted=encrypt(real_airflow.users["op"]),
    )


@pytest.fixture
def ask(live_server_row, deployer):
    def request(**params) -> Launch:
        return request_launch(user=deployer, server=live_server_row, dag_id=DAG, params=params, note="live").launch

    return request


def submitted(launch: Launch) -> Launch:
    submit_launch(launch_id=launch.pk)
    launch.refresh_from_db()
    return launch


def test_the_form_of_a_real_dag_is_filled_in_and_arrives_typed(airflow, live_server_row, deployer, as_user):
    client = as_user(deployer)
    form = client.get(PAGE).context["form"]
    kinds = {field.name: (field.kind.value, field.required) for field in form.fields}
    assert kinds == {
        "name": ("string", True),
        "n": ("integer", False),
        "kind": ("enum", False),
        "day": ("date", False),
        "maybe": ("string", False),
        "plain": ("number", False),
    }
    entries = {"p-name": "007", "p-n": "4", "p-kind": '"a"', "p-day": "2026-11-22", "p-plain": "4.0"}
    posted = {"launch-form": form.reading.digest, "launch-key": form.key, "p-maybe-none": "1"}
    assert client.post(PAGE, posted | entries).status_code == 302
    launch = submitted(Launch.objects.get())
    assert launch.state in {"queued", "running", "success"}
    run = airflow.runs.find(DAG, launch.dag_run_id)
    assert {name: repr(value) for name, value in run.conf.items()} == {
        "name": "'007'",
        "n": "4",
        "kind": "'a'",
        "day": "'2026-11-22'",
        "maybe": "None",
        "plain": "4.0",
    }
    assert "dora" in run.note


def test_airflows_own_refusal_is_mapped_to_the_param(airflow, ask):
    launch = ask(name="x")
    Launch.objects.filter(pk=launch.pk).update(params_json='{"name": "x", "n": 99}')  # past our own check
    assert submitted(launch).state == "refused"
    assert list(launch.fields) == ["n"]
    assert "99" in launch.fields["n"][0]


def test_a_run_that_is_there_already_is_taken_as_ours(airflow, ask):
    launch = ask(name="x")
    airflow.runs.trigger(DAG, run_id=launch.dag_run_id, conf=launch.params)
    assert submitted(launch).has_run


def test_losing_the_race_for_our_run_id_is_no_second_run(airflow, ask, monkeypatch):
    launch, looked = ask(name="x"), []

    def too_early(client, one):
        looked.append(one)
        if len(looked) > 1:
            return client.runs.find(one.dag_id, one.dag_run_id)
        client.runs.trigger(one.dag_id, run_id=one.dag_run_id, conf=one.params)
        return None

    monkeypatch.setattr("panel.launches.submission._run_of", too_early)
    assert submitted(launch).has_run
    assert [run.dag_run_id for run in airflow.runs.list(DAG)].count(launch.dag_run_id) == 1


def test_a_dag_that_is_not_there_is_refused_in_plain_words(airflow, ask):
    launch = ask(name="x")
    Launch.objects.filter(pk=launch.pk).update(dag_id=f"gone_{uuid4().hex[:6]}")
    assert submitted(launch).state == "refused"
    assert "does not know this Dag" in launch.message


def test_a_run_is_stopped_in_the_middle_and_what_had_succeeded_is_known(
    real_airflow, airflow, live_server_row, deployer
):
    real_airflow.wait_for_dags(["contract_slow"])
    launch = submitted(request_launch(user=deployer, server=live_server_row, dag_id="contract_slow", params={}).launch)

    def states():
        return {row.map_index: row.state for row in airflow.instances.bulk("contract_slow", launch.dag_run_id)}

    deadline = time.monotonic() + 120
    while states() != {0: "running", 1: "success"}:
        assert time.monotonic() < deadline, states()
        time.sleep(0.5)
    mirror_run(launch_id=launch.pk)
    sync_mapped_task(mapped_task_id=MappedTask.objects.get().pk, full=True)
    follow_mirror(now=timezone.now())
    launch.refresh_from_db()
    stop = request_stop(user=deployer, launch=launch, reason="wrong version").stop
    stop_run(stop_id=stop.pk)
    stop.refresh_from_db()
    launch.refresh_from_db()
    assert (stop.state, stop.succeeded, launch.state) == ("done", {"work": [[1, 1]]}, "failed")
    run = airflow.runs.find("contract_slow", launch.dag_run_id)
    assert (run.state, run.end_date) == ("failed", stop.run_ended_at)
    assert "Stopped by dora with Mapboard" in run.note
    assert "wrong version" in run.note
    assert states() == {0: "failed", 1: "failed"}
    sync_run(run_pk=DagRun.objects.get().pk)
    sync_mapped_task(mapped_task_id=MappedTask.objects.get().pk, full=True)
    check = final_check(board_of(Launch.objects.get(pk=launch.pk)))
    assert check.sentence == "contract_slow: 1 of 2 targets had succeeded when dora stopped it."
    assert [(retry.count, retry.query) for retry in check.retries] == [(1, "indices=0")]
