"""Whatever happens in Airflow, and to the worker, the mirror comes to hold what Airflow holds.

Random histories of one mapped task: it expands, shrinks and grows, instances start, end, are retried, cleared and
deleted, results are written and lost, commits come late, clocks differ, workers die in the middle of a pass. After
every step the counts equal the rows; after every pass that went well, the rows equal Airflow's.

The histories are the same in every run. ``MAPBOARD_HISTORIES=2000`` looks for that many new ones.
"""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from panel.mirror.models import MappedTask
from panel.mirror.services import find_or_fetch_run
from panel.servers.client import forget_capabilities, open_client
from tests.fakes.airflow.scheduler import Scheduler
from tests.fakes.airflow.state import Clock
from tests.mirror.dying import killed_at_request, killed_at_statement
from tests.mirror.truth import assert_rollups_equal_the_rows, mirrored, truth

pytestmark = pytest.mark.django_db

SEARCH = int(os.environ.get("MAPBOARD_HISTORIES", "0"))
HISTORIES = settings(
    max_examples=SEARCH or 40,
    derandomize=not SEARCH,
    database=None,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MOST = 8
"""Indices."""
LATEST_SECONDS = 85.0
"""How much older than its commit a stamp may be, and differ from the api-server's clock: below the sync's margin."""

BUSY = {"running", "queued", "scheduled", "deferred"}

indices = st.integers(0, MOST - 1)
lateness = st.sampled_from([0.0, LATEST_SECONDS])
results = st.sampled_from([None, {"status": "ok"}, {"status": "failed", "error": "no rows"}])
happenings = st.one_of(
    st.tuples(st.just("expand"), st.integers(0, MOST)),
    st.tuples(st.just("start"), indices, lateness),
    st.tuples(st.just("succeed"), indices, results, lateness),
    st.tuples(st.just("fail"), indices, st.sampled_from(["failed", "up_for_retry"]), lateness),
    st.tuples(st.just("set_state"), indices, st.sampled_from(["queued", "skipped", "deferred", None]), lateness),
    st.tuples(st.just("clear"), st.sets(indices, min_size=1), lateness),
    st.tuples(st.just("mark"), indices, st.sampled_from(["success", "failed"]), lateness),
    st.tuples(st.just("delete"), indices),
    st.tuples(st.just("lose_result"), indices),
    st.tuples(st.just("end_run")),
    st.tuples(st.just("wait"), st.sampled_from([5, 70, 1000])),
)
passes = st.one_of(
    st.tuples(st.just("sync")),
    st.tuples(st.just("sync")),
    st.tuples(st.just("sync")),
    st.tuples(st.just("die_at_statement"), st.integers(0, 90)),
    st.tuples(st.just("die_at_request"), st.integers(0, 12), st.booleans()),
    st.tuples(st.just("cut_off"), st.integers(0, 12)),
)
histories = st.lists(st.tuples(st.lists(happenings, min_size=1, max_size=3), passes), min_size=3, max_size=9)
servers = st.fixed_dictionaries(
    {
        "version": st.sampled_from(["3.0.6", "3.1.7", "3.2.2", "3.3.2"]),
        "clamp": st.sampled_from([1, 7, 25, 50, 100]),
        "ahead": st.sampled_from([-60.0, 0.0, 60.0]),
        "plugin": st.booleans(),
    }
)
run_ids = (f"h{number}" for number in count())


class History:
    """One run of "etl" and its mirror; a method for each step."""

    def __init__(self, etl: Any, server: Any, sync: Any, later: Any) -> None:
        self.etl, self.read, self.later = etl, sync, later
        self.run_id = next(run_ids)
        self.lost: set[int] = set()
        self.deleted = False
        etl.add_run("etl", self.run_id)
        run = find_or_fetch_run(server=server, dag_id="etl", run_id=self.run_id)
        self.task: MappedTask = run.mapped_tasks.select_related("run__dag__server").get(task_id="work")

    def rows(self) -> dict[int, Any]:
        return self.etl.world.of_task("etl", self.run_id, "work")

    def expand(self, size: int) -> None:
        if size or -1 not in self.rows():
            self.etl.expand("etl", self.run_id, "work", size)

    def start(self, index: int, late: float) -> None:
        if self.has(index):
            self.lost.discard(index)
            self.stamp(self.etl.start("etl", self.run_id, "work", index), late)

    def succeed(self, index: int, result: Any, late: float) -> None:
        if self.has(index):
            self.lost.discard(index)
            self.stamp(self.etl.finish("etl", self.run_id, "work", index, result=result), late)

    def fail(self, index: int, state: str, late: float) -> None:
        if self.has(index):
            error = ("ValueError", f"item {index} is bad")
            self.stamp(self.etl.finish("etl", self.run_id, "work", index, state, error=error), late)

    def set_state(self, index: int, state: str | None, late: float) -> None:
        if self.has(index):
            self.stamp(self.etl.set_state("etl", self.run_id, "work", index, state), late)

    def clear(self, chosen: set[int], late: float) -> None:
        """In Airflow's own pages."""
        chosen = {index for index in chosen if self.has(index) and self.rows()[index].state not in BUSY}
        if chosen:
            with open_client(self.task.run.dag.server) as airflow:
                targets = [("work", index) for index in sorted(chosen)]
                airflow.instances.clear("etl", self.run_id, targets, dry_run=False)
            for index in chosen:
                self.stamp(self.rows()[index], late)

    def mark(self, index: int, state: str, late: float) -> None:
        """By hand: no try begins or ends."""
        if self.has(index):
            Scheduler(self.etl.world).mark(self.rows()[index], state)
            self.stamp(self.rows()[index], late)

    def delete(self, index: int) -> None:
        """Leaves no trace but the number of rows, and not even that when others are added."""
        self.deleted = self.rows().pop(index, None) is not None or self.deleted

    def lose_result(self, index: int) -> None:
        """A result is read once a try, so the mirror may or may not have seen it."""
        if self.has(index) and self.rows()[index].state == "success":
            self.etl.world.drop_xcoms(self.rows()[index])
            self.lost.add(index)

    def end_run(self) -> None:
        self.etl.finish_run("etl", self.run_id)

    def wait(self, seconds: float) -> None:
        """Time passes for both."""
        self.later(seconds)
        for row in self.rows().values():
            row.updated_at -= timedelta(seconds=seconds)

    def sync(self) -> None:
        self.task = self.read(self.task)
        if not self.task.last_error and not self.deleted:
            self.compare()

    def die_at_statement(self, number: int) -> None:
        with killed_at_statement(number):
            self.read(self.task)
        self.wait(130)  # the claim expires

    def die_at_request(self, number: int, after: bool) -> None:
        with killed_at_request(number, after=after):
            self.read(self.task)
        self.wait(130)

    def cut_off(self, number: int) -> None:
        """Airflow is gone after so many requests, for one pass."""
        self.etl.fail_next(drop=True, times=99, skip=number)
        self.sync()
        self.etl._faults.clear()

    def has(self, index: int) -> bool:
        return index in self.rows() and self.rows()[index].state != "removed"

    def stamp(self, row: Any, late: float) -> None:
        """By the clock of a writer that is behind, or long before the commit."""
        row.updated_at -= timedelta(seconds=late)

    def settle(self) -> None:
        for index, row in self.rows().items():
            if row.state not in ("success", "failed", "skipped", "removed") and index >= 0:
                self.succeed(index, {"status": "ok"}, 0)
        self.wait(30)
        self.end_run()
        for _ in range(5):
            self.sync()

    def compare(self) -> None:
        assert self.alike(mirrored(self.task)) == self.alike(truth(self.etl, self.task))

    def alike(self, rows: dict[int, tuple[Any, ...]]) -> dict[int, tuple[Any, ...]]:
        return {index: row[:2] if index in self.lost else row for index, row in rows.items()}


@pytest.fixture
def tight(monkeypatch) -> None:
    """What else takes hundreds of indices happens to eight."""
    for name, value in {
        "panel.airflow.instances.FIRST_PAGES": 3,
        "panel.airflow.instances.BULK_PAGE": 5,
        "panel.mirror.sync.instances.STORED_AT_ONCE": 2,
        "panel.mirror.sync.instances.SMALL_MAP": 0,
        "panel.mirror.sync.instances.MANY_CHANGES": 0.1,
        "panel.mirror.sync.results.BULK_FROM": 3,
    }.items():
        monkeypatch.setattr(name, value)


@given(servers, st.integers(0, MOST), histories, st.booleans())
@HISTORIES
def test_the_mirror_comes_to_hold_what_airflow_holds(
    etl, server, sync, later, tight, airflow_is, size, history, is_deleted
):
    etl.version, etl.clamp, etl.plugin = airflow_is["version"], airflow_is["clamp"], airflow_is["plugin"]
    etl.numbers = tuple(map(int, etl.version.split(".")))
    etl.world.clock = Clock()
    etl.clock.advance(airflow_is["ahead"])
    forget_capabilities()
    told = History(etl, server, sync, later)
    told.expand(size)
    told.sync()
    for happenings_before, a_pass in history:
        for name, *how in [*happenings_before, a_pass]:
            getattr(told, name)(*how)
        assert_rollups_equal_the_rows(told.task)
    told.settle()
    assert_rollups_equal_the_rows(told.task)
    told.compare()
    assert (told.task.last_error, told.task.complete) == ("", True)
    if is_deleted:
        etl.remove_run("etl", told.run_id)
        assert sync(told.task).run.deleted_at is not None
