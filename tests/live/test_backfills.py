"""A backfill on a real Airflow: foreseen by the panel from a first short one, run through the panel, as foreseen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from examples.demo.airflow import AirflowStandalone
from panel.airflow import Airflow, Password
from panel.launches.backfill_looks import look_at_backfill
from panel.launches.backfill_orders import Asked
from panel.launches.backfills import cancel_backfill, pause_backfill, request_backfill, resume_backfill
from panel.launches.forecasting import Forecast
from panel.launches.models import Backfill
from panel.mirror.models import DagRun, MappedTask
from panel.servers.models import Server
from tests.live.mirroring import beats, until

pytestmark = pytest.mark.django_db

DAG = "backfill_mapping"
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
"""Long before the Dag's start: only a backfill runs these days."""
PARAMS = {"shops": 4, "seconds_per_shop": 10.0}
"""Two runs at once just fill the eight slots of this Airflow, and what it takes besides is little."""


@pytest.fixture
def airflow(real_airflow: AirflowStandalone):
    real_airflow.wait_for_dags([DAG])
    with Airflow(real_airflow.base_url, Password("op", real_airflow.users["op"])) as client:
        deadline = time.monotonic() + 120
        while is_busy(client):  # it catches up with yesterday; a backfill completes some seconds after its last run
            assert time.monotonic() < deadline, "what runs by itself does not end"
            time.sleep(1)
        yield client


def is_busy(client: Airflow) -> bool:
    going = client.runs.list(DAG, states=["running", "queued"])
    return bool(going) or any(one.completed_at is None for one in client.backfills.list(DAG))


@pytest.fixture
def panel(real_airflow: AirflowStandalone, woken, monkeypatch, airflow):
    """A beat of the scheduler and the worker's part, on a server "live" that was just added."""
    monkeypatch.setattr("panel.wake.transaction.on_commit", lambda send: send())
    from panel.launches.backfill_watching import sweep_backfills

    mirror = beats(real_airflow.base_url, real_airflow.users["op"], woken)

    def beat() -> None:
        sweep_backfills()
        mirror()

    # The first read of all Dags takes what the runs would need.
    until(beat, lambda: DagRun.objects.filter(dag__dag_id=DAG).exclude(reconciled_at=None).exists(), "the mirror")
    return beat


def days(first: int, count: int, **more) -> Asked:
    begin = FIRST + timedelta(days=first)
    last = begin + timedelta(days=count - 1)
    return Asked(**{"from_date": begin, "to_date": last, "max_active_runs": 2, "params": PARAMS} | more)


def fresh(backfill: Backfill) -> Backfill:
    return Backfill.objects.get(pk=backfill.pk)


def all_mirrored(backfill: Backfill) -> bool:
    """The mirror has read every run of it to its end, so that they are history."""
    ids = backfill.runs.values_list("run_id", flat=True)
    return DagRun.objects.filter(run_id__in=ids, reconciled_at__isnull=False).count() == backfill.planned


def instances_of(backfill: Backfill) -> int:
    ids = backfill.runs.values_list("run_id", flat=True)
    return sum(MappedTask.objects.filter(run__run_id__in=ids).values_list("total", flat=True))


@dataclass(frozen=True)
class Compared:
    """What was foreseen of a backfill, and what then ran."""

    told: Forecast
    instances: int
    seconds: float

    @property
    def is_within_a_fifth(self) -> bool:
        """The range beside the forecast is no promise: it covers nine cases in ten."""
        instances = self.told.instances == pytest.approx(self.instances, rel=0.2)
        return bool(instances and self.told.seconds == pytest.approx(self.seconds, rel=0.2))


def foreseen_and_run(airflow, panel, ask, asked: Asked) -> Compared:
    told = look_at_backfill(**ask, asked=asked).forecast
    backfill = request_backfill(**ask, asked=asked).backfill
    until(panel, lambda: fresh(backfill).counts.get("success") == told.runs, "its days")
    until(panel, lambda: all_mirrored(fresh(backfill)), "the mirror of its days")
    made = airflow.backfills.get(fresh(backfill).airflow_id).created_at
    took = (max(run.end_date for run in fresh(backfill).runs.all()) - made).total_seconds()
    until(panel, lambda: fresh(backfill).state == "done", "the end of the backfill")
    return Compared(told, instances_of(backfill), took)


def test_the_forecast_is_within_a_fifth_of_what_then_ran(airflow, panel, deployer):
    """A second time, from more history, where something else took this machine during the first."""
    ask = {"user": deployer, "server": Server.objects.get(slug="live"), "dag_id": DAG}
    first = request_backfill(**ask, asked=days(0, 4)).backfill
    until(panel, lambda: fresh(first).counts.get("success") == 4, "four days")
    until(panel, lambda: all_mirrored(fresh(first)), "the mirror of four days")
    until(panel, lambda: fresh(first).state == "done", "the end of the first backfill")
    found = foreseen_and_run(airflow, panel, ask, days(4, 6))
    assert (found.told.runs, found.told.based_on, found.told.same_values) == (6, 4, True)
    assert found.instances == 24
    if not found.is_within_a_fifth:
        found = foreseen_and_run(airflow, panel, ask, days(10, 6))
    assert found.is_within_a_fifth, found


def test_pause_resume_and_cancel_in_airflow(airflow, panel, deployer):
    server = Server.objects.get(slug="live")
    asked = days(60, 4, params={"shops": 1, "seconds_per_shop": 0}, max_active_runs=1)
    backfill = request_backfill(user=deployer, server=server, dag_id=DAG, asked=asked).backfill
    until(panel, lambda: fresh(backfill).airflow_id, "the backfill in Airflow")
    assert pause_backfill(user=deployer, backfill=fresh(backfill)).state == "paused"
    assert airflow.backfills.get(fresh(backfill).airflow_id).is_paused
    assert resume_backfill(user=deployer, backfill=fresh(backfill)).state == "running"
    pause_backfill(user=deployer, backfill=fresh(backfill))
    assert cancel_backfill(user=deployer, backfill=fresh(backfill)).state == "cancelled"
    until(panel, lambda: not fresh(backfill).is_live, "the end of what ran")
    counts = fresh(backfill).counts
    assert counts.get("never_ran", 0) >= 2
    assert sum(counts.values()) == 4
    assert airflow.backfills.get(fresh(backfill).airflow_id).completed_at is not None
