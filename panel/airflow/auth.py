"""Logging in: which bearer token a request carries, and when to fetch a new one."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from panel.airflow.credentials import BearerToken, Credentials, MemoryTokens, TokenStore

LEEWAY: Final = timedelta(seconds=30)
"""A token this close to its end is not used any more."""
UNKNOWN_LIFETIME: Final = timedelta(minutes=10)
"""How long a token without a readable expiry is kept; Airflow's answer decides anyway."""

Login = Callable[[str, str], str]
"""Exchanges a user name and a password for a token (``POST /auth/token``)."""


class _Claims(msgspec.Struct):
    exp: float


def expiry(token: str) -> datetime | None:
    """When this JWT ends, read from its ``exp`` claim without checking the signature; ``None`` if it does not say."""
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims)
        return datetime.fromtimestamp(claims.exp, UTC)
    except (IndexError, ValueError, OverflowError, OSError, RecursionError, binascii.Error, msgspec.MsgspecError):
        return None


class Session:
    """The login of one client. Threads that need a token at the same moment log in once."""

    def __init__(self, credentials: Credentials, login: Login, tokens: TokenStore | None) -> None:
        self._credentials = credentials
        self._login = login
        self._tokens = tokens or MemoryTokens()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "<Session>"

    @property
    def renewable(self) -> bool:
        """Whether a refused token can be replaced by logging in again."""
        return not isinstance(self._credentials, BearerToken)

    def token(self, *, refused: str | None = None) -> str:
        """The token to send. ``refused`` is one that Airflow has just turned down and that must not come back.

        Raises what the login raises.
        """
        if isinstance(self._credentials, BearerToken):
            return self._credentials.token
        if refused is None and (token := self._kept(refused)) is not None:
            return token
        with self._lock:
            if (token := self._kept(refused)) is not None:
                return token  # another thread or process has logged in meanwhile
            if refused is not None:
                self._tokens.drop(refused)
            token = self._login(self._credentials.username, self._credentials.password)
            self._tokens.put(token, expiry(token) or datetime.now(UTC) + UNKNOWN_LIFETIME)
            return token

    def secrets(self) -> list[str]:
        """What must not show in any text: the password and the tokens at hand."""
        if isinstance(self._credentials, BearerToken):
            return [self._credentials.token]
        kept = self._tokens.get()
        return [secret for secret in (self._credentials.password, kept) if secret]

    def _kept(self, refused: str | None) -> str | None:
        token = self._tokens.get()
        if token is None or token == refused:
            return None
        ends_at = expiry(token)
        return token if ends_at is None or ends_at - LEEWAY > datetime.now(UTC) else None
