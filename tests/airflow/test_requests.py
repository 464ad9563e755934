"""One request: repeats, time-outs, sizes, encodings, redirects, and how many at once."""

from __future__ import annotations

import gzip
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from panel.airflow import BadPayload, RateLimited, ServerFault, TimedOut, Unreachable
from tests.fakes.airflow import Task

DAGS = {"dags": [], "total_entries": 0}


def counting(*responses):
    """A handler that gives these answers in turn (the last one for ever), and the list of requests it saw."""
    seen = []

    def handle(request):
        seen.append(request)
        return responses[min(len(seen), len(responses)) - 1]()

    return handle, seen


# Repeats


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 500}, {"status": 503}, {"status": 429}])
def test_a_get_is_repeated_twice_at_most(airflow, fake, fault):
    airflow.dags.list()
    fake.fail_next(**fault, path="/dags", times=2)
    assert airflow.dags.list() == []
    fake.forget_requests()
    fake.fail_next(**fault, path="/dags", times=3)
    with pytest.raises((Unreachable, ServerFault, RateLimited)):
        airflow.dags.list()
    assert len(fake.calls("GET", "/dags")) == 3


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_refused_get_is_not_repeated(airflow, fake, status):
    fake.fail_next(status=status, path="/dags")
    with pytest.raises(Exception, match=str(status)):
        airflow.dags.list()
    assert len(fake.calls("GET", "/dags")) == 1


def test_a_listing_post_is_repeated(airflow, fake):
    fake.fail_next(status=503, path="taskInstances/list", times=2)
    assert airflow.instances.bulk("etl", "r1") == []


@pytest.mark.parametrize("fault", [{"drop": True}, {"drop": True, "after": True}, {"status": 500}, {"status": 429}])
@pytest.mark.parametrize("call", ["trigger", "clear", "set_state", "set_note"])
def test_a_write_is_sent_once(airflow, fake, fault, call):
    fake.add_dag("etl")
    fake.add_run("etl", "r1")
    writes = {
        "trigger": lambda: airflow.runs.trigger("etl", run_id="r2", conf={}),
        "clear": lambda: airflow.instances.clear("etl", "r1", ["work"], dry_run=False),
        "set_state": lambda: airflow.instances.set_state("etl", "r1", "work", -1, "failed"),
        "set_note": lambda: airflow.instances.set_note("etl", "r1", "work", -1, "why"),
    }
    assert airflow.capabilities  # so that nothing but the write itself is left to send
    airflow.dags.list()
    fake.forget_requests()
    fake.fail_next(**fault, path="/dags")
    with pytest.raises((Unreachable, ServerFault, RateLimited)):
        writes[call]()
    assert len(fake.requests) == 1


def test_a_read_that_timed_out_is_not_repeated(airflow, fake):
    fake.fail_next(hang=1, path="/dags")
    with pytest.raises(TimedOut):
        airflow.dags.list()
    assert len(fake.calls("GET", "/dags")) == 1


def test_retry_after_is_honoured(answering, monkeypatch):
    pauses = []
    monkeypatch.setattr("panel.airflow.transport.time.sleep", pauses.append)
    handle, seen = counting(
        lambda: httpx.Response(429, headers={"Retry-After": "3"}), lambda: httpx.Response(200, json=DAGS)
    )
    assert answering(handle).dags.list() == []
    assert pauses == [3.0]
    assert len(seen) == 2


@pytest.mark.parametrize("header", ["3600", "11"])
def test_a_long_retry_after_is_not_waited_for(answering, monkeypatch, header):
    monkeypatch.setattr("panel.airflow.transport.time.sleep", lambda seconds: pytest.fail("it waited"))
    handle, seen = counting(lambda: httpx.Response(429, headers={"Retry-After": header}))
    with pytest.raises(RateLimited):
        answering(handle).dags.list()
    assert len(seen) == 1


@pytest.mark.parametrize("header", ["", "soon", "-5", "Wed, 21 Oct 2026 07:28:00 GMT", "٣"])
def test_a_retry_after_that_is_no_number_of_seconds(answering, header):
    headers = [(b"Retry-After", header.encode())]
    handle, seen = counting(lambda: httpx.Response(503, headers=headers), lambda: httpx.Response(200, json=DAGS))
    assert answering(handle).dags.list() == []
    assert len(seen) == 2


# Sizes


class Endless(httpx.SyncByteStream):
    """Bytes for ever; notes how many were taken."""

    def __init__(self, piece=b" " * 65_536, pause=0.0):
        self.piece, self.taken, self.closed, self.pause = piece, 0, False, pause

    def __iter__(self):
        while self.taken < 2**30:
            time.sleep(self.pause)
            self.taken += len(self.piece)
            yield self.piece

    def close(self):
        self.closed = True


def test_an_endless_answer_is_cut_off(answering):
    stream = Endless()
    airflow = answering(lambda request: httpx.Response(200, stream=stream), max_body_bytes=1_000_000)
    with pytest.raises(BadPayload, match="more than"):
        airflow.dags.list()
    assert stream.taken < 1_200_000
    assert stream.closed


def test_an_answer_of_exactly_the_limit_is_read(answering):
    body = b'{"dags":[],"total_entries":0}'
    headers = {"Content-Type": "application/json"}
    airflow = answering(lambda request: httpx.Response(200, content=body, headers=headers), max_body_bytes=len(body))
    assert airflow.dags.list() == []
    airflow = answering(
        lambda request: httpx.Response(200, content=body, headers=headers), max_body_bytes=len(body) - 1
    )
    with pytest.raises(BadPayload):
        airflow.dags.list()


def test_a_gzip_bomb_is_cut_off(answering):
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000

    class Bomb(Endless):
        def __iter__(self):
            for start in range(0, len(bomb), 1_000):
                self.taken += 1
                yield bomb[start : start + 1_000]

    stream = Bomb()
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    airflow = answering(lambda request: httpx.Response(200, stream=stream, headers=headers), max_body_bytes=5_000_000)
    with pytest.raises(BadPayload, match="more than"):
        airflow.dags.list()
    assert stream.taken < 10  # of about 49 pieces


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "zstd"])
def test_an_encoding_nobody_asked_for(answering, encoding):
    stream = Endless()
    headers = {"Content-Encoding": encoding}
    airflow = answering(lambda request: httpx.Response(200, stream=stream, headers=headers))
    with pytest.raises(BadPayload, match="not asked for"):
        airflow.dags.list()
    assert stream.taken == 0


def test_spoilt_gzip(answering):
    class Spoilt(Endless):
        def __iter__(self):
            yield b"this is no gzip"

    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    with pytest.raises(BadPayload, match="unpacked"):
        answering(lambda request: httpx.Response(200, stream=Spoilt(), headers=headers)).dags.list()


def test_a_long_error_body_is_not_read_to_its_end(answering):
    stream = Endless(b"x" * 65_536)
    headers = {"Content-Type": "text/plain"}
    with pytest.raises(ServerFault):
        answering(lambda request: httpx.Response(500, stream=stream, headers=headers)).runs.trigger(
            "etl", run_id="r", conf={}
        )
    assert stream.taken < 1_000_000


def test_an_answer_that_trickles_in(answering):
    stream = Endless(b" ", pause=0.01)
    airflow = answering(lambda request: httpx.Response(200, stream=stream), timeout_seconds=0.02)
    with pytest.raises(TimedOut, match="did not finish"):
        airflow.dags.list()
    assert stream.closed


# What an answer is


def test_a_page_instead_of_json(airflow, fake):
    fake.fail_next(html=True, path="/dags")
    with pytest.raises(BadPayload, match="text/html instead of JSON"):
        airflow.dags.list()


def test_garbage_instead_of_json(airflow, fake):
    fake.fail_next(garbage=True, path="/dags")
    with pytest.raises(BadPayload, match="not JSON"):
        airflow.dags.list()


@pytest.mark.parametrize("body", [{}, [], {"dags": 7}, {"dags": [{"no_id": 1}]}, {"dags": [], "total_entries": "x"}])
def test_json_of_another_shape(airflow, fake, body):
    fake.fail_next(json=body or [7], path="/dags")
    with pytest.raises(BadPayload, match="another shape"):
        airflow.dags.list()


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"\xff\xfe", b"NaN"])
def test_answers_that_break_a_parser(answering, content):
    headers = {"Content-Type": "application/json"}
    with pytest.raises(BadPayload):
        answering(lambda request: httpx.Response(200, content=content, headers=headers)).dags.list()


def test_unknown_fields_are_ignored(airflow, fake):
    fake.fail_next(json={"dags": [{"dag_id": "etl", "new_in_4": {"x": 1}}], "total_entries": 1, "z": 1}, path="/dags")
    assert [dag.dag_id for dag in airflow.dags.list()] == ["etl"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(answering, status):
    headers = {"Location": "https://evil.test/login?next=secret"}
    handle, seen = counting(lambda: httpx.Response(status, headers=headers))
    with pytest.raises(BadPayload, match=r"redirects to /login") as caught:
        answering(handle).dags.list()
    assert len(seen) == 1
    assert "secret" not in str(caught.value)


def test_cookies_are_not_kept(answering):
    handle, seen = counting(lambda: httpx.Response(200, json=DAGS, headers={"Set-Cookie": "_token=x; Path=/"}))
    airflow = answering(handle)
    airflow.dags.list()
    airflow.dags.list()
    assert "cookie" not in seen[1].headers


def test_gzip_is_asked_for_and_unpacked(answering):
    handle, seen = counting(
        lambda: httpx.Response(
            200,
            content=gzip.compress(b'{"dags":[{"dag_id":"etl"}],"total_entries":1}'),
            headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
        )
    )
    assert [dag.dag_id for dag in answering(handle).dags.list()] == ["etl"]
    assert seen[0].headers["accept-encoding"] == "gzip"


# How many at once


@pytest.mark.parametrize("most", [1, 4])
def test_no_more_requests_at_once_than_allowed(client, fake, most):
    fake.add_dag("etl", tasks=[Task("work", is_mapped=True, expands=1)])
    airflow = client(fake, max_in_flight=most)
    airflow.dags.list()
    fake.forget_requests()
    fake.delay_seconds = 0.02
    threads = [threading.Thread(target=airflow.dags.list) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(fake.calls("GET", "/dags")) == 10
    assert fake.peak_in_flight <= most


@pytest.mark.parametrize("most", [0, 9, -1])
def test_limits_that_make_no_sense(client, fake, most):
    with pytest.raises(ValueError, match="in flight"):
        client(fake, max_in_flight=most)


class Counter:
    """Slots that count how they are held."""

    def __init__(self):
        self.held = self.taken = 0

    @contextmanager
    def hold(self):
        self.held += 1
        self.taken += 1
        assert self.held == 1, "one request holds one slot"
        try:
            yield
        finally:
            self.held -= 1


def test_every_request_holds_a_slot(client, fake):
    slots = Counter()
    airflow = client(fake, slots=slots)
    airflow.check()
    fake.fail_next(status=503, path="/dags")
    airflow.dags.list()
    assert slots.taken == len(fake.requests) == 5  # version, login, dags; dags twice
    assert slots.held == 0


def test_no_slot_in_time(client, fake):
    class NoneFree:
        def hold(self):
            raise TimedOut("No slot came free in time.")

    with pytest.raises(TimedOut, match="No slot"):
        client(fake, slots=NoneFree()).version()
    assert fake.requests == []
