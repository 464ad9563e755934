"""What a caller hands to the client: credentials, and the two things its processes share, slots and tokens."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Password:
    """A user of Airflow's auth manager; the client logs in with it at ``POST /auth/token``."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class BearerToken:
    """A ready token. There is no way to renew it: once Airflow refuses it, calls raise Unauthorized."""

    token: str = field(repr=False)


Credentials = Password | BearerToken


class Slots(Protocol):
    """Who may talk to this server now, over all processes of the install."""

    def hold(self) -> AbstractContextManager[None]:
        """Hold one slot while a request is in flight. Raises TimedOut when none came free in time."""

    def handing_on(self) -> AbstractContextManager[None]:
        """Inside, a slot may go from one request straight to the next, as far as that is fair to others."""


class TokenStore(Protocol):
    """Where a login's token is kept between clients and processes."""

    def get(self) -> str | None: ...

    def put(self, token: str, expires_at: datetime) -> None: ...

    def drop(self, token: str) -> None:
        """Forget exactly this token; a newer one that another process has put meanwhile stays."""


class MemoryTokens:
    """The token store of a client that shares its login with nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token: str | None = None

    def get(self) -> str | None:
        return self._token

    def put(self, token: str, expires_at: datetime) -> None:
        with self._lock:
            self._token = token

    def drop(self, token: str) -> None:
        with self._lock:
            if self._token == token:
                self._token = None
