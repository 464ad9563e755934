"""The mirror of a real Airflow equals it: states, tries, results, errors, also after a clear made elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from examples.demo.airflow import AirflowStandalone
from panel.airflow import Airflow, Password
from panel.mirror import live_reads, selectors
from panel.mirror.error_groups import error_groups
from tests.live.mirroring import assert_equal, beats, reconciled, until

pytestmark = pytest.mark.django_db


@pytest.fixture
def airflow(real_airflow: AirflowStandalone):
    real_airflow.wait_for_dags(["contract_mapped", "contract_group"])
    with Airflow(real_airflow.base_url, Password("op", real_airflow.users["op"])) as client:
        yield client


@pytest.fixture
def panel(real_airflow: AirflowStandalone, woken, monkeypatch) -> Callable[[], None]:
    """A beat of the scheduler and the worker's part, on a server "live" that was just added."""
    monkeypatch.setattr("panel.wake.transaction.on_commit", lambda send: send())
    return beats(real_airflow.base_url, real_airflow.users["op"], woken)


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
