"""What Airflow is asked does not depend on how many people look."""

from __future__ import annotations

from datetime import timedelta

import pytest

from panel.mirror.models import MappedTask
from panel.mirror.services import request_refresh

pytestmark = pytest.mark.django_db

ROUNDS = 12


def asked_while_looking(etl, task, worker, later, viewers: int) -> int:
    """Requests about instances in so many rounds of five minutes, in each of which one ends."""
    later(3_600)  # each watch begins with everything due and nothing new
    for row in etl.world.of_run("etl", "r1"):
        row.updated_at -= timedelta(hours=1)
    worker.beat(3)
    etl.forget_requests()
    for index in range(ROUNDS):
        etl.finish("etl", "r1", "work", index, result={"id": index})
        for _ in range(viewers):
            request_refresh(mapped_task=MappedTask.objects.select_related("run__dag__server").get(pk=task.pk))
        worker.beat()
        for _ in range(viewers):  # the worker has just read it
            request_refresh(mapped_task=MappedTask.objects.select_related("run__dag__server").get(pk=task.pk))
        worker.work()
        later(300)
    return len(etl.calls(path="/taskInstances"))


def test_two_hundred_viewers_cost_airflow_what_one_does(etl, mapped, worker, later, settings):
    settings.MIRROR_FRESH_SECONDS = 60  # however slow this machine is, a round's looks are over before that
    task = mapped(400)
    asked_while_looking(etl, task, worker, later, viewers=0)
    one = asked_while_looking(etl, task, worker, later, viewers=1)
    many = asked_while_looking(etl, task, worker, later, viewers=200)
    assert one > ROUNDS
    assert abs(many - one) <= 0.05 * one
