"""Logging in: once, again when the token is refused, and never for a plain "Forbidden"."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from panel.airflow import (
    BearerToken,
    Forbidden,
    MemoryTokens,
    Password,
    ServerFault,
    Unauthorized,
    Unreachable,
    Unsupported,
)
from panel.airflow.auth import expiry


def logins(fake):
    return len(fake.calls("POST", "/auth/token"))


def test_it_logs_in_once_for_many_calls(airflow, fake):
    for _ in range(3):
        airflow.dags.list()
    assert logins(fake) == 1


def test_it_uses_a_kept_token(client, fake):
    tokens = MemoryTokens()
    client(fake, tokens=tokens).dags.list()
    client(fake, tokens=tokens).dags.list()
    assert logins(fake) == 1


def test_it_keeps_the_expiry_that_the_token_states(client, fake):
    kept = []

    class Recording(MemoryTokens):
        def put(self, token, expires_at):
            kept.append(expires_at)
            super().put(token, expires_at)

    fake.auth.lifetime_seconds = 3_600
    client(fake, tokens=Recording()).dags.list()
    assert abs(kept[0] - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)


def test_it_logs_in_anew_before_a_token_ends(client, fake):
    fake.auth.lifetime_seconds = 10  # less than the leeway
    airflow = client(fake)
    airflow.dags.list()
    fake.auth.lifetime_seconds = 3_600
    airflow.dags.list()
    airflow.dags.list()
    assert logins(fake) == 2


@pytest.mark.parametrize("spoil", ["expire_tokens", "change_secret"])
def test_it_logs_in_again_once_when_the_token_is_refused(airflow, fake, spoil):
    airflow.dags.list()
    getattr(fake.auth, spoil)()
    assert airflow.dags.list() == []
    assert logins(fake) == 2


def test_a_write_that_was_refused_for_its_token_is_carried_out_once(airflow, fake):
    fake.add_dag("etl")
    airflow.dags.list()
    fake.auth.expire_tokens()
    airflow.runs.trigger("etl", run_id="r1", conf={})
    assert [run.run_id for run in fake.world.runs.values()] == ["r1"]


def test_a_second_refusal_is_final(airflow, fake):
    airflow.dags.list()
    fake.fail_next(status=401, detail="Token Expired", path="/dags", times=99)
    with pytest.raises(Unauthorized):
        airflow.dags.list()
    assert logins(fake) == 2


def test_forbidden_does_not_log_in_again(client, fake):
    fake.add_dag("etl")
    viewer = client(fake, user="viewer")
    with pytest.raises(Forbidden):
        viewer.runs.trigger("etl", run_id="r1", conf={})
    assert logins(fake) == 1
    assert not fake.world.runs


@pytest.mark.parametrize("spoilt", [False, True])
def test_threads_log_in_once(airflow, fake, spoilt):
    if spoilt:
        airflow.dags.list()
        fake.auth.expire_tokens()
    before = logins(fake)
    fake.delay_seconds = 0.02
    start = threading.Barrier(8)
    failures = []

    def call():
        start.wait(10)
        try:
            airflow.dags.list()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not failures
    assert logins(fake) == before + 1


def test_a_token_that_another_process_has_fetched_is_taken(client, fake):
    """The kept token was refused; meanwhile somebody has put a new one: no login is needed."""
    tokens = MemoryTokens()
    airflow = client(fake, tokens=tokens)
    airflow.dags.list()
    fake.auth.expire_tokens()
    newer = fake.auth.token_for("op")
    real_get = tokens.get
    answers = iter([real_get()])
    tokens.get = lambda: next(answers, newer)
    airflow.dags.list()
    assert logins(fake) == 1


def test_a_wrong_password(client, fake):
    airflow = client(fake, credentials=Password("op", "wrong-password"))
    with pytest.raises(Unauthorized) as caught:
        airflow.check()
    assert "password is wrong" in str(caught.value)
    assert logins(fake) == 1


def test_an_empty_password(client, fake):
    with pytest.raises(Unauthorized):
        client(fake, credentials=Password("op", "")).check()


def test_a_login_that_fails_on_the_server(client, fake):
    fake.fail_next(status=500, path="/auth/token")
    with pytest.raises(ServerFault):
        client(fake).dags.list()


def test_a_login_is_not_sent_twice_when_the_connection_is_lost(client, fake):
    fake.fail_next(drop=True, path="/auth/token")
    with pytest.raises(Unreachable):
        client(fake).runs.trigger("etl", run_id="r1", conf={})
    assert logins(fake) == 1


def test_a_server_without_password_login(client, fake):
    fake.fail_next(status=404, path="/auth/token")
    with pytest.raises(Unsupported, match="use a token"):
        client(fake).dags.list()


def test_a_ready_token_is_sent_as_it_is_and_never_renewed(client, fake):
    token = fake.auth.token_for("op")
    airflow = client(fake, credentials=BearerToken(token))
    airflow.dags.list()
    fake.auth.expire_tokens()
    with pytest.raises(Unauthorized):
        airflow.dags.list()
    assert logins(fake) == 0


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "a.!!!.c", "a.e30.c", "a.eyJleHAiOiAieCJ9.c", "a.eyJleHAiOiAxZTMwMH0.c"]
)
def test_a_token_without_a_readable_expiry(token):
    assert expiry(token) is None


def test_the_expiry_of_a_token(fake):
    ends_at = expiry(fake.auth.token_for("op"))
    assert ends_at is not None
    assert abs(ends_at - datetime.now(UTC) - timedelta(days=1)) < timedelta(minutes=1)
