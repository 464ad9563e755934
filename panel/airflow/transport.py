"""One request to an Airflow server: slots, login, time-outs, size, retries, and every failure as one of our errors.

The only module that talks through httpx. Reads (GET, and the POSTs that only list) are repeated when the server could
not be reached or was overloaded; a POST that changes something is sent once.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec

from panel.airflow import errors
from panel.airflow.auth import Session
from panel.airflow.credentials import Slots
from panel.airflow.refusals import is_stale_login, refusal

T = TypeVar("T")
Method = Literal["GET", "POST", "PATCH", "PUT"]
Params = Sequence[tuple[str, str | int]]

BACKOFF_SECONDS: Final = (0.2, 0.8)
"""Pauses before the first and the second repeat of a read."""
LONGEST_PAUSE_SECONDS: Final = 10.0
"""A server that asks for a longer pause (Retry-After) is not asked again by this call."""
WHOLE_ANSWER_TIMEOUTS: Final = 5
"""An answer that trickles in may take this many time-outs in all."""
ERROR_BODY_BYTES: Final = 256 * 1024
_SENTENCE_LENGTH: Final = 300
_START_BY: Final = "mapboard.start_by"
"""A request's extension: the monotonic time after which it must not leave any more."""
_LOOPBACK: Final = ("all://127.0.0.1", "all://localhost", "all://[::1]")
"""A company's proxy cannot reach these, and is not asked to."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    body: bytes
    retry_after: str
    location: str


@dataclass(frozen=True, slots=True)
class Limits:
    timeout_seconds: float
    max_body_bytes: int
    max_in_flight: int


@dataclass(frozen=True, slots=True)
class Patience:
    """Of a write: seconds until its answer is given up on, and in which it leaves, or raises NotSent and never does."""

    timeout_seconds: float
    start_within_seconds: float


def open_http(limits: Limits, ca_pem: str, transport: httpx.BaseTransport | None) -> httpx.Client:
    """The httpx client: no redirects, no cookies, the system's certificates and the server's own."""
    client = httpx.Client(
        transport=transport,
        verify=_trust(ca_pem),
        timeout=_timeout(limits.timeout_seconds),
        # Airflow closes idle connections after 5 s; one it is about to close must not take a write with it.
        limits=httpx.Limits(max_connections=limits.max_in_flight, keepalive_expiry=2.0),
        mounts=dict.fromkeys(_LOOPBACK),  # None: the transport itself, whatever HTTP_PROXY says
        follow_redirects=False,
        headers={"Accept-Encoding": "gzip", "User-Agent": "mapboard"},
    )
    # Airflow may set a login cookie; a request carries the bearer token and nothing else.
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return client


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(10.0, seconds))


@lru_cache(maxsize=32)
def _trust(ca_pem: str) -> ssl.SSLContext:
    """Kept between clients: reading the system's certificates takes 20 ms."""
    context = ssl.create_default_context()
    if ca_pem:
        try:
            context.load_verify_locations(cadata=ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError("The CA certificate is not in PEM form.") from error
    return context


class Transport:
    """Sends requests for one server. Safe to use from several threads."""

    def __init__(
        self, base_url: str, http: httpx.Client, limits: Limits, slots: Slots | None, session: Session | None = None
    ) -> None:
        self._base_url = base_url
        self._host = urlsplit(base_url).netloc
        self._http = http
        self._limits = limits
        self._slots = slots
        self._in_flight = threading.BoundedSemaphore(limits.max_in_flight)
        self.session = session
        self.clock_ahead: timedelta | None = None

    def __repr__(self) -> str:
        return f"<Transport {self._base_url}>"

    def crowd(self) -> AbstractContextManager[None]:
        return self._slots.handing_on() if self._slots else nullcontext()

    def read(self, path: str, answer: type[T], params: Params = (), *, login: bool = True, **limits: Any) -> T:
        """GET; the body decoded as ``answer``."""
        return decoded(self.request("GET", path, params=params, login=login, **limits), answer)

    def list_by_post(self, path: str, answer: type[T], body: Mapping[str, Any]) -> T:
        """A POST that only reads, and so may be repeated."""
        return decoded(self.request("POST", path, body=body, repeat=True), answer)

    def write(
        self,
        method: Method,
        path: str,
        answer: type[T],
        body: Mapping[str, Any] | None,
        *,
        patience: Patience | None = None,
    ) -> T:
        """A request that changes something: sent once, whatever happens. Raises NotSent, see Patience."""
        request = self._built(method, path, (), body, "application/json")
        if patience is not None:
            request.extensions["timeout"] = _timeout(patience.timeout_seconds).as_dict()
            request.extensions[_START_BY] = time.monotonic() + patience.start_within_seconds
        return decoded(self._repeated(request, ()), answer)

    def request(
        self,
        method: Method,
        path: str,
        *,
        params: Params = (),
        body: Mapping[str, Any] | None = None,
        repeat: bool | None = None,
        login: bool = True,
        accept: str = "application/json",
        max_bytes: int | None = None,
        first_line: bool = False,
    ) -> Answer:
        """One call, with its repeats. Raises AirflowError; never answers a status that is not 2xx.

        ``max_bytes`` lowers the cap on the decoded body for this call. ``first_line`` stops reading at the first line
        break, for a stream that may go on for ever.
        """
        pauses = BACKOFF_SECONDS if repeat or (repeat is None and method == "GET") else ()
        request = self._built(method, path, params, body, accept)
        return self._repeated(request, pauses, login, max_bytes, first_line)

    def _repeated(
        self,
        request: httpx.Request,
        pauses: Sequence[float],
        login: bool = True,
        max_bytes: int | None = None,
        first_line: bool = False,
    ) -> Answer:
        for attempt in range(len(pauses) + 1):
            try:
                return self._authorised(request, login, max_bytes, first_line)
            except errors.TimedOut:
                raise  # asking an overloaded server again, for as long, helps neither side
            except (errors.Unreachable, _Refused) as error:
                cause = error.cause if isinstance(error, _Refused) else error
                pause = _pause(error, pauses[attempt]) if attempt < len(pauses) else None
                if pause is None:
                    raise cause from None
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _built(
        self, method: Method, path: str, params: Params, body: Mapping[str, Any] | None, accept: str
    ) -> httpx.Request:
        headers = {"Accept": accept} | ({} if body is None else {"Content-Type": "application/json"})
        content = None if body is None else msgspec.json.encode(body)
        url = self._base_url + path + (f"?{urlencode(params)}" if params else "")
        try:
            return self._http.build_request(method, url, content=content, headers=headers)
        except httpx.InvalidURL as error:
            raise errors.NotFound(
                404, "An id is too long for an address, or holds characters that none can."
            ) from error

    def _authorised(self, request: httpx.Request, login: bool, max_bytes: int | None, first_line: bool) -> Answer:
        """Send, and once more after a new login when Airflow does not take the token any more."""
        session = self.session if login else None
        if session is None:
            return self._accepted(request, max_bytes, first_line)
        token = session.token()
        request.headers["Authorization"] = f"Bearer {token}"
        try:
            return self._accepted(request, max_bytes, first_line)
        except _Refused as refused:
            if not (is_stale_login(refused.cause) and session.renewable):
                raise
        # Refused before anything was done, so this repeats no write.
        request.headers["Authorization"] = f"Bearer {session.token(refused=token)}"
        return self._accepted(request, max_bytes, first_line)

    def _accepted(self, request: httpx.Request, max_bytes: int | None, first_line: bool) -> Answer:
        answer = self._sent(request, max_bytes or self._limits.max_body_bytes, first_line)
        if 200 <= answer.status < 300:
            return answer
        if answer.status < 400:
            target = f" to {urlsplit(answer.location).path[:100]}" if answer.location else ""
            raise errors.BadPayload(
                f"{self._host} answered {answer.status} and redirects{target}; redirects are not followed. "
                "Check the base URL (http or https, path prefix)."
            )
        secrets = self.session.secrets() if self.session else []
        raise _Refused(refusal(answer.status, answer.content_type, answer.body, secrets), answer.retry_after)

    def _sent(self, request: httpx.Request, max_bytes: int, first_line: bool) -> Answer:
        with self._slot(), self._no_httpx_errors(request):
            now = time.monotonic()
            if now > request.extensions.get(_START_BY, now):
                raise errors.NotSent(f"A request to {self._host} waited too long for its turn and was not sent.")
            deadline = now + self._limits.timeout_seconds * WHOLE_ANSWER_TIMEOUTS
            response = self._http.send(request, stream=True)
            self._note_clock(response.headers.get("Date", ""))
            try:
                if response.status_code >= 300:
                    max_bytes = min(max_bytes, ERROR_BODY_BYTES)
                body = self._body(response, max_bytes, first_line, deadline)
            finally:
                response.close()
        headers = response.headers
        return Answer(
            response.status_code,
            headers.get("Content-Type", "").lower(),
            body,
            headers.get("Retry-After", ""),
            headers.get("Location", ""),
        )

    def _note_clock(self, date: str) -> None:
        with suppress(ValueError, TypeError, OverflowError):  # a Date that is none tells nothing
            self.clock_ahead = parsedate_to_datetime(date) - datetime.now(UTC)

    def _body(self, response: httpx.Response, max_bytes: int, first_line: bool, deadline: float) -> bytes:
        """The decoded body, counted while it comes in, so that a huge or endless one costs only the cap."""
        encoding = response.headers.get("Content-Encoding", "").lower().strip()
        if encoding not in ("", "identity", "gzip"):  # one layer of what was asked for: no bombs in bombs
            raise errors.BadPayload(
                f"{self._host} answered in the encoding “{encoding[:40]}”, which was not asked for."
            )
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if first_line and b"\n" in piece:
                return bytes(body[: body.index(b"\n")])
            if len(body) > max_bytes:
                if response.status_code >= 300:
                    return bytes(body[:max_bytes])
                raise errors.BadPayload(f"{self._host} answered more than {_size(max_bytes)}; the rest was not read.")
            if time.monotonic() > deadline:
                raise errors.TimedOut(f"{self._host} did not finish its answer in time.")
        return bytes(body)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """A place among this client's requests, then one among those of the whole install."""
        wait_seconds = self._limits.timeout_seconds * WHOLE_ANSWER_TIMEOUTS
        if not self._in_flight.acquire(timeout=wait_seconds):
            raise errors.NotSent(f"No request to {self._host} could be started in time: too many are under way.")
        try:
            with self._slots.hold() if self._slots else nullcontext():
                yield
        finally:
            self._in_flight.release()

    @contextmanager
    def _no_httpx_errors(self, request: httpx.Request) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            seconds = request.extensions["timeout"]["read"]
            raise errors.TimedOut(f"{self._host} did not answer within {seconds:g} s.") from error
        except httpx.DecodingError as error:
            raise errors.BadPayload(f"{self._host} answered something that cannot be unpacked.") from error
        except (httpx.TransportError, httpx.StreamError) as error:
            reason = " ".join(str(error).split())[:_SENTENCE_LENGTH].rstrip(".")
            raise errors.Unreachable(f"{self._host} cannot be reached: {reason or type(error).__name__}.") from error


class _Refused(Exception):
    """An error status on its way to the retry loop, with the server's wish for a pause."""

    def __init__(self, cause: errors.Rejected, retry_after: str) -> None:
        super().__init__()
        self.cause = cause
        self.retry_after = retry_after


def _pause(error: Exception, backoff_seconds: float) -> float | None:
    """Seconds until the next try; ``None`` when there is none."""
    pause = backoff_seconds * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
    if not isinstance(error, _Refused):
        return pause
    if not error.cause.retryable:
        return None
    asked = float(error.retry_after) if error.retry_after.isascii() and error.retry_after.isdigit() else 0.0
    return max(pause, asked) if asked <= LONGEST_PAUSE_SECONDS else None


def decoded(answer: Answer, kind: type[T]) -> T:
    """The JSON body as ``kind``. Raises BadPayload when it is not JSON or not of that shape."""
    content_type = answer.content_type.split(";")[0].strip()
    if content_type and not content_type.endswith(("json", "json-seq")):
        raise errors.BadPayload(
            f"Airflow answered {content_type[:60]} instead of JSON. Check the base URL; "
            "it may also be that this version of Airflow does not know the call."
        )
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.ValidationError as error:
        raise errors.BadPayload(f"Airflow answered JSON of another shape: {str(error)[:_SENTENCE_LENGTH]}.") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise errors.BadPayload("Airflow answered something that is not JSON.") from None


def _size(number: int) -> str:
    return f"{number / 2**20:.0f} MB" if number >= 2**20 else f"{number:,} bytes"
