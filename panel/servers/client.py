"""``open_client``: the only way to an Airflow server. Slots over all processes, a shared login, health noted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Final

import httpx
from django.conf import settings
from django.utils import timezone

from panel.airflow import (
    MOST_IN_FLIGHT,
    Airflow,
    BadPayload,
    BearerToken,
    Capabilities,
    Credentials,
    NotSent,
    Password,
    Unauthorized,
    Unreachable,
)
from panel.servers.encryption import SecretUnreadable, decrypt, encrypt
from panel.servers.models import Server
from panel.servers.reachability import note_failed, note_reached
from panel.servers.slots import LeasedSlots

CAPABILITIES_SECONDS: Final = 300.0
"""How long what a server can do is kept by a process; a version seen by a health check ends it at once."""

_known: dict[tuple[int, str, str], tuple[float, Capabilities]] = {}


def transport_for(server: Server) -> httpx.BaseTransport | None:  # noqa: ARG001 - the fake may depend on it
    """``None``: the real network. Tests put a fake Airflow on the wire here."""
    return None


@contextmanager
def open_client(server: Server) -> Iterator[Airflow]:
    """A client of this server, closed at the end. May be shared by threads inside the block.

    Raises SecretUnreadable when the stored credentials cannot be decrypted. Unreachable, Unauthorized and BadPayload
    that leave the block are noted on the server and raised again; an answer that came is noted as well.
    """
    slots = _WatchedSlots(server)
    try:
        tokens = _StoredTokens(server)
        with _client(server, slots, tokens) as airflow:
            try:
                yield airflow
            finally:
                tokens.save()
                _remember(server, airflow)
    except NotSent:
        raise
    except (Unreachable, Unauthorized, BadPayload, SecretUnreadable) as error:
        note_failed(server=server, error=error)
        raise
    if slots.answered:
        note_reached(server=server)


def slots_of(server: Server) -> LeasedSlots:
    """The slots of this server; ``AIRFLOW_MAX_IN_FLIGHT`` caps what the server allows."""
    return LeasedSlots(str(server.pk), limit=in_flight_limit(server), wait_seconds=settings.AIRFLOW_TIMEOUT_SECONDS)


def in_flight_limit(server: Server) -> int:
    return max(1, min(server.max_in_flight, settings.AIRFLOW_MAX_IN_FLIGHT, MOST_IN_FLIGHT))


def _client(server: Server, slots: _WatchedSlots, tokens: _StoredTokens) -> Airflow:
    kept_until, capabilities = _known.get(_known_as(server), (0.0, None))
    try:
        return Airflow(
            server.base_url,
            _credentials(server),
            slots=slots,
            tokens=tokens,
            ca_pem=server.ca_pem,
            transport=transport_for(server),
            timeout_seconds=settings.AIRFLOW_TIMEOUT_SECONDS,
            max_in_flight=in_flight_limit(server),
            capabilities=capabilities if time.monotonic() < kept_until else None,
        )
    except ValueError as error:  # a row written past the form's checks
        raise BadPayload(str(error)) from error


def _credentials(server: Server) -> Credentials:
    secret = decrypt(server.secret_encrypted)
    if server.authentication == Server.Authentication.TOKEN:
        return BearerToken(secret)
    return Password(server.username, secret)


def _known_as(server: Server) -> tuple[int, str, str]:
    return server.pk, server.base_url, server.version


def _remember(server: Server, airflow: Airflow) -> None:
    if airflow.learned_capabilities is not None:
        _known[_known_as(server)] = (time.monotonic() + CAPABILITIES_SECONDS, airflow.learned_capabilities)


def forget_capabilities() -> None:
    """Ask every server again what it can do."""
    _known.clear()


class _WatchedSlots:
    """The server's slots, and whether any request came back while one was held."""

    def __init__(self, server: Server) -> None:
        self._slots = slots_of(server)
        self.answered = False

    @contextmanager
    def hold(self) -> Iterator[None]:
        with self._slots.hold():
            yield
        self.answered = True

    def handing_on(self) -> AbstractContextManager[None]:
        return self._slots.handing_on()


class _StoredTokens:
    """The login of a server, shared by all processes through its row.

    Read when the client opens and written when it closes, both in the thread that opened it: threads that share the
    client never touch the database.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._token = _readable_token(server)
        self._expires_at = server.login_token_expires_at
        self._changed = False

    def get(self) -> str | None:
        return self._token

    def put(self, token: str, expires_at: datetime) -> None:
        with self._lock:
            self._token, self._expires_at, self._changed = token, expires_at, True

    def drop(self, token: str) -> None:
        with self._lock:
            if self._token == token:
                self._token, self._expires_at, self._changed = None, None, True

    def save(self) -> None:
        if not self._changed:
            return
        server = self._server
        # Not for a server that was given other credentials meanwhile: this login is not theirs.
        same = Server.objects.filter(
            pk=server.pk,
            base_url=server.base_url,
            authentication=server.authentication,
            username=server.username,
            secret_encrypted=server.secret_encrypted,
        )
        if self._token is None:  # another process may have logged in since; only the refused token goes
            same = same.filter(login_token_encrypted=server.login_token_encrypted)
        stored = encrypt(self._token or "")
        if same.update(login_token_encrypted=stored, login_token_expires_at=self._expires_at):
            server.login_token_encrypted, server.login_token_expires_at = stored, self._expires_at


def _readable_token(server: Server) -> str | None:
    if server.login_token_expires_at is None or server.login_token_expires_at <= timezone.now():
        return None
    try:
        return decrypt(server.login_token_encrypted) or None
    except SecretUnreadable:
        return None  # the password is what counts: log in again
