"""Dags with params on the fake Airflow, and launches of them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from panel.launches.dag_forms import read_form
from panel.launches.fields import field_of
from panel.launches.launch_forms_changing import FormContent, add_form
from panel.launches.models import FormDefinition, Launch
from panel.launches.services import request_launch
from panel.launches.shapes import shapes_of
from panel.launches.submission import submit_launch
from tests.fakes.airflow import Task
from tests.launches.backfilling import backfilled, daily_dag

__all__ = ["backfilled", "daily_dag"]

DEPLOY_PARAMS: dict[str, Any] = {
    "env": {
        "value": "staging",
        "schema": {
            "type": "string",
            "enum": ["staging", "prod"],
            "values_display": {"prod": "Production"},
            "title": "Environment",
            "section": "What",
        },
    },
    "version": {
        "value": None,
        "schema": {"type": "string", "minLength": 1, "maxLength": 20, "section": "What"},
        "description": "The version to deploy.",
    },
    "replicas": {"value": 2, "schema": {"type": "integer", "minimum": 1, "maximum": 10}},
}


@pytest.fixture
def deploy_dag(server, fake_airflow):
    """The Dag "deploy" on the fake Airflow: it needs a version, and maps over regions."""
    tasks = [Task("deploy_region", is_mapped=True, downstream=["check"]), Task("check", trigger_rule="all_done")]
    return fake_airflow.add_dag("deploy", params=deepcopy(DEPLOY_PARAMS), tasks=tasks)


@pytest.fixture
def launched(server, deployer, deploy_dag) -> Callable[..., Launch]:
    """``launched(version="1")``: stored, not yet sent."""

    def launch(**params: Any) -> Launch:
        given = {"version": "1.2.3"} | params
        return request_launch(user=deployer, server=server, dag_id="deploy", params=given, note="why").launch

    return launch


@pytest.fixture
def submitted() -> Callable[[Launch], Launch]:
    """What a worker makes of a launch that is due."""

    def submit(launch: Launch) -> Launch:
        submit_launch(launch_id=launch.pk)
        launch.refresh_from_db()
        return launch

    return submit


@pytest.fixture
def due() -> Callable[[Launch], None]:
    """Let the pause between two attempts pass."""

    def pass_the_pause(launch: Launch) -> None:
        Launch.objects.filter(pk=launch.pk).update(next_attempt_at=timezone.now() - timedelta(seconds=1))

    return pass_the_pause


@pytest.fixture
def too_late() -> Callable[[Launch], None]:
    """Let the time in which a launch may start pass, and the pause with it."""

    def pass_the_deadline(launch: Launch) -> None:
        ago = timezone.now() - timedelta(seconds=1)
        Launch.objects.filter(pk=launch.pk).update(next_attempt_at=ago, deadline_at=ago)

    return pass_the_deadline


KINDS = "/servers/prod/dags/kinds/launch/"


@pytest.fixture
def enter(server, fake_airflow, deployer, as_user, submitted):
    """``enter(value, schema, {"": "5"})``: a Dag with one param "p", its form filled in and sent.

    Answers the conf that Airflow received, or the messages beside the field. Names in the entries are appended to
    the name of the field's control.
    """

    def fill_in(default, schema, entries, name="p"):
        fake_airflow.add_dag("kinds", params={name: {"value": default, "schema": schema, "description": None}})
        client = as_user(deployer)
        page = client.get(KINDS)
        assert page.status_code == 200
        form = page.context["form"]
        key = field_of(name, {"value": default, "schema": schema}).key
        posted = {"launch-form": form.reading.digest, "launch-key": form.key}
        posted |= {key + suffix: text for suffix, text in entries.items()}
        answer = client.post(KINDS, posted)
        if answer.status_code == 422:
            assert Launch.objects.count() == 0
            return answer.context["form"].errors[name]
        assert answer.status_code == 302, answer.content
        submitted(Launch.objects.get())
        (run,) = fake_airflow.world.runs.values()
        return run.conf[name]

    return fill_in


SHAPES: list[dict[str, Any]] = [
    {"name": "version", "mode": "shown", "title": "Release", "help": "As in the changelog."},
    {"name": "env", "mode": "shown", "value": "prod"},
    {"name": "replicas", "mode": "fixed", "value": 3},
]


@pytest.fixture
def make_form(server, admin, deploy_dag) -> Callable[..., FormDefinition]:
    """``make_form(shapes=[…], groups=["deployer"])``: a launch form of the Dag "deploy", made by an admin."""
    read_form(server=server, dag_id="deploy")

    def make(shapes: list[dict[str, Any]] | None = None, **more: Any) -> FormDefinition:
        given = {"slug": "deploy-it", "title": "Deploy a release", "button": "Deploy {version} to {env}"} | more
        content = FormContent(shapes=shapes_of(SHAPES if shapes is None else shapes), **given)
        return add_form(user=admin, server=server, dag_id="deploy", content=content)

    return make


@pytest.fixture
def form(make_form) -> FormDefinition:
    """It asks for a version and an env (prod unless chosen), and always takes three replicas."""
    return make_form()


@pytest.fixture
def change_dag(server, deploy_dag) -> Callable[..., None]:
    """``change_dag(replicas=None, env={…})``: params of the Dag taken away, changed, added; read again."""

    def change(**params: Any) -> None:
        deploy_dag.params.update({name: param for name, param in params.items() if param is not None})
        for name in [name for name, param in params.items() if param is None]:
            del deploy_dag.params[name]
        read_form(server=server, dag_id="deploy")

    return change
