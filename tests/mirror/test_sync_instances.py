"""What the mirror makes of Airflow's task instances."""

from __future__ import annotations

import pytest

from panel.mirror.models import Instance, MappedTask

pytestmark = pytest.mark.django_db


def row(task: MappedTask, index: int) -> Instance:
    return Instance.objects.get(mapped_task=task, map_index=index)


def outcomes(task: MappedTask) -> list[str]:
    return list(Instance.objects.filter(mapped_task=task).order_by("map_index").values_list("outcome", flat=True))


def test_a_run_is_mirrored_with_its_instances_and_their_outcomes(etl, mapped, sync):
    task = mapped(7)
    etl.finish("etl", "r1", "work", 0, result={"id": 0})
    etl.finish("etl", "r1", "work", 1, result={"status": "failed", "error": "no rows"})
    etl.finish("etl", "r1", "work", 2, error=("ValueError", "boom"))
    etl.finish("etl", "r1", "work", 3, "skipped")
    etl.start("etl", "r1", "work", 4)
    etl.finish("etl", "r1", "work", 5, "up_for_retry", error=("KeyError", "k"))
    task = sync(task)
    assert outcomes(task) == [
        "success", "soft_failure", "hard_failure", "skipped", "running", "retrying", "waiting",
    ]  # fmt: skip
    assert task.counts == {
        "success": 1, "soft_failure": 1, "hard_failure": 1, "retrying": 1, "running": 1, "waiting": 1, "skipped": 1,
    }  # fmt: skip
    assert (task.total, task.failing, task.unread_results, task.complete) == (7, 2, 0, True)
    assert task.last_error == ""
    assert (row(task, 2).error_type, row(task, 2).error_message) == ("ValueError", "boom")
    assert (row(task, 5).error_type, row(task, 5).error_message) == ("KeyError", "k")
    assert row(task, 1).error_message == "no rows"
