"""Who may talk to an Airflow server now: leases in the broker, counted over all processes of the install.

A sorted set a server: member = one request in flight, score = when its lease ends, by the broker's clock. Leases of a
process that died run out by themselves; those of a long request are renewed by one thread a process. A second key says
that somebody waits. Twenty-odd simultaneous requests dead-lock an Airflow api-server (AIRFLOW.md §0.5), so the limit
holds even when the broker is away: then each process has one slot a server.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from django.utils.translation import gettext as _

from panel.airflow import NotSent
from panel.broker import KEY_PREFIX, BrokerError, broker

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 15.0
RENEW_SECONDS: Final = 5.0
HANDED_ON_SECONDS: Final = 0.25
"""How long a lease goes from one request of a crowd to the next, until others get their chance."""
LONGEST_PAUSE: Final = 0.225
"""Seconds between two looks of one who waits for a slot."""
BROKER_AWAY_SECONDS: Final = 5.0
"""How long a broker that did not answer is not asked again, so that not every request pays its time-out."""

# The lease is written with the broker's own clock: the processes' clocks may differ.
_TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
    redis.call('SET', KEYS[2], 1, 'PX', ARGV[4])
    return 0
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
_GIVE_BACK: Final = """
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('EXISTS', KEYS[2])
"""
# A lease that was lost (the broker was wiped, this process slept) is entered again: its request is still in flight.
_RENEW: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""


class NoSlot(NotSent):
    """All slots stayed in use."""


class _Lease(NamedTuple):
    name: str
    handed_on_until: float


class LeasedSlots:
    """The slots of one server. ``limit`` requests at once over all processes; ``wait_seconds`` until NoSlot."""

    def __init__(self, name: str, *, limit: int, wait_seconds: float) -> None:
        self.key = f"{KEY_PREFIX}slots:{name}"
        self._keys = self.key, f"{self.key}:waited-for"
        self.limit = limit
        self.wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._handing_on = False
        self._spare: list[_Lease] = []

    @contextmanager
    def hold(self) -> Iterator[None]:
        deadline = time.monotonic() + self.wait_seconds
        lease = self._take(deadline)
        if lease is None:
            with self._only_one_here(deadline):
                yield
            return
        _renewal.add(self.key, lease.name)
        try:
            yield
        finally:
            _renewal.remove(self.key, lease.name)
            self._leave(lease)

    @contextmanager
    def handing_on(self) -> Iterator[None]:
        """For a crowd of requests through this object: a slot goes from one straight to the next. Asking the broker
        before and after each costs a tenth of what Airflow takes to answer a small one."""
        self._handing_on = True
        try:
            yield
        finally:
            with self._lock:
                self._handing_on = False
                spare, self._spare = self._spare, []
            for lease in spare:
                self._give_back(lease)

    def _leave(self, lease: _Lease) -> None:
        with self._lock:
            if self._handing_on:
                self._spare.append(lease)
                return
        self._give_back(lease)

    def _handed_on(self) -> _Lease | None:
        with self._lock:
            if not self._spare:
                return None
            lease = self._spare.pop()
        if time.monotonic() < lease.handed_on_until:
            return lease
        if self._give_back(lease):
            time.sleep(LONGEST_PAUSE)
        return None

    def _give_back(self, lease: _Lease) -> bool:
        """Whether somebody waits for one."""
        return bool(_circuit.attempt(lambda: broker().eval(_GIVE_BACK, 2, *self._keys, lease.name)))

    def _take(self, deadline: float) -> _Lease | None:
        """A lease, or ``None`` when the broker is away."""
        lease = uuid.uuid4().hex
        told = lease, str(self.limit), *(str(int(seconds * 1000)) for seconds in (LEASE_SECONDS, 2 * LONGEST_PAUSE))
        pause = 0.01
        while True:
            if handed_on := self._handed_on():
                return handed_on
            taken = _circuit.attempt(lambda: broker().eval(_TAKE, 2, *self._keys, *told))
            if taken is None:
                return None
            if taken:
                return _Lease(lease, time.monotonic() + HANDED_ON_SECONDS)
            self._pause(pause, deadline)
            pause = min(pause * 1.5, LONGEST_PAUSE / 1.5)

    def _pause(self, seconds: float, deadline: float) -> None:
        if time.monotonic() >= deadline:
            raise self._too_busy()
        time.sleep(seconds * random.uniform(0.5, 1.5))  # noqa: S311 - spreads the waiting, guards nothing

    @contextmanager
    def _only_one_here(self, deadline: float) -> Iterator[None]:
        with _guard:
            place = _places[self.key]
        if not place.acquire(timeout=max(deadline - time.monotonic(), 0)):
            raise self._too_busy()
        try:
            yield
        finally:
            place.release()

    def _too_busy(self) -> NoSlot:
        return NoSlot(
            _("No request to Airflow could be started in %(seconds)d s: all %(limit)d slots of this server are in use.")
            % {"seconds": self.wait_seconds, "limit": self.limit}
        )


class _Circuit:
    """Asks the broker, or does not while it is known to be away."""

    def __init__(self) -> None:
        self._away_until = 0.0

    def attempt(self, call: Callable[[], Any]) -> Any:
        """The broker's answer; ``None`` when it is away."""
        if time.monotonic() < self._away_until:
            return None
        try:
            return call()
        except BrokerError as error:
            self._away_until = time.monotonic() + BROKER_AWAY_SECONDS
            logger.warning(
                "The broker does not answer (%s): one request a server and process for now.", type(error).__name__
            )
            return None

    def forget(self) -> None:
        self._away_until = 0.0


class _Renewal:
    """Keeps the leases of this process alive, by one thread that lives while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[tuple[str, str]] = set()
        self._thread: threading.Thread | None = None

    def add(self, key: str, lease: str) -> None:
        with self._lock:
            self._held.add((key, lease))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="slot-renewal", daemon=True)
                self._thread.start()

    def remove(self, key: str, lease: str) -> None:
        with self._lock:
            self._held.discard((key, lease))

    def _run(self) -> None:
        while True:
            time.sleep(RENEW_SECONDS)
            with self._lock:
                held = list(self._held)
                if not held:
                    self._thread = None
                    return
            for key, lease in held:
                self._renew(key, lease)

    def _renew(self, key: str, lease: str) -> None:
        _circuit.attempt(lambda: broker().eval(_RENEW, 1, key, lease, str(int(LEASE_SECONDS * 1000))))
        with self._lock:
            given_back = (key, lease) not in self._held
        if given_back:  # between the list above and the renewal: it must not come back to life
            _circuit.attempt(lambda: broker().zrem(key, lease))


_circuit = _Circuit()
_renewal = _Renewal()
_guard = threading.Lock()
_places: defaultdict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(1))


def forget_broker() -> None:
    """Ask the broker again, however it answered last."""
    _circuit.forget()


def _after_fork() -> None:
    """A child holds none of its parent's leases, and no thread of it runs here."""
    global _circuit, _renewal, _guard, _places  # noqa: PLW0603 - the state of one process
    _circuit, _renewal, _guard = _Circuit(), _Renewal(), threading.Lock()
    _places = defaultdict(lambda: threading.Semaphore(1))


os.register_at_fork(after_in_child=_after_fork)
