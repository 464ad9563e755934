"""Routes by which people set a run's state by hand, or delete it (established on 3.3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakes.airflow import shown
from tests.fakes.airflow.scheduler import Scheduler
from tests.fakes.airflow.state import FINISHED, Run
from tests.fakes.airflow.wire import Answer, Request, Routes, refuse, strict

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

RUN = "/api/v2/dags/{dag_id}/dagRuns/{run_id}"
RUNNING = ("running", "deferred", "up_for_reschedule", "awaiting_input")


def add_routes(routes: Routes, fake: FakeAirflow) -> None:
    api = RunMarksApi(fake)
    routes.add("PATCH", RUN, api.patch, "patch")
    routes.add("DELETE", RUN, api.delete, "patch")


class RunMarksApi:
    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake
        self.world = fake.world

    def patch(self, request: Request, dag_id: str, run_id: str) -> Answer:
        body = strict(request.body, {"state": "str?", "note": "str?"})
        run = self._run(dag_id, run_id)
        state = body.get("state")
        if state in ("success", "failed"):
            self._end(run, state)
        elif state == "queued":
            run.state = "queued"
        if "note" in body:
            run.note = body["note"]
        return Answer(200, shown.run_row(self.world, run))

    def delete(self, request: Request, dag_id: str, run_id: str) -> Answer:
        run = self._run(dag_id, run_id)
        if run.state == "running":
            raise refuse(
                409, f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` cannot be deleted in running state"
            )
        self.fake.remove_run(dag_id, run_id)
        return Answer(204)

    def _end(self, run: Run, state: str) -> None:
        """What waits is skipped. What runs is stopped, and with it every index of its task gets the run's state,
        those that had ended too."""
        scheduler = Scheduler(self.world)
        rows = self.world.of_run(run.dag_id, run.run_id)
        stopped = {row.task_id for row in rows if row.state in RUNNING}
        now = self.world.clock.now()
        for row in rows:
            if row.state not in FINISHED and row.state not in RUNNING:
                scheduler.mark(row, "skipped")
            if row.task_id in stopped and row.state != state:
                row.end_date = row.end_date or now
                scheduler.mark(row, state)
        scheduler.end_run(run, state)

    def _run(self, dag_id: str, run_id: str) -> Run:
        run = self.world.runs.get((dag_id, run_id))
        if run is None:
            raise refuse(404, f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found")
        return run
