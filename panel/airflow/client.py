"""``Airflow``: one server's REST API v2, one namespace a resource."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self

import httpx
import msgspec

from panel.airflow import errors
from panel.airflow.addresses import API, checked_base_url
from panel.airflow.audit import AuditNamespace
from panel.airflow.auth import Session
from panel.airflow.backfills import BackfillsNamespace
from panel.airflow.bulk_reads import BulkReadsNamespace
from panel.airflow.capabilities import Capabilities, read_capabilities, read_version
from panel.airflow.credentials import Credentials, Slots, TokenStore
from panel.airflow.dags import DagsNamespace
from panel.airflow.instances import InstancesNamespace
from panel.airflow.logs import LogsNamespace
from panel.airflow.models import Version
from panel.airflow.pools import PoolsNamespace
from panel.airflow.runs import RunsNamespace
from panel.airflow.transport import Limits, Transport, decoded, open_http
from panel.airflow.xcoms import XComsNamespace

MOST_IN_FLIGHT: Final = 8
"""Around 20 simultaneous requests dead-lock one api-server worker's database pool (AIRFLOW.md §0.5)."""


class _Token(msgspec.Struct):
    access_token: str


class Airflow:
    """A client of one Airflow 3 server. May be shared by threads; ``close()`` it or use it as a context manager.

    ``slots`` limits requests over all processes, ``max_in_flight`` (1 to 8) those of this object. ``tokens`` keeps the
    login between clients. ``ca_pem`` is a certificate authority to trust besides the system's. ``capabilities`` spares
    a caller who has kept them from another client the two requests that find them out. Raises ValueError for a base
    URL, a certificate or a limit that cannot be used.
    """

    def __init__(  # noqa: PLR0913 - all but two have defaults, and all are keywords
        self,
        base_url: str,
        credentials: Credentials,
        *,
        slots: Slots | None = None,
        tokens: TokenStore | None = None,
        ca_pem: str = "",
        transport: httpx.BaseTransport | None = None,
        timeout_seconds: float = 30.0,
        max_body_bytes: int = 64 * 1024 * 1024,
        max_in_flight: int = 4,
        capabilities: Capabilities | None = None,
    ) -> None:
        if not 1 <= max_in_flight <= MOST_IN_FLIGHT:
            raise ValueError(f"At most {MOST_IN_FLIGHT} requests may be in flight, and at least one.")
        if timeout_seconds <= 0 or max_body_bytes <= 0:
            raise ValueError("The time-out and the size limit must be above zero.")
        self.base_url = checked_base_url(base_url)
        limits = Limits(timeout_seconds, max_body_bytes, max_in_flight)
        self._http = open_http(limits, ca_pem, transport)
        self._transport = Transport(self.base_url, self._http, limits, slots)
        self._transport.session = Session(credentials, self._login, tokens)
        self._capabilities = capabilities
        self._capabilities_lock = threading.Lock()
        self.dags = DagsNamespace(self._transport)
        self.runs = RunsNamespace(self._transport, self._known_capabilities)
        self.instances = InstancesNamespace(self._transport, self._known_capabilities)
        self.xcoms = XComsNamespace(self._transport, self._known_capabilities)
        self.logs = LogsNamespace(self._transport)
        self.audit = AuditNamespace(self._transport)
        self.pools = PoolsNamespace(self._transport)
        self.backfills = BackfillsNamespace(self._transport)
        self.bulk_reads = BulkReadsNamespace(self._transport, self._known_capabilities)

    def __repr__(self) -> str:
        return f"<Airflow {self.base_url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def crowd(self) -> AbstractContextManager[None]:
        """Around many small requests, one after the other: they spare each other the asking for slots."""
        return self._transport.crowd()

    @property
    def capabilities(self) -> Capabilities:
        """What this server's version can do; read at the first use. Raises Unsupported for Airflow 2."""
        return self._known_capabilities()

    @property
    def learned_capabilities(self) -> Capabilities | None:
        """What is known of them by now, without asking: for a caller who keeps them for the next client."""
        return self._capabilities

    @property
    def clock_ahead(self) -> timedelta:
        """How far the server's clock is ahead of ours, by the ``Date`` of its last answer: to a second or so, and zero
        while none came."""
        return self._transport.clock_ahead or timedelta()

    def now(self) -> datetime:
        """The time by the server's clock, to a second or so, to compare its own times with. Asks for the version where
        no answer told it yet. Raises AirflowError.
        """
        if self._transport.clock_ahead is None:
            self.version()
        return datetime.now(UTC) + self.clock_ahead

    def version(self) -> Version:
        """``GET /api/v2/version``, without login. Raises Unsupported for Airflow 2."""
        return read_version(self._transport)

    def check(self) -> Version:
        """Whether this server can be used with these credentials: its version, and one call that needs the login.

        Raises what stands in the way: Unreachable, Unsupported, Unauthorized, Forbidden, BadPayload …
        """
        version = self.version()
        self._transport.read(f"{API}/dags", msgspec.Raw, [("limit", 1)])
        return version

    def _known_capabilities(self) -> Capabilities:
        with self._capabilities_lock:
            if self._capabilities is None:
                self._capabilities = read_capabilities(self._transport)
            return self._capabilities

    def _login(self, username: str, password: str) -> str:
        """``POST /auth/token``. Airflow's own words are not repeated: they may quote what was sent."""
        body = {"username": username, "password": password}
        try:
            answer = self._transport.request("POST", "/auth/token", body=body, login=False)
            return decoded(answer, _Token).access_token
        except errors.Unauthorized:
            raise errors.Unauthorized(401, "the user name or the password is wrong.") from None
        except errors.NotFound:
            raise errors.Unsupported(
                "This server has no login by user name and password (/auth/token): use a token instead."
            ) from None
        except errors.Invalid as error:
            raise errors.Unauthorized(
                error.status, "this login was not accepted. User name and password must both be given."
            ) from None
