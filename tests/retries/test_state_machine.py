"""Whatever happens to a retry job: each index once, each with a final word, nothing left hanging.

Random histories: jobs are asked for, paused and cancelled, while others clear and mark in Airflow, maps shrink, servers
restart, tokens expire, answers are lost, clocks differ and workers are killed at any statement or request.

The histories are the same in every run. ``MAPBOARD_HISTORIES=500`` looks for that many new ones.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from panel.retries import selectors
from panel.retries.models import RetryItem
from panel.retries.policies import Policy
from panel.retries.states import OPEN_ITEMS, ItemState
from panel.servers.client import forget_capabilities
from tests.mirror.dying import Killed, killed_at_request, killed_at_statement
from tests.retries.story import BUSY, DAG, RUN, DatabaseClock, OtherClock, Story, Wire

SEARCH = int(os.environ.get("MAPBOARD_HISTORIES", "0"))
pytestmark = [pytest.mark.django_db, pytest.mark.timeout(0 if SEARCH else 300)]
HISTORIES = settings(
    max_examples=SEARCH or 25,
    stateful_step_count=25,
    derandomize=not SEARCH,
    database=None,
    phases=[Phase.generate],
    deadline=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
MOST = 6
"""Indices."""
FATES = ["", "", "lost", "unanswered", "slow", "late", "pause", "cancel", "others", "works"]
RANK = {ItemState.PENDING: 0, ItemState.SENDING: 0, ItemState.SENT: 1}
"""How far an item is; what certainly was not sent is pending again. All other states are final."""

sets = st.sets(st.integers(0, MOST - 1))
some = st.sets(st.integers(0, MOST - 1), min_size=1)
clocks = st.sampled_from([0.0, 0.0, 3_600.0, -3_600.0])
policies = st.builds(
    Policy,
    chunk_size=st.integers(1, 4),
    chunks_per_minute=st.sampled_from([None, None, 2]),
    canary=st.sampled_from([None, None, 1, 2]),
)


class RetryHistory(RuleBasedStateMachine):
    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.scope = transaction.atomic()
        self.scope.__enter__()
        forget_capabilities()
        cache.clear()
        self.story = Story(stage.fake, stage.server, stage.people, stage.wire, stage.clock, stage.panel_clock)
        self.ranks: dict[int, tuple[int, str]] = {}
        self.seen = 0
        self.cleared: Counter[tuple[str, str, int]] = Counter()

    def teardown(self) -> None:
        try:
            if hasattr(self.story, "mapped"):
                self.story.settle()
                self.nothing_is_cleared_twice()
                self.items_only_move_forward()
                self.every_job_has_its_final_words()
        finally:
            transaction.set_rollback(True)
            self.scope.__exit__(None, None, None)

    @initialize(
        version=st.sampled_from(["3.3.2", "3.3.2", "3.2.2", "3.1.7", "3.0.6"]),
        airflow_ahead=clocks,
        panel_ahead=clocks,
        group=st.booleans(),
        fates=st.lists(st.sampled_from(["hard", "hard", "soft", "ok"]), min_size=3, max_size=MOST),
        policy=policies,
    )
    def begin(self, fates: list[str], policy: Policy, **how: Any) -> None:
        self.story.begin(fates=fates, **how)
        failed = [index for index, fate in enumerate(fates) if fate != "ok"]
        self.story.ask(0, 0, failed or [0], policy, shown=True, include_downstream=True, include_settled=True)

    # People with the panel

    @precondition(lambda self: len(self.story.jobs) < 3)
    @rule(
        person=st.integers(0, 1), task=st.integers(0, 1), indices=some, policy=policies, shown=st.booleans(),
        include_downstream=st.sampled_from([True, True, False]), include_settled=st.booleans(),
    )  # fmt: skip
    def somebody_asks(self, **ask: Any) -> None:
        self.story.ask(**ask)

    @precondition(lambda self: self.story.jobs)
    @rule(job=st.integers(0, 2), what=st.sampled_from(["pause", "pause", "resume", "resume", "resume", "cancel"]))
    def somebody_orders(self, job: int, what: str) -> None:
        self.story.order(job, what)

    # The worker

    @precondition(lambda self: self.story.jobs)
    @rule(seconds=st.sampled_from([0, 0, 2, 35, 200]))
    def worker_works(self, seconds: float) -> None:
        self.story.pass_time(seconds)
        self.story.work()

    @precondition(lambda self: self.story.jobs)
    @rule(fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=4))
    def worker_works_on_a_bad_line(self, fates: list[str]) -> None:
        self.story.wire.fates = fates
        with suppress(Killed):
            self.story.work()
        self.story.wire.fates = []

    @precondition(lambda self: self.story.jobs)
    @rule(number=st.integers(0, 120))
    def worker_dies_at_a_statement(self, number: int) -> None:
        with killed_at_statement(number):
            self.story.work()

    @precondition(lambda self: self.story.jobs)
    @rule(number=st.integers(0, 12), after=st.booleans())
    def worker_dies_at_a_request(self, number: int, after: bool) -> None:
        with killed_at_request(number, after=after):
            self.story.work()

    # Airflow

    @rule(fails=sets, soft=sets, goes_on=sets)
    def airflow_works(self, fails: set[int], soft: set[int], goes_on: set[int]) -> None:
        self.story.airflow_works(fails, soft, goes_on)

    @rule(indices=some)
    def airflow_queues(self, indices: set[int]) -> None:
        self.story.airflow_queues(indices)

    @rule()
    def airflow_recovers_everything(self) -> None:
        self.story.running_end()
        self.story.airflow_works(set(), set(), set())

    @rule(indices=some, restart=st.booleans())
    def others_clear(self, indices: set[int], restart: bool) -> None:
        self.story.others_clear(indices, restart=restart)

    @rule(index=st.integers(0, MOST - 1), state=st.sampled_from(["success", "failed", "skipped"]))
    def others_mark(self, index: int, state: str) -> None:
        self.story.others_mark(index, state)

    @rule(size=st.integers(1, MOST))
    def map_shrinks(self, size: int) -> None:
        self.story.shrink(size)

    @rule(paused=st.booleans())
    def dag_is_paused(self, paused: bool) -> None:
        self.story.fake.world.dags[DAG].is_paused = paused

    @precondition(lambda self: self.story.jobs)
    @rule(sure=st.integers(0, 9))
    def run_is_deleted(self, sure: int) -> None:
        if sure == 9:
            self.story.delete_run()

    @rule(
        fault=st.sampled_from([{"drop": True}, {"drop": True, "after": True}, {"status": 503}, {"status": 500}]),
        times=st.integers(1, 4),
        skip=st.integers(0, 4),
    )
    def server_restarts(self, fault: dict[str, Any], times: int, skip: int) -> None:
        self.story.fake.fail_next(**fault, times=times, skip=skip)

    @rule(secret=st.booleans())
    def tokens_expire(self, secret: bool) -> None:
        if secret:
            self.story.fake.auth.change_secret()
        else:
            self.story.fake.auth.expire_tokens()

    @rule(seconds=st.sampled_from([2, 10, 35, 100, 200]))
    def time_passes(self, seconds: float) -> None:
        self.story.pass_time(seconds)

    # What holds at any moment

    @invariant()
    def counts_sum_to_the_total(self) -> None:
        for job in self.story.known_jobs():
            assert sum(selectors.counts(job).values()) == job.total

    @invariant()
    def nothing_is_cleared_twice(self) -> None:
        effects = self.story.fake.effects.all
        for place, one in enumerate(effects[self.seen :], self.seen):
            if one.what == "clear" and one.cause and not one.is_harmless:
                key = (one.cause, one.task_id, one.map_index)
                self.cleared[key] += 1
                assert self.cleared[key] == 1, f"cleared twice by one job: {one}"
                if place in self.story.wire.overtaken:
                    continue
                assert one.before not in BUSY, f"cleared while it was busy: {one}"
                began, task_id = self.story.asked[one.cause]
                others = [other for other in effects[began:place] if other.what == "clear" and other.place == one.place]
                assert not others or one.task_id != task_id, f"somebody else had cleared it: {one}"
        self.seen = len(effects)

    @invariant()
    def items_only_move_forward(self) -> None:
        for item in RetryItem.objects.filter(job__in=self.story.jobs):
            before, state = self.ranks.get(item.pk, (0, ""))
            rank = RANK.get(ItemState(item.state), 2)
            assert rank >= before, f"{state} became {item.state}"
            assert before < 2 or state == item.state, f"{state} became {item.state}"
            self.ranks[item.pk] = rank, item.state

    @invariant()
    def an_index_belongs_to_one_unfinished_job(self) -> None:
        open_items = RetryItem.objects.filter(job__in=self.story.jobs, state__in=OPEN_ITEMS)
        places = Counter(open_items.values_list("mapped_task_id", "map_index"))
        assert max(places.values(), default=1) == 1

    @invariant()
    def a_job_that_is_over_has_settled_every_item(self) -> None:
        for job in self.story.known_jobs():
            if job.finished_at is not None:
                assert not RetryItem.objects.filter(job=job, state__in=OPEN_ITEMS).exists()

    # What holds once everybody is done

    def every_job_has_its_final_words(self) -> None:
        story = self.story
        run = story.fake.world.runs.get((DAG, RUN))
        rows = {(row.task_id, row.map_index): row for row in story.fake.world.of_run(DAG, RUN)}
        if run is not None and run.state in ("success", "failed"):
            last = {one.place[2:]: one.cause for one in story.fake.effects.all if one.what == "clear"}
            hanging = [key for key, row in rows.items() if row.state is None and last.get(key)]
            assert not hanging, f"without a state on a finished run: {hanging}"
        for job in story.known_jobs():
            assert job.state in ("done", "cancelled", "failed")
            for item in RetryItem.objects.filter(job=job).select_related("target"):
                key = (item.target.task_id, item.map_index)
                times = self.cleared[str(job.pk), *key]
                assert times == (item.sent_at is not None) or key in story.foreign, (item.state, item.why, times)
                if item.state in (ItemState.RECOVERED, ItemState.FAILED_AGAIN):
                    assert times == 1 or key in story.foreign


@dataclass
class Stage:
    fake: Any
    server: Any
    people: list[Any]
    wire: Wire
    clock: DatabaseClock
    panel_clock: OtherClock


@pytest.fixture
def stage(monkeypatch, fake_airflow, server, person) -> Stage:
    clock = DatabaseClock()
    panel_clock = OtherClock(clock)

    class Moved(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return panel_clock.now().astimezone(tz or UTC)

    for place in ("panel.airflow.auth.datetime", "panel.airflow.transport.datetime"):
        monkeypatch.setattr(place, Moved)
    monkeypatch.setattr("django.utils.timezone.now", panel_clock.now)
    for name, module in list(sys.modules.items()):
        if name.startswith("panel.retries.") and hasattr(module, "database_now"):
            monkeypatch.setattr(module, "database_now", clock.now)
    monkeypatch.setattr("panel.airflow.transport.BACKOFF_SECONDS", (0.0, 0.0))
    wire = Wire(fake_airflow, clock)
    monkeypatch.setattr("panel.servers.client.transport_for", lambda server: wire)
    people = [person("olga", "operator"), person("otto", "operator")]
    return Stage(fake_airflow, server, people, wire, clock, panel_clock)


def test_each_index_once_with_a_final_word_whatever_happens(stage):
    run_state_machine_as_test(lambda: RetryHistory(stage), settings=HISTORIES)
