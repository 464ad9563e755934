"""A panel with a worker, an Airflow that others use as well, and what may happen to both: the moves of the histories.

Time passes for all alike, and only when it is told to. The clocks of the panel's machines and of Airflow's may be an
hour off that of the panel's database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from django.contrib.auth.models import User

from panel.airflow import Airflow, AirflowError, Password
from panel.domain.index_expression import IndexExpression
from panel.domain.selection import Selection
from panel.mirror.models import MappedTask
from panel.mirror.services import find_or_fetch_run, sync_mapped_task
from panel.problems import Problem
from panel.retries import runner, selectors
from panel.retries.asks import Ask, Policy
from panel.retries.models import RetryJob
from panel.retries.services import cancel_job, pause_job, preview_retry, request_retry, resume_job
from panel.servers.models import Server
from tests.fakes.airflow import FakeAirflow, KeepRunning, Task
from tests.fakes.airflow.scheduler import Scheduler
from tests.mirror.dying import Killed

DAG, RUN = "etl", "r1"
PLAIN = [Task("work", is_mapped=True, downstream=["report"]), Task("report", trigger_rule="all_done")]
GROUP = [
    Task("g.a", group="g", group_is_mapped=True, downstream=["g.b"]),
    Task("g.b", group="g", group_is_mapped=True, downstream=["report"]),
    Task("report", trigger_rule="all_done"),
]
SLOW_SECONDS = 45
"""Shorter than an unanswered request stays unsure (RETRY_UNSURE_SECONDS)."""
BUSY = {"running", "queued", "scheduled", "restarting", "deferred"}


class DatabaseClock:
    """Time that only moves when it is told to, and a little with each look: histories are the same in every run."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.moment = datetime(2026, 11, 26, 2, 10, tzinfo=UTC)

    def now(self) -> datetime:
        self.moment += timedelta(milliseconds=1)
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class OtherClock:
    """Of a machine whose clock is so many seconds ahead."""

    def __init__(self, clock: DatabaseClock) -> None:
        self.clock, self.ahead = clock, 0.0

    def now(self) -> datetime:
        return self.clock.now() + timedelta(seconds=self.ahead)


class Wire(httpx.BaseTransport):
    """The way to Airflow. ``fates`` are those of the next clears that would change something.

    ``lost`` on the way, ``unanswered`` although carried out, ``slow``: no answer, and carried out SLOW_SECONDS later,
    ``late``: the worker is killed, and the request arrives as much later. Any other fate is what happens right after
    the clear, by ``meanwhile(fate)``.
    """

    def __init__(self, fake: FakeAirflow, clock: DatabaseClock) -> None:
        self.fake, self.clock = fake, clock
        self.inner = fake.transport()
        self.fates: list[str] = []
        self.under_way: list[tuple[datetime, str, httpx.Request]] = []
        self.overtaken: set[int] = set()
        self.job = ""
        self.meanwhile: Callable[[str], None] = lambda fate: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        changes = request.url.path.endswith("/clearTaskInstances") and b'"dry_run":false' in request.content
        fate = self.fates.pop(0) if changes and self.fates else ""
        if fate == "lost":
            raise httpx.ReadTimeout("no answer")
        if fate in ("late", "slow"):
            self.under_way.append((self.clock.moment + timedelta(seconds=SLOW_SECONDS), self.job, request))
            raise Killed if fate == "late" else httpx.ReadTimeout("no answer")
        answer = self._delivered(self.job, request)
        if fate == "unanswered":
            raise httpx.ReadTimeout("no answer")
        if fate:
            self.meanwhile(fate)
        return answer

    def arrive(self, until: datetime) -> None:
        """What is still under way reaches Airflow, each at its moment. ``overtaken`` are its effects."""
        while self.under_way and self.under_way[0][0] <= until:
            moment, job, request = self.under_way.pop(0)
            self.clock.moment = max(self.clock.moment, moment)
            before = len(self.fake.effects.all)
            with suppress(httpx.TransportError):
                self._delivered(job, request)
            self.overtaken.update(range(before, len(self.fake.effects.all)))

    def _delivered(self, job: str, request: httpx.Request) -> httpx.Response:
        self.fake.effects.cause = job
        try:
            answer = self.inner.handle_request(request)
            answer.read()
            return answer
        finally:
            self.fake.effects.cause = ""


@dataclass
class Story:
    """``foreign`` are the instances that somebody else changed in Airflow, or that vanished."""

    fake: FakeAirflow
    server: Server
    people: list[User]
    wire: Wire
    clock: DatabaseClock
    panel_clock: OtherClock
    jobs: list[UUID] = field(default_factory=list)
    asked: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By job: how much had happened in Airflow when it was asked for, and of which task."""
    foreign: set[tuple[str, int]] = field(default_factory=set)
    alone: bool = True

    def begin(self, *, version: str, group: bool, fates: list[str], airflow_ahead: float, panel_ahead: float) -> None:
        """A finished run with an index for each fate (``ok``, ``hard``, ``soft``), as the mirror sees it."""
        fake = self.fake
        fake.version, fake.numbers = version, tuple(map(int, version.split(".")))
        fake.reset()
        self.wire.fates, self.wire.under_way = [], []
        self.wire.overtaken.clear()
        self.wire.meanwhile = self.meanwhile
        self.clock.start()
        self.panel_clock.ahead = panel_ahead
        fake.world.clock = fake.auth.clock = OtherClock(self.clock)
        fake.clock.ahead = airflow_ahead
        self.tasks = ["g.a", "g.b"] if group else ["work"]
        self.group = group
        fake.add_dag(DAG, tasks=GROUP if group else PLAIN)
        fake.add_run(DAG, RUN, state="queued")
        fake.expand(DAG, RUN, "g" if group else "work", len(fates))

        def decide(row: Any) -> Any:
            fate = fates[row.map_index] if row.map_index >= 0 else "ok"
            if fate == "hard" and row.task_id == self.tasks[0]:
                raise KeyError(f"customer_{row.map_index}")
            return {"status": "failed", "error": "bad row"} if fate == "soft" else {"id": row.map_index}

        fake.run_queued(decide)
        fake.effects.all.clear()
        run = find_or_fetch_run(server=self.server, dag_id=DAG, run_id=RUN)
        self.mapped = {task_id: run.mapped_tasks.get(task_id=task_id).pk for task_id in self.tasks}
        for pk in self.mapped.values():
            sync_mapped_task(mapped_task_id=pk)

    # People with the panel

    def ask(self, person: int, task: int, indices: Iterable[int], policy: Policy, **more: Any) -> RetryJob | None:
        """A retry of these indices with ``shown`` or without a preview first; ``None`` when it is refused."""
        shown = more.pop("shown", False)
        selection = Selection(indices=IndexExpression.of(indices))
        target = self.mapped[self.tasks[task % len(self.tasks)]]
        ask = Ask(mapped_task_ids=(target,), selection=selection, **more)
        user = self.people[person]
        try:
            token = preview_retry(user=user, ask=ask).plan_token if shown else ""
            job, _new = request_retry(user=user, ask=ask, reason="why not", policy=policy, plan_token=token)
        except (Problem, AirflowError, MappedTask.DoesNotExist):
            return None
        self.jobs.append(job.pk)
        self.asked[str(job.pk)] = len(self.fake.effects.all), self.tasks[task % len(self.tasks)]
        return job

    def order(self, job: int, what: str) -> None:
        change: Callable[..., RetryJob] = {"pause": pause_job, "resume": resume_job, "cancel": cancel_job}[what]
        with suppress(Problem):
            change(user=self.people[0], job=selectors.job(self.jobs[job % len(self.jobs)]))

    # The worker

    def work(self) -> None:
        """What is due now is done once."""
        due = set(selectors.due_jobs().values_list("pk", flat=True))
        for pk in self.jobs:
            if pk in due:
                self.wire.job = str(pk)
                runner.run_job(pk)

    def meanwhile(self, fate: str) -> None:
        """Right after a clear of the job that the worker has."""
        if fate in ("pause", "cancel"):
            self.order(self.jobs.index(UUID(self.wire.job)), fate)
        elif fate == "others":
            cause, self.fake.effects.cause = self.fake.effects.cause, ""
            self.others_clear(range(0, 99, 2), restart=True)
            self.fake.effects.cause = cause
        elif fate == "works":
            self.airflow_works(set(), set(), set())

    # Airflow

    def airflow_works(self, fails: set[int], soft: set[int], goes_on: set[int]) -> None:
        """What is queued runs: of the mapped tasks, these indices fail again, and these do not end yet."""

        def decide(row: Any) -> Any:
            if row.map_index in fails:
                raise KeyError(f"customer_{row.map_index}")
            if row.map_index in goes_on:
                raise KeepRunning
            return {"status": "failed"} if row.map_index in soft else {"id": row.map_index}

        self.fake.run_queued(decide)

    def airflow_queues(self, indices: set[int]) -> None:
        """What waits is given to the executor, and has not begun."""
        run = self.fake.world.runs.get((DAG, RUN))
        if run is None or run.state not in ("queued", "running") or self.fake.world.dags[DAG].is_paused:
            return
        run.state = "running"
        for row in self.rows():
            if row.state is None and row.map_index in indices and row.task_id == self.tasks[0]:
                self.fake.set_state(DAG, RUN, row.task_id, row.map_index, "queued")

    def running_end(self) -> None:
        for row in self.rows():
            if row.state == "running":
                self.fake.finish(DAG, RUN, row.task_id, row.map_index, result={"id": row.map_index})

    def others_clear(self, indices: Iterable[int], *, restart: bool) -> None:
        targets = [(row.task_id, row.map_index) for row in self.rows() if row.map_index in set(indices)]
        if not targets or self.fake.numbers < (3, 1, 1):
            return
        self.touch(targets)
        with (
            Airflow(
                self.fake.base_url, Password("admin", self.fake.password("admin")), transport=self.fake.transport()
            ) as airflow,
            suppress(AirflowError),
        ):
            airflow.instances.clear(DAG, RUN, targets, dry_run=False, reset_dag_runs=restart)

    def others_mark(self, index: int, state: str) -> None:
        for row in self.rows():
            if row.map_index == index and row.state != "removed":
                self.touch([(row.task_id, index)])
                Scheduler(self.fake.world).mark(row, state)

    def shrink(self, size: int) -> None:
        """The map is evaluated anew, with fewer indices."""
        gone = [(row.task_id, row.map_index) for row in self.rows() if row.map_index >= size]
        if gone and size:
            self.touch(gone)
            self.fake.expand(DAG, RUN, "g" if self.group else "work", size)

    def delete_run(self) -> None:
        self.touch((row.task_id, row.map_index) for row in self.rows())
        if (DAG, RUN) in self.fake.world.runs:
            self.fake.remove_run(DAG, RUN)

    def rows(self) -> list[Any]:
        return [row for row in self.fake.world.of_run(DAG, RUN) if row.task_id in self.tasks]

    def touch(self, places: Iterable[tuple[str, int]]) -> None:
        places = list(places)
        self.foreign.update(places)
        self.alone = self.alone and not places

    # Time

    def pass_time(self, seconds: float) -> None:
        until = self.clock.moment + timedelta(seconds=seconds)
        self.wire.arrive(until)
        self.clock.moment = max(until, self.clock.moment)

    # The end

    def heal(self) -> None:
        """Whatever was wrong is put right."""
        self.wire.fates.clear()
        self.fake._faults.clear()
        self.fake.down = False
        if DAG in self.fake.world.dags:
            self.fake.world.dags[DAG].is_paused = False

    def settle(self) -> None:
        """Everybody goes on until all jobs are over; who was paused is resumed once the others are done."""
        self.heal()
        for _ in range(60):
            self.work()
            self.running_end()
            self.airflow_works(set(), set(), set())
            self.pass_time(35)
            left = [job for job in self.known_jobs() if job.finished_at is None]
            if not left:
                return
            for job in left:
                if job.state == "paused":
                    self.order(self.jobs.index(job.pk), "resume")
        raise AssertionError([(job.state, job.state_reason, selectors.counts(job)) for job in left])

    def known_jobs(self) -> list[RetryJob]:
        return list(RetryJob.objects.filter(pk__in=self.jobs))
