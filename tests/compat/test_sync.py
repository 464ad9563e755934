"""The mirror of a real Airflow of every series equals it, with the plug-in and without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from panel.airflow.capabilities import read_capabilities
from panel.mirror import selectors
from panel.mirror.error_groups import error_groups
from tests.live.mirroring import assert_equal, beats, reconciled, until

pytestmark = pytest.mark.django_db

DAG = "contract_mapped"
FAILED_ONCE = [index for index in range(25) if index % 5 in (1, 3)]


@pytest.fixture
def beat(standalone, woken, monkeypatch):
    monkeypatch.setattr("panel.wake.transaction.on_commit", lambda send: send())
    return beats(standalone.base_url, standalone.users["op"], woken)


@pytest.fixture
def no_plugin(monkeypatch):
    """As if the plug-in were not installed there."""
    monkeypatch.setattr(
        "panel.airflow.client.read_capabilities", lambda wire: replace(read_capabilities(wire), bulk_reads=False)
    )


def assert_mirrored(airflow, task):
    assert task.run.state == "success"
    assert task.counts == {"success": 10, "soft_failure": 5, "hard_failure": 10}
    assert task.complete
    assert_equal(airflow, task)
    assert {(group.outcome, group.error_type, group.message): group.count for group in error_groups(task)} == {
        ("hard_failure", "RuntimeError", "item <n> crashed"): 5,
        ("hard_failure", "ValueError", "item <n> never works"): 5,
        ("soft_failure", "", "soft"): 5,
    }
    assert selectors.instance(task, 7).label == "item-7"


def test_a_run_is_followed_to_its_end_and_a_clear_made_elsewhere_is_noticed(airflow, no_plugin, beat, start):
    run_id = start(DAG, n=25)
    task = until(beat, lambda: reconciled(DAG, run_id, "work"), "the end of the run")
    assert_mirrored(airflow, task)
    assert task.results_reader in ("wait", "single")

    again = [("work", index) for index in FAILED_ONCE]
    airflow.instances.clear(DAG, run_id, again, dry_run=False)
    until(beat, lambda: reconciled(DAG, run_id, "work") is None, "the notice of the clear")
    task = until(beat, lambda: reconciled(DAG, run_id, "work"), "the end after the clear")
    assert task.counts == {"success": 20, "hard_failure": 5}
    assert_equal(airflow, task)


def test_a_run_is_mirrored_through_the_plugin(airflow, beat, start):
    run_id = start(DAG, n=25)
    task = until(beat, lambda: reconciled(DAG, run_id, "work"), "the end of the run")
    assert_mirrored(airflow, task)
    assert task.results_reader == "plugin"
