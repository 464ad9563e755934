"""Dags with params on the fake Airflow, and launches of them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from panel.launches.models import Launch
from panel.launches.services import request_launch
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
