"""Each guard of "exactly once", taken out: the damage that it prevents. With the guard it does not happen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.db import connection
from django.db.models import Q

from panel.airflow import transport
from panel.airflow.transport import Patience
from panel.problems import Conflicting
from panel.retries import runner, selectors, services
from panel.retries.models import RetryChunk, RetryItem, RetryJob
from panel.retries.policies import Policy
from panel.retries.runner import claims, closing, requests, resolving, sending
from panel.retries.runner.claims import Claim, ClaimLost
from panel.servers.client import open_client
from panel.servers.slots import LeasedSlots
from tests.fakes.airflow.clearing import Clearing
from tests.retries.conftest import Killed, pass_time
from tests.retries.proof import LONG_ENOUGH, effects, lives_again

pytestmark = pytest.mark.django_db

GUARDED = pytest.mark.parametrize("guarded", [True, False], ids=["with the guard", "without it"])


def die() -> None:
    raise Killed


def once_before(owner: object, name: str, happens: Callable[[], None]) -> Callable[..., Any]:
    """That function, right before whose first call this happens, and not again."""
    function = getattr(owner, name)
    happened = []

    def called(*args: Any, **more: Any) -> Any:
        if not happened:
            happened.append(True)
            happens()
        return function(*args, **more)

    return called


@pytest.fixture(autouse=True)
def _workers_nested_in_one_process(monkeypatch) -> None:
    """One goes on inside another's request: as on two machines, it does not wait for that one's slot."""
    monkeypatch.setattr(LeasedSlots, "hold", lambda self: nullcontext())


@pytest.fixture
def job_of(etl, jobs):
    """A job over all of these indices, of which nothing was counted yet."""

    def make(count: int, **policy) -> RetryJob:
        task = etl.stage(count, failed=range(count))
        etl.fake.effects.all.clear()
        return jobs.request(task, policy=Policy(**policy))

    return make


@GUARDED
def test_lease(etl, jobs, wire, monkeypatch, job_of, guarded):
    """A second wake takes the job away from the worker that is sending: what Airflow answered it is never written."""
    if not guarded:
        monkeypatch.setattr(claims, "unclaimed", lambda now: Q())
    job = job_of(3)
    wire.before_clear.append(lambda: runner.run_job(job.pk))
    runner.run_job(job.pk)
    assert jobs.counts(job) == ({"sent": 3} if guarded else {"sending": 3})


@GUARDED
def test_owner(etl, jobs, monkeypatch, job_of, guarded):
    """A worker that was stopped for minutes goes on where it was: the aggregator runs a second time."""
    if not guarded:
        monkeypatch.setattr(Claim, "keep", lambda self: None)
    job = job_of(3)

    def others_go_on() -> None:
        pass_time(LONG_ENOUGH)
        lives_again(etl, jobs, job)

    monkeypatch.setattr(closing, "chunk_size", once_before(closing, "chunk_size", others_go_on))
    runner.run_job(job.pk)
    etl.run_airflow()
    assert effects(etl)["report ran"] == {-1: 1 if guarded else 2}


@GUARDED
def test_reconcile(etl, jobs, wire, monkeypatch, job_of, guarded):
    """Killed after Airflow had cleared downstream: sent once more without a look, the aggregator runs twice."""
    if not guarded:
        monkeypatch.setattr(resolving, "_rows_now", lambda *args: {})
        monkeypatch.setattr(resolving, "_can_no_longer_arrive", lambda chunk: True)
    job = job_of(3)
    wire.after_clear += [lambda: None, die]
    with pytest.raises(Killed):
        jobs.work()
    etl.run_airflow()
    pass_time(LONG_ENOUGH)
    lives_again(etl, jobs, job)
    assert effects(etl)["report ran"] == {-1: 1 if guarded else 2}


@GUARDED
def test_waiting_for_what_may_still_arrive(etl, jobs, wire, monkeypatch, job_of, guarded):
    """A killed worker's request arrives late. Without the wait the chunk has gone once more by then."""
    if not guarded:
        monkeypatch.setattr(resolving, "_can_no_longer_arrive", lambda chunk: True)
    job = job_of(3)
    late: list[httpx.Request] = []
    deliver = wire.handle_request

    def slow_network(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/clearTaskInstances") and not json.loads(request.content)["dry_run"] and not late:
            late.append(request)
            raise Killed
        return deliver(request)

    monkeypatch.setattr(wire, "handle_request", slow_network)
    with pytest.raises(Killed):
        jobs.work()
    pass_time(91)  # the claim has expired, and the request is still on its way
    jobs.work()
    etl.run_airflow()
    deliver(late[0])
    lives_again(etl, jobs, job)
    assert effects(etl)["cleared"] == dict.fromkeys(range(3), 1 if guarded else 2)


@GUARDED
def test_a_request_leaves_in_time_or_not_at_all(etl, jobs, monkeypatch, job_of, guarded):
    """A worker is stopped between the chunk's row and its request, for longer than anybody waits for it."""
    if not guarded:
        monkeypatch.setattr(requests, "Patience", lambda seconds, _within: Patience(seconds, 1e9))
    job = job_of(3)
    ahead = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead[0], sleep=time.sleep)
    monkeypatch.setattr(transport, "time", clock)
    slot = transport.Transport._slot

    def stopped_for_minutes(self: transport.Transport) -> AbstractContextManager[None]:
        monkeypatch.setattr(transport.Transport, "_slot", slot)
        ahead[0] += LONG_ENOUGH
        pass_time(LONG_ENOUGH)
        lives_again(etl, jobs, job)
        return slot(self)

    stop = once_before(sending, "clear", lambda: monkeypatch.setattr(transport.Transport, "_slot", stopped_for_minutes))
    monkeypatch.setattr(sending, "clear", stop)
    runner.run_job(job.pk)
    etl.run_airflow()
    assert effects(etl)["cleared"] == dict.fromkeys(range(3), 1 if guarded else 2)


@GUARDED
def test_the_id_that_an_index_had(etl, jobs, server, monkeypatch, job_of, guarded):
    """Somebody else retries an index first. Without the comparison it runs twice for one failure."""
    if not guarded:
        monkeypatch.setattr(sending, "_why_not_now", lambda *args: "")
    job = job_of(2)
    with open_client(server) as airflow:
        airflow.instances.clear("etl", "r1", [("work", 0)], dry_run=False)
    etl.run_airflow()
    lives_again(etl, jobs, job)
    assert effects(etl)["ran"] == {0: 1 if guarded else 2, 1: 1}


@GUARDED
def test_what_became_of_a_request_is_written_down_once(etl, jobs, wire, monkeypatch, job_of, guarded):
    """Items that wait for another chunk are not taken for sent because a chunk was settled twice."""
    if not guarded:
        changes = RetryChunk.objects.filter
        monkeypatch.setattr(requests, "_leave_sending", lambda chunk, **more: changes(pk=chunk.pk).update(**more))
    job = job_of(3)
    wire.before_clear.append(die)
    with pytest.raises(Killed):
        jobs.work()
    pass_time(LONG_ENOUGH)
    claim = Claim.take(job.pk)
    (chunk,) = RetryChunk.objects.all()
    requests.mark_unsent(claim, chunk, "it never arrived")
    with suppress(ClaimLost):
        requests.mark_sent(claim, chunk, list(RetryItem.objects.all()))
    assert RetryChunk.objects.get().state == ("unsent" if guarded else "sent")


def without_constraint(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {name}")


@GUARDED
def test_one_open_job_an_index(etl, jobs, wire, monkeypatch, job_of, guarded):
    """Two people ask at once, and neither sees the other's job. Without the unique key both jobs send the index."""
    monkeypatch.setattr(selectors, "open_elsewhere", lambda *args: {})
    job = job_of(2)
    if guarded:
        with pytest.raises(Conflicting):
            jobs.request(etl.mirrored())
        lives_again(etl, jobs, job)
    else:
        without_constraint("retry_index_once")
        second = jobs.request(etl.mirrored())

        def the_other_one_goes_first() -> None:
            runner.run_job(second.pk)
            etl.run_airflow()

        wire.before_clear.append(the_other_one_goes_first)
        lives_again(etl, jobs, job)
    assert effects(etl)["cleared"] == dict.fromkeys(range(2), 1 if guarded else 2)


@GUARDED
def test_one_job_a_key(etl, jobs, monkeypatch, guarded):
    """A double click of which the second half is slow: the first job is over before the second is stored, and the look
    for it right before that comes too early."""
    if not guarded:
        without_constraint("retry_job_once_a_key")
    task = etl.stage(2, failed=[0, 1])
    jobs_made = []
    plan_now, known_job = services._plan_now, services._known_job

    def look_too_early(*args):
        monkeypatch.setattr(services, "_known_job", known_job)

    def plan_slowly(*args, **more):
        monkeypatch.setattr(services, "_plan_now", plan_now)
        planned = plan_now(*args, **more)
        jobs_made.append(jobs.to_the_end(jobs.request(task, key="k1")))
        monkeypatch.setattr(services, "_known_job", look_too_early)
        return planned

    monkeypatch.setattr(services, "_plan_now", plan_slowly)
    jobs_made.append(jobs.request(task, key="k1"))
    assert len({job.pk for job in jobs_made}) == (1 if guarded else 2)


@GUARDED
def test_plan_token(etl, jobs, monkeypatch, guarded):
    """What was previewed is not what would be done. Without the token it is done all the same."""
    if not guarded:
        monkeypatch.setattr(services, "read_token", lambda *args, **more: None)
    task = etl.stage(3, failed=[0])
    token = jobs.preview(task).plan_token
    etl.fake.finish("etl", "r1", "work", 2, error=("OSError", "disk full"))
    task = etl.mirrored()
    if guarded:
        with pytest.raises(Conflicting):
            jobs.request(task, plan_token=token)
    else:
        jobs.request(task, plan_token=token)
    chosen = RetryItem.objects.values_list("map_index", flat=True)
    assert list(chosen) == ([] if guarded else [0, 2])


@GUARDED
def test_the_dry_run_before_each_chunk(etl, jobs, monkeypatch, job_of, guarded):
    """An Airflow that takes one index for all of them (#56346): without the comparison it clears what succeeded."""
    if not guarded:
        monkeypatch.setattr(sending, "_refuse_more", lambda *args: None)
    task = etl.stage(3, failed=[1])
    etl.fake.effects.all.clear()
    job = jobs.request(task)
    monkeypatch.setattr(Clearing, "_wanted", lambda self, dag, run, body: {"work": None})
    jobs.work()
    cleared = effects(etl)["cleared"]
    assert cleared == ({} if guarded else dict.fromkeys(range(3), 1))
    assert ("instances more than were chosen" in selectors.job(job.pk).state_reason) == guarded
