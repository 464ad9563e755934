"""Health checks: each server in its own right, one at a time, and what came of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from panel.servers import tasks
from panel.servers.encryption import encrypt
from panel.servers.models import Server

pytestmark = pytest.mark.django_db


def another(slug: str) -> Server:
    return Server.objects.create(slug=slug, name=slug, base_url="http://airflow.test", username="op")


@pytest.mark.django_db(transaction=True)
def test_the_sweep_wakes_one_task_for_each_server_that_is_due(server, woken) -> None:
    Server.objects.filter(pk=another("fresh").pk).update(checked_at=timezone.now())
    old = another("old")
    Server.objects.filter(pk=old.pk).update(checked_at=timezone.now() - timedelta(minutes=1))
    tasks.check_health()
    assert sorted(woken) == sorted([("servers.check_server", (server.pk,)), ("servers.check_server", (old.pk,))])


def test_a_check_stores_the_version_and_the_health(server, fake_airflow) -> None:
    tasks.check_server(server.pk)
    server.refresh_from_db()
    assert (server.version, server.healthy) == ("3.3.2", True)
    assert server.checked_at is not None
    assert server.check_claimed_until is None


def test_a_server_that_is_being_checked_is_left_alone(server, fake_airflow) -> None:
    Server.objects.update(check_claimed_until=timezone.now() + timedelta(minutes=1))
    tasks.check_server(server.pk)
    assert fake_airflow.requests == []


def test_a_claim_of_a_worker_that_died_runs_out(server, fake_airflow) -> None:
    Server.objects.update(check_claimed_until=timezone.now() - timedelta(seconds=1))
    tasks.check_server(server.pk)
    server.refresh_from_db()
    assert server.healthy is True


def test_a_server_checked_just_now_is_not_checked_again(server, fake_airflow) -> None:
    tasks.check_server(server.pk)
    fake_airflow.forget_requests()
    tasks.check_server(server.pk)
    assert fake_airflow.requests == []


def test_a_server_that_was_removed_meanwhile_is_no_error(server) -> None:
    server_id = server.pk
    server.delete()
    tasks.check_server(server_id)


def test_a_server_that_is_down_says_since_when_and_recovers(server, fake_airflow) -> None:
    fake_airflow.down = True
    tasks.check_server(server.pk)
    server.refresh_from_db()
    assert server.healthy is False
    assert "cannot be reached" in server.last_error
    assert server.unreachable_since is not None
    fake_airflow.down = False
    Server.objects.update(checked_at=None)
    tasks.check_server(server.pk)
    server.refresh_from_db()
    assert (server.healthy, server.last_error, server.unreachable_since) == (True, "", None)


def test_airflow_2_is_refused_in_words(server, fake_airflow) -> None:
    fake_airflow.fail_next(path="/version", json={"version": "2.10.5", "git_version": None})
    tasks.check_server(server.pk)
    server.refresh_from_db()
    assert server.healthy is False
    assert "2.10.5" in server.last_error


def test_a_wrong_password_is_found(server) -> None:
    Server.objects.update(secret_encrypted=encrypt("wrong"))
    tasks.check_server(server.pk)
    server.refresh_from_db()
    assert server.healthy is False
    assert "password is wrong" in server.last_error
