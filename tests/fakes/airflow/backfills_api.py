"""Routes about backfills (AIRFLOW.md §7, established on 3.3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.fakes.airflow import lists, shown
from tests.fakes.airflow.clearing import Clearing
from tests.fakes.airflow.runs_api import check_conf
from tests.fakes.airflow.state import Backfill, Dag, Run
from tests.fakes.airflow.wire import Answer, Request, Routes, invalid, iso, refuse, strict

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

BODY = {
    "dag_id": "str", "from_date": "str", "to_date": "str", "run_backwards": "bool", "dag_run_conf": "dict?",
    "reprocess_behavior": "str", "max_active_runs": "int", "run_on_latest_version": "bool?",
}  # fmt: skip
BEHAVIOURS = ("failed", "completed", "none")
FINISHED = ("success", "failed")
ONE = "/api/v2/backfills/{backfill_id}"


def add_routes(routes: Routes, fake: FakeAirflow) -> None:
    api = BackfillsApi(fake)
    routes.add("GET", "/api/v2/backfills", api.list)
    routes.add("POST", "/api/v2/backfills", api.create, "backfill")
    routes.add("POST", "/api/v2/backfills/dry_run", api.dry_run, "backfill")
    routes.add("GET", ONE, api.get)
    for verb in (api.pause, api.unpause, api.cancel):
        routes.add("PUT", f"{ONE}/{verb.__name__}", verb, "backfill")


class BackfillsApi:
    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake
        self.world = fake.world

    def list(self, request: Request) -> Answer:
        dag_id = request.get("dag_id")
        if dag_id is None:
            raise refuse(422, [{"type": "missing", "loc": ["query", "dag_id"], "msg": "Field required", "input": None}])
        found = [one for one in self.world.backfills.values() if one.dag_id == dag_id]
        found = lists.ordered(found, request.all("order_by") or ["id"], getattr, {"id"})
        return lists.page(request, "backfills", found, shown.backfill_row, self.fake.clamp)

    def get(self, request: Request, backfill_id: str) -> Answer:
        return Answer(200, shown.backfill_row(self._found(backfill_id)))

    def dry_run(self, request: Request) -> Answer:
        body, dag = self._checked(request.body)
        rows = [
            {"logical_date": iso(date), "partition_key": None, "partition_date": None}
            for date in _dates(dag, body, self.world.clock.now())
            if self._would_run(self._run_at(dag, date), body["reprocess_behavior"])
        ]
        return Answer(200, {"backfills": rows, "total_entries": len(rows)})

    def create(self, request: Request) -> Answer:
        body, dag = self._checked(request.body, active=True)
        now = self.world.clock.now()
        dates = _dates(dag, body, now)
        if not dates:
            raise refuse(422, f"No runs to create for Dag {dag.dag_id} in the range [{body['from']}, {body['to']}]")
        backfill = Backfill(
            id=len(self.world.backfills) + 1,
            dag_id=dag.dag_id,
            from_date=body["from"],
            to_date=body["to"],
            dag_run_conf=body.get("dag_run_conf"),  # type: ignore[arg-type]  # null is kept
            reprocess_behavior=body["reprocess_behavior"],
            max_active_runs=body.get("max_active_runs", 10),
            created_at=now,
            updated_at=now,
        )
        self.world.backfills[backfill.id] = backfill
        for date in dates:
            self._make_run(backfill, dag, date, request.user)
        return Answer(200, shown.backfill_row(backfill))

    def pause(self, request: Request, backfill_id: str) -> Answer:
        return self._paused(backfill_id, True)

    def unpause(self, request: Request, backfill_id: str) -> Answer:
        return self._paused(backfill_id, False)

    def cancel(self, request: Request, backfill_id: str) -> Answer:
        """Queued runs are ``failed`` at once and without an end; what runs goes on."""
        self._paused(backfill_id, True)
        backfill, now = self._found(backfill_id), self.world.clock.now()
        for run_id in backfill.run_ids:
            run = self.world.runs.get((backfill.dag_id, run_id))
            if run is not None and run.state == "queued":
                run.state, run.updated_at = "failed", now
        backfill.completed_at = backfill.updated_at = now
        return Answer(200, shown.backfill_row(backfill))

    def _paused(self, backfill_id: str, paused: bool) -> Answer:
        backfill = self._found(backfill_id)
        if backfill.completed_at is not None:
            raise refuse(409, "Backfill is already completed.")
        backfill.is_paused, backfill.updated_at = paused, self.world.clock.now()
        return Answer(200, shown.backfill_row(backfill))

    def _make_run(self, backfill: Backfill, dag: Dag, date: datetime, user: str) -> None:
        run, now = self._run_at(dag, date), self.world.clock.now()
        if run is None:
            run_id = f"backfill__{date.isoformat()}"
            more = {"run_type": "backfill", "logical_date": date, "run_after": date, "start_date": now}
            conf = backfill.dag_run_conf or {}
            run = self.fake.add_run(dag.dag_id, run_id, state="queued", conf=conf, user=user, **more)
        elif self._would_run(run, backfill.reprocess_behavior):
            rows = self.world.of_run(dag.dag_id, run.run_id)
            Clearing(self.fake).clear_rows(dag, run, rows, user)
            run.run_type = "backfill"
            if backfill.dag_run_conf is not None:
                run.conf = backfill.dag_run_conf
        else:
            return
        run.backfill_id = backfill.id
        backfill.run_ids.append(run.run_id)

    def _run_at(self, dag: Dag, date: datetime) -> Run | None:
        runs = self.world.runs.values()
        return next((run for run in runs if run.dag_id == dag.dag_id and run.logical_date == date), None)

    def _would_run(self, run: Run | None, behaviour: str) -> bool:
        """Runs in flight are left out, whatever is asked."""
        if run is None:
            return True
        return run.state in {"none": (), "failed": ("failed",), "completed": FINISHED}[behaviour]

    def _found(self, backfill_id: str) -> Backfill:
        backfill = self.world.backfills.get(int(backfill_id))
        if backfill is None:
            raise refuse(404, "Backfill not found")
        return backfill

    def _checked(self, given: Any, *, active: bool = False) -> tuple[dict[str, Any], Dag]:
        body = {"reprocess_behavior": "none", **strict(given, BODY, required=("dag_id", "from_date", "to_date"))}
        if body["reprocess_behavior"] not in BEHAVIOURS:
            message = "Input should be 'failed', 'completed' or 'none'"
            raise invalid("enum", ["body", "reprocess_behavior"], message, body["reprocess_behavior"])
        dag = self.world.dags.get(body["dag_id"])
        if dag is None:
            raise refuse(404, f"Could not find dag {body['dag_id']}")
        if dag.schedule is None:
            raise refuse(422, f"{dag.dag_id} has a non-periodic schedule that does not support backfills")
        if active and any(one.completed_at is None for one in self._of(dag)):
            raise refuse(409, f"There is already a running backfill for dag {dag.dag_id}")
        body["from"], body["to"] = _moment(body["from_date"]), _moment(body["to_date"])
        if body["from"] > body["to"]:
            said = f"from_date ({body['from'].isoformat()}) must not be after to_date ({body['to'].isoformat()})."
            raise refuse(422, said)
        if body["from"] >= self.world.clock.now():
            raise refuse(422, "Backfill cannot be executed for future dates.")
        if body.get("dag_run_conf") is not None:
            self._check_conf(dag, body["dag_run_conf"])
        return body, dag

    def _of(self, dag: Dag) -> Iterator[Backfill]:
        return (one for one in self.world.backfills.values() if one.dag_id == dag.dag_id)

    def _check_conf(self, dag: Dag, conf: dict[str, Any]) -> None:
        """As for a run, but with another status."""
        if self.fake.numbers < (3, 2, 0):
            return
        try:
            check_conf(dag, conf)
        except Answer as refusal:
            raise refuse(422, refusal.json["detail"]) from None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _dates(dag: Dag, body: dict[str, Any], now: datetime) -> list[datetime]:
    """Both ends included; what lies in the future is dropped."""
    step: timedelta = dag.schedule  # type: ignore[assignment]  # checked before
    midnight = body["from"].replace(hour=0, minute=0, second=0, microsecond=0)
    date = midnight + step * -((midnight - body["from"]) // step)
    found = []
    while date <= body["to"] and date < now:
        found.append(date)
        date += step
    return found[::-1] if body.get("run_backwards") else found
