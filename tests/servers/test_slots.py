"""At most so many requests in flight a server, over all processes of the install, whatever dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from panel import broker as broker_module
from panel.airflow import TimedOut
from panel.broker import broker
from panel.servers import slots
from panel.servers.client import in_flight_limit
from panel.servers.models import Server
from panel.servers.slots import LeasedSlots, NoSlot

PROCESSES, LIMIT = 6, 4


class PeakCounter(ThreadingHTTPServer):
    """An Airflow that only tells its version, takes its time over it, and counts how many ask at once."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Versions)
        self.lock = threading.Lock()
        self.in_flight = self.peak = self.served = 0


class _Versions(BaseHTTPRequestHandler):
    server: PeakCounter

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.in_flight += 1
            self.server.peak = max(self.server.peak, self.server.in_flight)
        time.sleep(0.03)
        with self.server.lock:
            self.server.in_flight -= 1
            self.server.served += 1
        body = json.dumps({"version": "3.3.2", "git_version": None}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def peaks() -> Iterator[PeakCounter]:
    server = PeakCounter()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def slot_user(broker_url: str, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"REDIS_URL": broker_url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-m", "tests.servers.slot_user", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@contextmanager
def in_another_thread(leases: LeasedSlots) -> Iterator[None]:
    """Somebody else in this process holds one."""
    held, done = threading.Event(), threading.Event()

    def keep() -> None:
        with leases.hold():
            held.set()
            done.wait(30)

    thread = threading.Thread(target=keep)
    thread.start()
    assert held.wait(10)
    yield
    done.set()
    thread.join()


@pytest.mark.parametrize("how", ["call", "crowd"])
def test_six_processes_together_never_pass_the_limit_and_use_all_of_it(broker_url, peaks, how) -> None:
    base_url = f"http://127.0.0.1:{peaks.server_port}"
    users = [slot_user(broker_url, how, base_url, str(LIMIT), "3", "6") for _ in range(PROCESSES)]
    assert [user.wait(90) for user in users] == [0] * PROCESSES
    assert peaks.served == PROCESSES * 3 * 6
    assert peaks.peak == LIMIT
    assert broker().zcard("mapboard:slots:shared") == 0


def test_a_long_request_keeps_its_slot_and_a_killed_process_gives_its_slots_back(broker_url) -> None:
    holder = slot_user(broker_url, "hold", "killed", "2")
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(NoSlot), LeasedSlots("killed", limit=2, wait_seconds=2.5).hold():
            pass  # two and a half leases later both are still held
    finally:
        holder.kill()
        holder.wait()
    with LeasedSlots("killed", limit=2, wait_seconds=10).hold():
        assert broker().zcard("mapboard:slots:killed") <= 2


def test_a_slot_comes_back_after_an_error(broker_url) -> None:
    leases = LeasedSlots("one", limit=1, wait_seconds=0.2)
    with pytest.raises(RuntimeError), leases.hold():
        raise RuntimeError
    with leases.hold():
        pass


def test_waiting_for_a_slot_ends_in_a_sentence(broker_url) -> None:
    leases = LeasedSlots("busy", limit=1, wait_seconds=0.2)
    with (
        in_another_thread(leases),
        pytest.raises(TimedOut, match="all 1 slots of this server are in use"),
        leases.hold(),
    ):
        pass


def test_servers_do_not_share_slots(broker_url) -> None:
    with in_another_thread(LeasedSlots("a", limit=1, wait_seconds=1)), LeasedSlots("b", limit=1, wait_seconds=1).hold():
        pass


def test_leases_that_the_broker_lost_are_entered_again(broker_url, monkeypatch) -> None:
    monkeypatch.setattr(slots, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(slots, "_renewal", slots._Renewal())  # the process's own may be asleep for seconds
    leases = LeasedSlots("wiped", limit=1, wait_seconds=1)
    with leases.hold():
        broker().delete(leases.key)
        deadline = time.monotonic() + 10
        while not broker().zcard(leases.key):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert broker().zcard(leases.key) == 0


def leased(leases: LeasedSlots) -> list[bytes]:
    """Which leases are written down."""
    return broker().zrange(leases.key, 0, -1)


def test_in_a_crowd_one_lease_goes_from_request_to_request(broker_url) -> None:
    leases = LeasedSlots("crowd", limit=4, wait_seconds=1)
    seen = []
    with leases.handing_on():
        for _ in range(3):
            with leases.hold():
                seen += leased(leases)
        assert len(leased(leases)) == 1, "kept for the next"
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert leased(leases) == []
    with leases.hold():
        assert leased(leases) != seen[:1]
    assert leased(leases) == [], "outside a crowd nothing is kept"


def test_requests_of_a_crowd_at_the_same_time_have_a_lease_each(broker_url) -> None:
    leases = LeasedSlots("together", limit=4, wait_seconds=1)
    with leases.handing_on():
        with leases.hold(), in_another_thread(leases):
            assert len(leased(leases)) == 2
        with leases.hold(), in_another_thread(leases):
            assert len(leased(leases)) == 2
    assert leased(leases) == []


def test_one_that_waits_is_handed_what_its_own_crowd_leaves(broker_url) -> None:
    leases = LeasedSlots("own", limit=1, wait_seconds=10)
    with leases.handing_on():
        with in_another_thread(leases):
            waiting = threading.Thread(target=lambda: leases.hold().__enter__())
            waiting.start()
            time.sleep(0.05)
        waiting.join(5)
        assert not waiting.is_alive()


def test_one_that_is_in_use_when_a_crowd_ends_is_given_back_after_it(broker_url) -> None:
    leases = LeasedSlots("late", limit=4, wait_seconds=1)
    crowd = leases.handing_on()
    crowd.__enter__()
    with leases.hold():
        crowd.__exit__(None, None, None)
        assert len(leased(leases)) == 1
    assert leased(leases) == []


def test_a_lease_is_handed_on_for_so_long_only_and_nobody_pauses_for_no_one(broker_url, monkeypatch) -> None:
    monkeypatch.setattr(slots, "HANDED_ON_SECONDS", 0.0)
    monkeypatch.setattr(slots, "LONGEST_PAUSE", 60.0)
    leases = LeasedSlots("short", limit=1, wait_seconds=1)
    seen = []
    with leases.handing_on():
        for _ in range(3):
            with leases.hold():
                seen += leased(leases)
    assert len(set(seen)) == 3


def test_who_waits_gets_a_slot_while_a_crowd_uses_all(broker_url) -> None:
    crowd = LeasedSlots("fair", limit=1, wait_seconds=30)
    at_work, enough = threading.Event(), threading.Event()

    def go_on() -> None:
        with crowd.handing_on():
            while not enough.is_set():
                with crowd.hold():
                    at_work.set()
                    time.sleep(0.01)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for _ in range(3):
            assert at_work.wait(30), "and the crowd goes on after each"
            with LeasedSlots("fair", limit=1, wait_seconds=30).hold():
                at_work.clear()
    finally:
        enough.set()
        thread.join()
    assert leased(crowd) == []


def test_a_crowd_that_began_with_a_broker_goes_on_without(broker_url, settings, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(slots, "HANDED_ON_SECONDS", 0.0)
    leases = LeasedSlots("left", limit=4, wait_seconds=1)
    with leases.handing_on():
        with leases.hold():
            pass
        settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
        with leases.hold(), pytest.raises(NoSlot), LeasedSlots("left", limit=4, wait_seconds=0.1).hold():
            pass
    slots.forget_broker()


@pytest.fixture
def no_broker(settings, tmp_path) -> Iterator[None]:
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    slots.forget_broker()
    yield
    slots.forget_broker()


def test_without_a_broker_each_process_has_one_slot_a_server(no_broker) -> None:
    leases = LeasedSlots("alone", limit=4, wait_seconds=0.2)
    with in_another_thread(leases):
        with pytest.raises(NoSlot), leases.hold():
            pass
        with LeasedSlots("another", limit=4, wait_seconds=0.2).hold():
            pass
    with leases.hold():
        pass


def test_a_broker_that_hangs_is_asked_once_and_not_by_every_request(settings, monkeypatch) -> None:
    monkeypatch.setattr(broker_module, "ANSWER_SECONDS", 0.3)
    asked = 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        settings.REDIS_URL = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        slots.forget_broker()
        started = time.monotonic()
        for _ in range(20):
            with LeasedSlots("hanging", limit=4, wait_seconds=1).hold():
                pass
        took = time.monotonic() - started
        try:
            while True:
                listener.accept()
                asked += 1
        except TimeoutError:
            pass
    slots.forget_broker()
    assert asked == 1
    assert took < 3


@pytest.mark.parametrize(("of_server", "setting", "limit"), [(4, 4, 4), (8, 4, 4), (2, 4, 2), (8, 8, 8), (20, 20, 8)])
def test_the_setting_caps_what_a_server_allows_and_nothing_passes_eight(settings, of_server, setting, limit) -> None:
    settings.AIRFLOW_MAX_IN_FLIGHT = setting
    assert in_flight_limit(Server(max_in_flight=of_server)) == limit
