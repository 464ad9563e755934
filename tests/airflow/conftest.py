"""The client under test, on a fake Airflow or on answers written by hand (httpx.MockTransport)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from panel.airflow import Airflow, BearerToken, Password
from tests.fakes.airflow import FakeAirflow, Task

Handler = Callable[[httpx.Request], httpx.Response]
PARAMS = {
    "z_first": {"value": None, "schema": {"type": "string", "title": "First"}, "description": "Who"},
    "n": {"value": 3, "schema": {"type": "integer", "minimum": 1, "maximum": 10}},
    "a_last": 5,
}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats follow at once."""
    monkeypatch.setattr("panel.airflow.transport.BACKOFF_SECONDS", (0.0, 0.0))


@pytest.fixture
def fake() -> FakeAirflow:
    return FakeAirflow()


@pytest.fixture
def client() -> Iterator[Callable[..., Airflow]]:
    """``client(fake)`` or ``client(fake, user="viewer", …)``: a client of that fake; more as ``Airflow`` takes them."""
    with ExitStack() as opened:

        def make(fake: FakeAirflow, *, user: str = "op", **more: object) -> Airflow:
            arguments = {"transport": fake.transport(), **more}
            credentials = arguments.pop("credentials", Password(user, fake.password(user)))
            return opened.enter_context(Airflow(fake.base_url, credentials, **arguments))

        yield make


@pytest.fixture
def airflow(client: Callable[..., Airflow], fake: FakeAirflow) -> Airflow:
    return client(fake)


@pytest.fixture
def answering() -> Iterator[Callable[..., Airflow]]:
    """``answering(handler)``: a client with a ready token whose requests a function answers."""
    with ExitStack() as opened:

        def make(handler: Handler, **more: object) -> Airflow:
            arguments = {
                "base_url": "http://airflow.test",
                "credentials": BearerToken("ready-token-0123456789"),
                **more,
            }
            return opened.enter_context(Airflow(transport=httpx.MockTransport(handler), **arguments))

        yield make


@pytest.fixture
def etl(fake: FakeAirflow) -> FakeAirflow:
    """A run of five: 1 failed, 2 returned nothing; then the aggregator."""
    tasks = [
        Task("items", downstream=["work"]),
        Task("work", is_mapped=True, expands="items", downstream=["agg"]),
        Task("agg", trigger_rule="all_done"),
    ]
    fake.add_dag("etl", params=PARAMS, tasks=tasks)
    fake.add_run("etl", "r1", state="queued")

    def work(row):
        if row.task_id == "items":
            return list(range(5))
        if row.map_index == 1:
            raise RuntimeError("boom")
        return None if row.map_index == 2 else {"task": row.task_id, "index": row.map_index}

    fake.run_queued(work)
    fake.forget_requests()
    return fake
