"""The mirror of a real Airflow equals it: states, tries, results, errors, also after a clear made elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app

from examples.demo.airflow import AirflowStandalone
from panel.airflow import Airflow, NotFound, Password
from panel.mirror import live_reads, selectors
from panel.mirror.error_groups import error_groups
from panel.mirror.models import Instance, MappedTask
from panel.mirror.sweeps import sweep
from panel.servers.encryption import encrypt
from panel.servers.models import Server

pytestmark = pytest.mark.django_db

SECONDS = 300


@pytest.fixture
def airflow(real_airflow: AirflowStandalone):
    real_airflow.wait_for_dags(["contract_mapped", "contract_group"])
    with Airflow(real_airflow.base_url, Password("op", real_airflow.users["op"])) as client:
        yield client


@pytest.fixture
def panel(real_airflow: AirflowStandalone, woken, monkeypatch) -> Callable[[], None]:
    """A beat of the scheduler and the worker's part, on a server "live" that was just added."""
    monkeypatch.setattr("panel.wake.transaction.on_commit", lambda send: send())
    Server.objects.create(
        slug="live",
        name="Live",
        base_url=real_airflow.base_url,
        username="op",
        secret_encrypted=encrypt(real_airflow.users["op"]),
    )
    current_app.loader.import_default_modules()

    def beat() -> None:
        sweep()
        while woken:
            name, arguments = woken.pop(0)
            current_app.tasks[name](*arguments)

    return beat


def until(beat: Callable[[], None], look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not come within {SECONDS} s"
        beat()
        time.sleep(0.3)
    return found


def reconciled(dag_id: str, run_id: str, task_id: str) -> MappedTask | None:
    try:
        task = selectors.mapped_task("live", dag_id, run_id, task_id)
    except MappedTask.DoesNotExist:
        return None
    return task if task.run.reconciled_at is not None else None


def assert_equal(airflow: Airflow, task: MappedTask) -> None:
    """Every instance in the mirror says what Airflow says of it, one call each."""
    dag_id, run_id, task_id = task.run.dag.dag_id, task.run.run_id, task.task_id
    rows = {row.map_index: row for row in airflow.instances.bulk(dag_id, run_id, [task_id])}
    known = {row.map_index: row for row in Instance.objects.filter(mapped_task=task)}
    assert rows.keys() == known.keys()
    for index, row in rows.items():
        mine = known[index]
        assert (mine.state, mine.try_number, mine.ti_id) == (row.state, row.try_number, row.id)
        assert (mine.start_date, mine.end_date) == (row.start_date, row.end_date)
        try:
            value = airflow.xcoms.get(dag_id, run_id, task_id, index).value
        except NotFound:
            value = None
        if row.state == "success":
            assert mine.result == value, index


def test_a_run_with_every_kind_of_outcome_and_a_clear_made_elsewhere(airflow, panel):
    run_id = f"mirror-{uuid4().hex[:8]}+:~"
    airflow.runs.trigger("contract_mapped", run_id=run_id, conf={"n": 50})
    task = until(panel, lambda: reconciled("contract_mapped", run_id, "work"), "the end of the run")
    assert task.run.state == "success"
    assert task.counts == {"success": 20, "soft_failure": 10, "hard_failure": 20}
    assert task.complete
    assert_equal(airflow, task)
    groups = {(group.outcome, group.error_type, group.message): group.count for group in error_groups(task)}
    assert groups == {
        ("hard_failure", "RuntimeError", "item <n> crashed"): 10,
        ("hard_failure", "ValueError", "item <n> never works"): 10,
        ("soft_failure", "", "soft"): 10,
    }
    assert selectors.instance(task, 7).label == "item-7"
    assert task.metrics["failure_rate"] == 0.4

    again = [("work", index) for index in range(50) if index % 5 in (1, 3)]
    airflow.instances.clear("contract_mapped", run_id, again, dry_run=False, include_downstream=True)
    until(panel, lambda: reconciled("contract_mapped", run_id, "work") is None, "the notice of the clear")
    task = until(panel, lambda: reconciled("contract_mapped", run_id, "work"), "the end after the clear")
    assert task.counts == {"success": 40, "hard_failure": 10}
    assert_equal(airflow, task)

    instance = selectors.instance(task, 6)
    details = live_reads.read_details(instance=instance)
    assert [(one.try_number, one.state) for one in details.tries] == [(1, "failed"), (2, "success")]
    assert details.rendered_fields["op_kwargs"] == {"item": 6}
    first_log = live_reads.read_log(instance=instance, try_number=1)
    assert any(entry.error_detail for entry in first_log.content)


def test_tasks_of_a_mapped_group(airflow, panel):
    run_id = f"mirror-{uuid4().hex[:8]}"
    airflow.runs.trigger("contract_group", run_id=run_id, conf={})
    second = until(panel, lambda: reconciled("contract_group", run_id, "each.second"), "the end of the run")
    first = selectors.mapped_task("live", "contract_group", run_id, "each.first")
    assert first.counts == {"success": 2, "hard_failure": 1}
    assert second.counts == {"success": 2, "upstream_failed": 1}
    assert_equal(airflow, second)


def test_a_map_over_nothing(airflow, panel):
    run_id = f"mirror-{uuid4().hex[:8]}"
    airflow.runs.trigger("contract_mapped", run_id=run_id, conf={"n": 0})
    task = until(panel, lambda: reconciled("contract_mapped", run_id, "work"), "the end of the run")
    assert (task.total, task.unexpanded_state, task.complete) == (0, "skipped", True)
