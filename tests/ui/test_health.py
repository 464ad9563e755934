"""``/healthz`` and ``/readyz``: what load balancers ask."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection
from django.test import Client

from panel.broker import broker
from panel.servers import slots
from panel.ui import health, tasks

pytestmark = pytest.mark.django_db


def parts(answer) -> dict[str, bool]:
    return {name: part["ok"] for name, part in answer.json()["parts"].items()}


def test_a_live_process_is_healthy_whatever_it_depends_on(settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"ok": True})
    assert "no-store" in answer["Cache-Control"]


def test_all_parts_right_is_ready(broker_url) -> None:
    tasks.beat()
    answer = Client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ok"] is True
    assert parts(answer) == {"database": True, "broker": True, "worker": True}


def test_no_heartbeat_is_not_ready_and_names_the_worker(broker_url) -> None:
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert parts(answer) == {"database": True, "broker": True, "worker": False}
    assert "beat" in answer.json()["parts"]["worker"]["why"]


def test_a_heartbeat_runs_out(broker_url) -> None:
    tasks.beat()
    assert 0 < broker().ttl(health.HEARTBEAT_KEY) <= health.HEARTBEAT_SECONDS


def test_no_broker_is_not_ready_and_says_so_without_its_address(settings, tmp_path) -> None:
    settings.REDIS_URL = f"unix://:s3cret@{tmp_path}/nobody.sock"
    answer = Client().get("/readyz")
    slots.forget_broker()
    assert answer.status_code == 503
    assert parts(answer) == {"database": True, "broker": False, "worker": False}
    assert "s3cret" not in answer.content.decode()
    assert "nobody.sock" not in answer.content.decode()


def test_no_database_is_not_ready(broker_url, monkeypatch) -> None:
    def gone() -> None:
        raise DatabaseError("password=s3cret")

    tasks.beat()
    monkeypatch.setattr(connection, "cursor", gone)
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert parts(answer) == {"database": False, "broker": True, "worker": True}
    assert "s3cret" not in answer.content.decode()


def test_only_reading_is_possible() -> None:
    assert Client().post("/healthz").status_code == 405
    assert Client().head("/readyz").status_code == 503


def test_probes_come_by_address_and_without_tls(settings) -> None:
    settings.ALLOWED_HOSTS = ["mapboard.example.com"]
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/healthz", headers={"Host": "10.2.3.4:8000"}).status_code == 200
    assert Client().get("/servers/", headers={"Host": "10.2.3.4:8000"}).status_code == 400
