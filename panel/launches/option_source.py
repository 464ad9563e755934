"""Reading the options of a param over HTTP: a JSON list, from a host that the settings name, and nothing else.

The address of a source is written by an admin and completed with what a person chose, so it is taken for hostile: https
only (outside of development), no redirects, no proxies, the address that was checked is the one that is connected to,
and both the time and the size of an answer are bounded.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from panel.domain.option_hosts import OptionHost
from panel.launches.shapes import PLACEHOLDER
from panel.launches.validation import unsendable

SECONDS: Final = 4.0
"""For connecting, sending and reading together. (Resolving the name takes what the machine's resolver takes.)"""
MOST_BYTES: Final = 256 * 1024
MOST_OPTIONS: Final = 1_000
LONGEST_URL: Final = 1_000
LONGEST_WORD: Final = 200
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

Option = tuple[Any, str]
"""A value and its label."""


class NotReadable(Exception):
    """Why a source gave no options, in a sentence for people; it never repeats what the source said."""


class Away(NotReadable):
    """Its host does not answer, so that nothing else needs to be asked there for a while."""


@dataclass(frozen=True, slots=True)
class _Place:
    host: OptionHost
    port: int
    parts: SplitResult

    @property
    def target(self) -> str:
        return (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")


def completed_url(template: str, word: str) -> str:
    """The address with the deciding value in it, encoded so that it stays within its place. Raises NotReadable."""
    if word in {".", ".."} or len(word) > LONGEST_WORD:
        raise NotReadable(_("This value cannot be asked for."))
    return PLACEHOLDER.sub(lambda _found: quote(word, safe=""), template)


def check_source(template: str) -> None:
    """Raises NotReadable for an address that would never be read."""
    parts = _split(template)
    if any(brace in parts.netloc + parts.scheme for brace in "{}"):
        raise NotReadable(_("The host of the address cannot depend on a value."))
    _place(completed_url(template, "x"))


def read_options(url: str) -> list[Option]:
    """The options at this address: texts, numbers, or ``{"value", "label"}``. Raises NotReadable."""
    place = _place(url)
    started = time.monotonic()
    try:
        body = _fetched(place, started)
    except ssl.SSLCertVerificationError as error:
        raise Away(_("Its certificate does not hold.")) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, TimeoutError) or time.monotonic() - started >= SECONDS:
            raise Away(_("It did not answer within %(n)s seconds.") % {"n": round(SECONDS)}) from error
        raise Away(_("It cannot be reached.")) from error
    return _options(body)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError as error:
        raise NotReadable(_("This is not an address.")) from error
    unfit = any(ord(character) <= 32 or ord(character) >= 127 for character in url)
    if unfit or len(url) > LONGEST_URL or not parts.hostname or parts.username is not None or parts.fragment:
        raise NotReadable(_("This is not an address such as https://inventory.example.com/regions?env={env}."))
    return parts


def _place(url: str) -> _Place:
    parts = _split(url)
    schemes = {"https"} if settings.IN_PRODUCTION else {"https", "http"}
    if parts.scheme not in schemes:
        raise NotReadable(_("The address must begin with https://."))
    usual = 443 if parts.scheme == "https" else 80
    port = parts.port or usual
    hosts: list[OptionHost] = settings.LAUNCH_OPTION_HOSTS
    for host in hosts:
        if host.name == (parts.hostname or "").lower() and (host.port or usual) == port:
            return _Place(host, port, parts)
    raise NotReadable(_("The setting LAUNCH_OPTION_HOSTS does not name this host."))


def _fetched(place: _Place, started: float) -> bytes:
    connection = _connected(place)
    raw = connection.sock
    # A source that sends a byte now and then would keep within the time of each single read.
    end = threading.Timer(max(0.0, SECONDS - (time.monotonic() - started)), _shut, [raw])
    end.start()
    try:
        connection.request("GET", place.target, headers={"Accept": "application/json", "Accept-Encoding": "identity"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise NotReadable(_("It answered with status %(status)s.") % {"status": answer.status})
        body = answer.read(MOST_BYTES + 1)
    finally:
        end.cancel()
        connection.close()
    if time.monotonic() - started >= SECONDS:
        raise TimeoutError  # a connection that was shut looks like the end of the answer
    if len(body) > MOST_BYTES:
        raise NotReadable(_("Its answer is too large."))
    return body


def _shut(raw: socket.socket) -> None:
    try:
        raw.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended meanwhile


def _connected(place: _Place) -> http.client.HTTPConnection:
    """A connection to an address that was checked: the name is not resolved a second time."""
    refused: OSError | None = None
    for address in _addresses(place):
        try:
            raw = socket.create_connection((address, place.port), timeout=SECONDS)
        except OSError as error:
            refused = error
            continue
        connection = http.client.HTTPConnection(place.parts.hostname or "", place.parts.port, timeout=SECONDS)
        connection.sock = _encrypted(raw, place) if place.parts.scheme == "https" else raw
        return connection
    raise refused or OSError


def _encrypted(raw: socket.socket, place: _Place) -> ssl.SSLSocket:
    try:
        return ssl.create_default_context().wrap_socket(raw, server_hostname=place.parts.hostname)
    except OSError:
        raw.close()
        raise


def _addresses(place: _Place) -> Iterator[str]:
    found = socket.getaddrinfo(place.host.name, place.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        if not _may_be_asked(text.partition("%")[0], place.host):
            raise NotReadable(_("Its address is a private one, which the settings do not allow for this host."))
    yield from addresses


def _may_be_asked(text: str, host: OptionHost) -> bool:
    address = ipaddress.ip_address(text)
    wrapped = False
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = bool(address.sixtofour or address.teredo or address in _NAT64)
        address = address.ipv4_mapped or address
    if address.is_unspecified or address.is_multicast or address.is_link_local:
        return False  # where clouds keep the machine's own credentials
    return host.is_private or (address.is_global and not wrapped)


def _options(body: bytes) -> list[Option]:
    try:
        listed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotReadable(_("Its answer is not JSON.")) from error
    if not isinstance(listed, list):
        raise NotReadable(_("Its answer is not a list."))
    if len(listed) > MOST_OPTIONS:
        raise NotReadable(_("It lists more than %(n)s options.") % {"n": MOST_OPTIONS})
    options = [_option(one) for one in listed]
    if None in options or unsendable(listed):
        raise NotReadable(_("Its list holds something else than texts, numbers, or objects with “value” and “label”."))
    return [one for one in options if one is not None]


def _option(one: Any) -> Option | None:
    label = ""
    if isinstance(one, dict):
        label = one.get("label") or ""
        one = one.get("value")
    if not isinstance(one, str | int | float | bool) or not isinstance(label, str):
        return None
    return one, label[:200]
