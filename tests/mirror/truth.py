"""Airflow's own truth beside what the mirror made of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from panel.mirror.models import ErrorGroup, Instance, InstanceResult, MappedTask
from panel.mirror.sync.unread import WHILE_UNREAD
from tests.fakes.airflow import FakeAirflow

OUTCOMES = {
    "failed": "hard_failure", "upstream_failed": "upstream_failed", "skipped": "skipped", "removed": "removed",
    "running": "running", "deferred": "running", "up_for_retry": "retrying",
}  # fmt: skip


def truth(fake: FakeAirflow, task: MappedTask) -> dict[int, tuple[Any, ...]]:
    """State, try, outcome, result and error type by map index, as a perfect mirror has them."""
    rows = fake.world.of_task(task.run.dag.dag_id, task.run.run_id, task.task_id)
    return {index: _true(fake, row) for index, row in sorted(rows.items()) if index >= 0}


def _true(fake: FakeAirflow, row: Any) -> tuple[Any, ...]:
    outcome, result, error = OUTCOMES.get(row.state, "waiting"), None, ""
    if row.state == "success":
        result, _ = fake.world.xcoms.get((row.dag_id, row.run_id, row.task_id, row.map_index, "return_value"), (0, 0))
        result = result or None
        outcome = "soft_failure" if result and result.get("status") == "failed" else "success"
    if row.state == "failed":
        log = row.logs.get(row.try_number, [])
        error = next((entry["error_detail"][0]["exc_type"] for entry in log if "error_detail" in entry), "")
    return row.state or "", row.try_number, outcome, result, error


def mirrored(task: MappedTask) -> dict[int, tuple[Any, ...]]:
    rows = Instance.objects.filter(mapped_task=task).order_by("map_index")
    values = dict(InstanceResult.objects.filter(mapped_task=task).values_list("map_index", "value"))
    return {
        row.map_index: (
            row.state, row.try_number, row.outcome, values.get(row.map_index),
            row.error_type if row.state == "failed" else "",
        )
        for row in rows
    }  # fmt: skip


def assert_rollups_equal_the_rows(task: MappedTask) -> None:
    """What the mapped task's row says of its instances, at any moment."""
    task = MappedTask.objects.get(pk=task.pk)
    rows = list(Instance.objects.filter(mapped_task=task))
    counts = Counter(row.outcome for row in rows)
    assert task.counts == counts
    assert task.total == len(rows) - counts["removed"]
    assert task.failing == counts["soft_failure"] + counts["hard_failure"] + counts["upstream_failed"]
    assert task.unread_results == sum(row.result_state == "unread" for row in rows)
    for row in rows:
        if row.result_state == "unread":
            assert {name: getattr(row, name) for name in WHILE_UNREAD} == WHILE_UNREAD
    groups = dict(ErrorGroup.objects.filter(mapped_task=task).values_list("group", "count"))
    assert groups == Counter(row.error_group for row in rows if row.error_group)
    kept = set(InstanceResult.objects.filter(mapped_task=task).values_list("map_index", flat=True))
    assert kept == {row.map_index for row in rows if row.result_state in ("read", "external")}
