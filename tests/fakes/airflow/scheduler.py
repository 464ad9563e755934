"""The fake's scheduler and workers: expansion, tries, trigger rules and the end of a run (AIRFLOW.md §3, §5)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from tests.fakes.airflow.shown import instance_row
from tests.fakes.airflow.state import FINISHED, Dag, Instance, Run, Task, World

WAITING = (None, "scheduled", "queued", "up_for_retry", "restarting")


class Skip(Exception):
    """Raised by a task's work: the try ends as skipped."""


class KeepRunning(Exception):
    """Raised by a task's work: the try has begun and goes on."""


class Fatal(Exception):
    """Raised by a task's work, as ``Fatal("RuntimeError", "boom")``: fails without further automatic tries."""


Error = tuple[str, str] | list[tuple[str, str]]


class Scheduler:
    def __init__(self, world: World) -> None:
        self.world = world

    # One instance

    def start(self, row: Instance) -> None:
        """Begin a try: its number goes up unless it was scheduled already; XComs of older tries go away now."""
        now = self.world.clock.now()
        self.world.effects.add("try", row.place, row.state)
        if row.state not in ("scheduled", "queued"):
            row.try_number += 1
        row.state, row.start_date, row.end_date, row.updated_at = "running", now, None, now
        row.scheduled_when = row.scheduled_when or now
        row.queued_when = now
        row.rendered_fields = {"templates_dict": None, "op_args": [], "op_kwargs": {"item": row.item}}
        if row.map_index >= 0 and row.label is None:
            row.label = str(row.map_index)
        self.world.drop_xcoms(row)
        row.logs[row.try_number] = [self.log_line(row, "Task begins")]

    def end(self, row: Instance, state: str, result: Any = None, error: Error | None = None) -> None:
        """``error`` is (type, message), or a list of those: the one raised, then its causes."""
        row.state, row.end_date = state, self.world.clock.now()
        row.updated_at = row.end_date
        if result is not None and state == "success":
            self.world.push(row, "return_value", result)
        if error is not None:
            chain = [error] if isinstance(error, tuple) else error
            detail = [_raised(row, kind, said, is_cause=place > 0) for place, (kind, said) in enumerate(chain)]
            line = self.log_line(row, "Task failed with exception", "error") | {"error_detail": detail}
            row.logs[row.try_number].append(line)

    def settle(self, row: Instance, state: str | None) -> None:
        """A state that needs no try: upstream_failed, skipped by rule, removed, queued …"""
        now = self.world.clock.now()
        if state in ("scheduled", "queued") and row.state not in ("scheduled", "queued"):
            row.try_number += 1
        if state in ("upstream_failed", "skipped"):
            row.start_date = row.end_date = now
        if state == "running":
            self.start(row)
        row.state, row.updated_at = state, now

    def log_line(self, row: Instance, event: str, level: str = "info") -> dict[str, Any]:
        moment = self.world.clock.now().isoformat().replace("+00:00", "Z")
        return {"timestamp": moment, "event": event, "level": level, "logger": "task"}

    def archive(self, row: Instance, shown: dict[str, Any]) -> None:
        """Keep a try's row for ``/tries``; one that had not finished counts as failed."""
        if shown["state"] not in FINISHED:
            shown = shown | {"state": "failed"}
        row.past.append({name: shown[name] for name in shown if name not in ("id", "note", "rendered_fields")})

    # Expansion

    def expand_task(self, run: Run, task: Task, count: int, labels: list[str] | None) -> list[Instance]:
        """The row with index -1 becomes index 0 and keeps its id; a map that shrank leaves ``removed`` rows."""
        rows = self.world.of_task(run.dag_id, run.run_id, task.task_id)
        now = self.world.clock.now()
        if (first := rows.get(-1)) is not None:
            if not count:
                self.settle(first, "skipped")
                return []
            del rows[-1]
            first.map_index, first.updated_at = 0, now
            self.world.add_instance(first)
        for index in range(count):
            row = rows.get(index)
            if row is None:
                row = Instance(run.dag_id, run.run_id, task.task_id, index, now, max_tries=task.retries)
                self.world.add_instance(row)
            elif row.state == "removed":
                row.state, row.updated_at = None, now
            if labels is not None:
                row.label = labels[index]
        for index, row in rows.items():
            if index >= count:
                self.settle(row, "removed")
        return [rows[index] for index in range(count)]

    # A run

    def run(self, run: Run, decide: Callable[[Instance], Any] | None, rounds: int) -> int:
        """Schedule one run until nothing moves any more; answers how many tries ended."""
        dag = self.world.dags[run.dag_id]
        if run.state not in ("queued", "running") or dag.is_paused or run.run_after > self.world.clock.now():
            return 0
        if run.state == "queued" and not self._may_start(run):
            return 0
        if run.state == "queued" and run.backfill_id is not None:
            run.start_date = None  # it had one since it was made
        run.updated_at = self.world.clock.now()
        run.state = "running"
        run.start_date = run.start_date or self.world.clock.now()
        work = decide or dag.work or (lambda row: None)
        ended = 0
        for _ in range(rounds):
            moved = sum(self._step(run, dag, task, work) for task in dag.tasks.values())
            if not moved:
                break
            ended += moved
        self._close(run, dag)
        return ended

    def _may_start(self, run: Run) -> bool:
        """A paused backfill starts no runs, and none starts more at once than it may."""
        if run.backfill_id is None:
            return True
        backfill = self.world.backfills[run.backfill_id]
        running = sum(one.backfill_id == backfill.id and one.state == "running" for one in self.world.runs.values())
        return not backfill.is_paused and running < backfill.max_active_runs

    def complete_backfills(self) -> None:
        """The sweep that notices that all runs of a backfill have ended."""
        unfinished = {run.backfill_id for run in self.world.runs.values() if run.state in ("queued", "running")}
        for backfill in self.world.backfills.values():
            if backfill.completed_at is None and backfill.id not in unfinished:
                backfill.completed_at = backfill.updated_at = self.world.clock.now()

    def _step(self, run: Run, dag: Dag, task: Task, work: Callable[[Instance], Any]) -> int:
        rows = self.world.of_task(run.dag_id, run.run_id, task.task_id)
        waiting = [row for row in rows.values() if row.state in WAITING]
        if not waiting or not self._expanded(run, dag, task, rows):
            return 0
        moved = 0
        verdicts: dict[int, str] = {}
        outside = self._verdict(task, self._upstream_states(run, dag, task, None))
        for row in [row for row in rows.values() if row.state in WAITING]:
            inside = dag.tasks[task.task_id].group_is_mapped and row.map_index >= 0
            if inside:
                verdict = self._verdict(task, self._upstream_states(run, dag, task, row.map_index))
            else:
                verdict = verdicts.setdefault(-1, outside)
            if verdict == "run":
                moved += self._attempt(row, work)
            elif verdict != "wait":
                self.settle(row, verdict)
                moved += 1
        return moved

    def _expanded(self, run: Run, dag: Dag, task: Task, rows: dict[int, Instance]) -> bool:
        """Expand over the upstream's list once there is one. False when that decided the task."""
        if not isinstance(task.expands, str) or not task.is_expanded:
            return True
        source = self.world.find(run.dag_id, run.run_id, task.expands, -1)
        if source is None or source.state != "success":
            return True  # the trigger rule decides
        value, written = self.world.xcoms.get((run.dag_id, run.run_id, task.expands, -1, "return_value"), ([], None))
        if -1 in rows or (written is not None and all(row.state in WAITING for row in rows.values())):
            items = list(value)
            for row, item in zip(self.expand_task(run, task, len(items), None), items, strict=True):
                row.item = item
        return -1 not in rows

    def _attempt(self, row: Instance, work: Callable[[Instance], Any]) -> int:
        self.start(row)
        try:
            result = work(row)
        except KeepRunning:
            return 1
        except Skip:
            self.end(row, "skipped")
            return 1
        except Fatal as error:
            self.end(row, "failed", error=(str(error.args[0]), str(error.args[1])))
            return 1
        except Exception as error:  # a task may raise anything
            self.end(row, "failed", error=_chain(error))
            if row.try_number <= row.max_tries:
                self.archive(row, instance_row(self.world, row))
                row.state, row.id = "up_for_retry", str(uuid.uuid4())
            return 1
        self.end(row, "success", result)
        return 1

    def _upstream_states(self, run: Run, dag: Dag, task: Task, index: int | None) -> list[str | None]:
        """States of what this instance waits for; inside a mapped group only the same index."""
        states: list[str | None] = []
        for other in dag.upstream(task.task_id):
            rows = self.world.of_task(run.dag_id, run.run_id, other)
            if index is not None and dag.same_mapped_group(task.task_id, other):
                rows = {index: rows[index]} if index in rows else rows
            states += [row.state for row in rows.values() if row.state != "removed"]
        return states

    def _verdict(self, task: Task, states: Iterable[str | None]) -> str:
        states = list(states)
        if task.trigger_rule == "always":
            return "run"
        if task.trigger_rule == "all_success":
            if any(state in ("failed", "upstream_failed") for state in states):
                return "upstream_failed"
            if "skipped" in states:
                return "skipped"
        if any(state not in FINISHED for state in states):
            return "wait"
        if task.trigger_rule == "none_failed" and any(state in ("failed", "upstream_failed") for state in states):
            return "upstream_failed"
        return "run"

    def _close(self, run: Run, dag: Dag) -> None:
        """A run ends when all instances have; its leaves decide how."""
        rows = self.world.of_run(run.dag_id, run.run_id)
        if any(row.state not in FINISHED for row in rows):
            return
        leaves = {task.task_id for task in dag.tasks.values() if not task.downstream}
        failed = any(row.state in ("failed", "upstream_failed") for row in rows if row.task_id in leaves)
        self.end_run(run, "failed" if failed else "success")

    def end_run(self, run: Run, state: str) -> None:
        run.state, run.end_date = state, self.world.clock.now()
        run.updated_at = run.end_date

    def mark(self, row: Instance, state: str, user: str = "") -> None:
        """Set by hand: no try begins or ends, and downstream is not touched."""
        self.world.effects.add("mark", row.place, row.state, user)
        row.state, row.updated_at = state, self.world.clock.now()


def _chain(error: BaseException | None) -> list[tuple[str, str]]:
    chain = []
    while error is not None:
        chain.append((type(error).__name__, str(error)))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


def _raised(row: Instance, kind: str, said: str, *, is_cause: bool) -> dict[str, Any]:
    return {
        "exc_type": kind,
        "exc_value": said,
        "exc_notes": [],
        "syntax_error": None,
        "is_cause": is_cause,
        "frames": [{"filename": "dags/fake.py", "lineno": 7, "name": row.task_id}],
        "is_group": False,
        "exceptions": [],
    }
