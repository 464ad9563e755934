"""One way to an Airflow server: it logs in once for all processes, and what happened is noted on the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.utils import timezone

from panel.airflow import BadPayload, NotFound, TimedOut, Unauthorized, Unreachable
from panel.servers import services
from panel.servers.client import open_client
from panel.servers.encryption import SecretUnreadable, decrypt, encrypt
from panel.servers.models import Server
from panel.servers.slots import NoSlot

pytestmark = pytest.mark.django_db


def fresh(server: Server) -> Server:
    """As another process would load it."""
    return Server.objects.get(pk=server.pk)


def test_a_login_is_shared_through_the_server_row(server, fake_airflow) -> None:
    with open_client(server) as airflow:
        airflow.check()
    with open_client(fresh(server)) as airflow:
        airflow.check()
    assert fake_airflow.auth.logins == 1


def test_the_shared_login_is_stored_encrypted(server, fake_airflow) -> None:
    with open_client(server) as airflow:
        airflow.check()
    stored = fresh(server).login_token_encrypted
    assert stored
    assert "." not in stored  # a JWT has dots, Fernet's alphabet has none
    assert decrypt(stored).count(".") == 2


def test_a_login_that_airflow_no_longer_takes_is_replaced(server, fake_airflow) -> None:
    with open_client(server) as airflow:
        airflow.check()
    fake_airflow.auth.change_secret()
    with open_client(fresh(server)) as airflow:
        airflow.check()
    with open_client(fresh(server)) as airflow:
        airflow.check()
    assert fake_airflow.auth.logins == 2


def test_a_login_that_ran_out_is_not_tried(server, fake_airflow) -> None:
    with open_client(server) as airflow:
        airflow.check()
    Server.objects.update(login_token_expires_at=timezone.now() - timedelta(seconds=1))
    fake_airflow.forget_requests()
    with open_client(fresh(server)) as airflow:
        airflow.check()
    assert len(fake_airflow.calls("POST", "/auth/token")) == 1


def test_the_login_of_old_credentials_is_not_stored_for_new_ones(server, fake_airflow, admin) -> None:
    with open_client(server) as airflow:
        airflow.check()
        other = fresh(server)
        services.update_server(
            user=admin,
            server=other,
            details=services.ServerDetails(
                name="Production",
                base_url=server.base_url,
                authentication=Server.Authentication.PASSWORD,
                username="viewer",
                secret=fake_airflow.password("viewer"),
            ),
        )
    assert fresh(server).login_token_encrypted == ""


def test_a_bearer_token_is_sent_as_it_is(server, fake_airflow) -> None:
    server.authentication, server.username = Server.Authentication.TOKEN, ""
    server.secret_encrypted = encrypt(fake_airflow.auth.token_for("op"))
    server.save()
    with open_client(server) as airflow:
        airflow.check()
    assert fake_airflow.auth.logins == 0


def test_an_answer_is_noted(server, fake_airflow) -> None:
    services.note_failed(server=server, error=Unreachable("gone"))
    with open_client(fresh(server)) as airflow:
        airflow.check()
    noted = fresh(server)
    assert noted.healthy is True
    assert noted.last_error == ""
    assert noted.unreachable_since is None
    assert noted.last_success_at is not None


def test_a_server_that_is_not_asked_is_not_noted(server, fake_airflow) -> None:
    with open_client(server):
        pass
    assert fresh(server).healthy is None


def test_a_refusal_is_an_answer(server, fake_airflow) -> None:
    with pytest.raises(NotFound), open_client(server) as airflow:
        airflow.dags.details("nope")
    assert fresh(server).healthy is not False


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"drop": True, "times": 9}, Unreachable),
        ({"hang": 60}, TimedOut),
        ({"html": True}, BadPayload),
        ({"garbage": True}, BadPayload),
    ],
    ids=["connection lost", "silence", "a page", "garbage"],
)
def test_what_stands_in_the_way_is_noted_and_raised(server, fake_airflow, fault, error) -> None:
    fake_airflow.fail_next(**fault)
    with pytest.raises(error) as raised, open_client(server) as airflow:
        airflow.check()
    noted = fresh(server)
    assert noted.healthy is False
    assert noted.last_error == str(raised.value)
    assert noted.unreachable_since is not None


def test_a_wrong_password_is_noted_without_it(server, fake_airflow) -> None:
    server.secret_encrypted = encrypt("not-the-password")
    server.save()
    with pytest.raises(Unauthorized), open_client(server) as airflow:
        airflow.check()
    noted = fresh(server)
    assert noted.healthy is False
    assert "password is wrong" in noted.last_error
    assert "not-the-password" not in noted.last_error


def test_the_first_failure_in_a_row_is_the_time_since_when(server) -> None:
    services.note_failed(server=server, error=Unreachable("once"))
    first = fresh(server).unreachable_since
    services.note_failed(server=server, error=Unreachable("twice"))
    noted = fresh(server)
    assert (noted.unreachable_since, noted.last_error) == (first, "twice")


def test_waiting_for_a_slot_in_vain_says_nothing_about_airflow(server, fake_airflow) -> None:
    with pytest.raises(NoSlot), open_client(server):
        raise NoSlot("all in use")
    assert fresh(server).healthy is None


def test_threads_share_a_client_within_the_servers_limit(server, fake_airflow, broker_url) -> None:
    server.max_in_flight = 2
    fake_airflow.delay_seconds = 0.02
    with open_client(server) as airflow, ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda _: airflow.check().version, range(16)))
    assert versions == ["3.3.2"] * 16
    assert fake_airflow.peak_in_flight == 2
    assert fake_airflow.auth.logins == 1


def test_a_secret_under_an_unknown_key_is_said_clearly(server, settings) -> None:
    settings.MAPBOARD_ENCRYPTION_KEYS = ["c2Vjb25kLWtleS1zZWNvbmQta2V5LXNlY29uZC1rZXk="]
    with pytest.raises(SecretUnreadable, match="MAPBOARD_ENCRYPTION_KEYS"), open_client(server):
        pass
    assert "cannot be decrypted" in fresh(server).last_error


def test_what_a_server_can_do_is_asked_once_a_while(server, fake_airflow) -> None:
    for _ in range(3):
        with open_client(server) as airflow:
            assert airflow.capabilities.clear_note
    assert len(fake_airflow.calls("GET", "/openapi.json")) == 1


def test_a_new_version_of_the_server_is_asked_again(server, fake_airflow) -> None:
    with open_client(server) as airflow:
        assert airflow.capabilities.clear_note
    server.version = "3.4.0"
    with open_client(server) as airflow:
        assert airflow.capabilities.clear_note
    assert len(fake_airflow.calls("GET", "/openapi.json")) == 2
