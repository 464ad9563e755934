"""Who makes the mirror read: viewers, the sweep, one worker at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from panel.mirror import selectors, services
from panel.mirror.claims import ClaimLost, claim
from panel.mirror.models import Dag, DagRun, MappedTask
from panel.mirror.sweeps import MOST_AT_ONCE, sweep
from tests.mirror.stage import mirrored_dag, mirrored_task

pytestmark = pytest.mark.django_db


def look(task: MappedTask) -> bool:
    """As every page does: the row is read first."""
    return services.request_refresh(mapped_task=selectors.mapped_task_by_id(task.pk))


def reads(woken) -> int:
    return sum(name == "mirror.sync_mapped_task" for name, _arguments in woken)


def test_fresh_data_is_not_asked_for_again(mapped, woken):
    task = mapped(1)
    woken.clear()
    assert services.request_refresh(mapped_task=task) is False
    assert woken == []


def test_old_data_is_asked_for_once_however_many_look(mapped, woken, later):
    task = mapped(1)
    later(10)
    woken.clear()
    assert [look(task) for _ in range(5)] == [True] + [False] * 4
    assert woken == [("mirror.sync_mapped_task", (str(task.pk), 0))]


def test_after_the_answer_the_next_look_may_ask_again(mapped, worker, woken, later):
    task = mapped(1)
    for _ in range(2):
        later(10)
        assert look(task) is True
        worker.work()


def test_while_people_look_a_running_map_is_due_seconds_after_each_read_and_the_sweep_wakes_the_worker(
    mapped, worker, woken, later
):
    task = mapped(3)
    later(3_600)  # nothing happened for an hour: by itself it is read every quarter of a minute
    look(task)
    worker.work()
    for _ in range(3):
        woken.clear()
        assert [look(task) for _ in range(5)] == [False] * 5
        later(3)
        assert look(task) is False
        sweep()
        assert reads(woken) == 0
        later(3)
        sweep()
        assert [look(task) for _ in range(5)] == [False] * 5
        sweep()
        assert reads(woken) == 1
        worker.work()


def test_a_finished_map_is_not_read_again_and_again_because_somebody_looks(server, woken, later):
    task = mirrored_task(server, ["success"])
    MappedTask.objects.filter(pk=task.pk).update(complete=True)
    assert look(task) is False
    task.refresh_from_db()
    assert (task.due_at, task.refresh_requested_at) == (None, None)


@pytest.mark.parametrize(("total", "rest"), [(1, 4), (10_000, 60)])
def test_a_large_map_that_ended_rests_longer_between_looks(server, woken, later, total, rest):
    """To read 10,000 takes Airflow three seconds, in which whoever clears some of them is kept waiting."""
    task = mirrored_task(server, ["success"])
    MappedTask.objects.filter(pk=task.pk).update(complete=True, total=total, synced_at=timezone.now())
    later(rest - 2)
    assert look(task) is False
    later(4)
    assert look(task) is True


def test_a_request_that_got_lost_may_be_made_again_and_is_found_by_the_sweep(etl, server, woken, later, worker):
    task = mirrored_task(server, ["success"])  # finished: nothing else makes it due
    later(10)
    look(task)
    woken.clear()
    later(31)
    sweep()
    assert ("mirror.sync_mapped_task", (str(task.pk), 0)) in woken
    assert look(task) is True


def test_nobody_is_sent_to_a_server_that_is_down(mapped, server, woken, later):
    task = mapped(1)
    later(10)
    server.unreachable_since = timezone.now()
    server.save()
    woken.clear()
    task = selectors.mapped_task_by_id(task.pk)
    assert services.request_refresh(mapped_task=task) is False
    assert services.request_dag_refresh(dag=task.run.dag) is False
    assert services.request_run_refresh(dag=task.run.dag, run_id="r1") is False
    assert woken == []


def test_while_one_worker_reads_another_leaves_it_alone(etl, mapped):
    task = mapped(1)
    held = claim(MappedTask.objects.get(pk=task.pk))
    etl.forget_requests()
    assert services.sync_mapped_task(mapped_task_id=task.pk) is False
    assert etl.requests == []
    held.release()
    assert services.sync_mapped_task(mapped_task_id=task.pk) is True


def test_a_claim_whose_holder_died_expires(mapped, later):
    task = mapped(1)
    claim(MappedTask.objects.get(pk=task.pk))
    later(121)
    assert services.sync_mapped_task(mapped_task_id=task.pk) is True


def test_a_holder_that_was_overtaken_writes_nothing_more(mapped, later):
    task = mapped(1)
    slow = claim(MappedTask.objects.get(pk=task.pk))
    later(121)
    quick = claim(MappedTask.objects.get(pk=task.pk))
    with pytest.raises(ClaimLost):
        slow.renew()
    with pytest.raises(ClaimLost):
        slow.succeed(due_at=None)
    slow.release()
    quick.renew()


def test_a_mapped_task_that_is_gone_is_nothing_to_read(db):
    assert services.sync_mapped_task(mapped_task_id="00000000-0000-5000-8000-000000000000") is False


def test_the_sweep_wakes_what_is_due_once(server, woken):
    task = mirrored_task(server, ["running"])
    MappedTask.objects.filter(pk=task.pk).update(due_at=timezone.now())
    sweep()
    assert woken.names().count("mirror.sync_mapped_task") == 1
    sweep()
    assert woken.names().count("mirror.sync_mapped_task") == 1


def test_the_sweep_wakes_again_what_nobody_did(server, woken, later):
    task = mirrored_task(server, ["running"])
    MappedTask.objects.filter(pk=task.pk).update(due_at=timezone.now())
    sweep()
    later(61)
    sweep()
    assert woken.names().count("mirror.sync_mapped_task") == 2


def test_a_backlog_of_finished_runs_does_not_hold_up_the_active_ones(server, woken):
    for number in range(40):
        mirrored_task(server, ["success"], run_id=f"old{number}")
    active = mirrored_task(server, ["running"], run_id="now")
    MappedTask.objects.update(due_at=timezone.now())
    sweep()
    tasks = [arguments[0] for name, arguments in woken if name == "mirror.sync_mapped_task"]
    assert str(active.pk) in tasks
    assert len(tasks) <= 2 * MOST_AT_ONCE


def test_looking_at_a_dag_reads_it_when_that_was_a_while_ago(etl, server, woken, later):
    dag = mirrored_dag(server)
    later(31)
    dag.refresh_from_db()
    assert [services.request_dag_refresh(dag=dag) for _ in range(2)] == [True, False]
    assert woken == [("mirror.sync_dag", (dag.pk,))]


def test_looking_at_a_run_reads_it_with_its_mapped_tasks(mapped, woken, later):
    task = mapped(1)
    later(10)
    woken.clear()
    services.request_run_refresh(dag=task.run.dag, run_id="r1")
    assert sorted(woken.names()) == ["mirror.sync_mapped_task", "mirror.sync_run"]
    assert DagRun.objects.get().opened_at is not None


@pytest.mark.parametrize("what", ["run", "dag"])
def test_one_who_watches_has_airflow_asked_as_often_as_many(server, woken, monkeypatch, what):
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    run = mirrored_task(server, ["success"]).run
    row = run if what == "run" else run.dag

    def reads_in_a_minute(looks: int, every: int) -> int:
        """How often the worker was sent, while so many look every so many seconds and the sweep comes every three."""
        nonlocal now
        type(row).objects.filter(pk=row.pk).update(synced_at=now, due_at=None)
        sent = 0
        for second in range(60):
            woken.clear()
            for _ in range(looks if second % every == 0 else 0):
                if what == "run":
                    services.request_run_refresh(dag=run.dag, run_id=run.run_id)
                else:
                    services.request_dag_refresh(dag=Dag.objects.select_related("server").get(pk=run.dag.pk))
            if second % 3 == 0:
                sweep()
            if f"mirror.sync_{what}" in woken.names():
                sent += 1
                type(row).objects.filter(pk=row.pk).update(synced_at=now, due_at=None)
            now += timedelta(seconds=1)
        return sent

    assert reads_in_a_minute(1, 3) == reads_in_a_minute(8, 1) > 2


def test_opening_a_run_that_is_not_mirrored_fetches_it(etl, server, worker, later):
    worker.beat(2)
    etl.add_run("etl", "old", state="success")
    etl.expand("etl", "old", "work", 2)
    etl.forget_requests()
    run = services.find_or_fetch_run(server=server, dag_id="etl", run_id="old")
    assert len(etl.calls("GET", "/dagRuns")) == 1
    assert [task.task_id for task in run.mapped_tasks.all()] == ["work"]
    worker.work()
    assert selectors.mapped_task("prod", "etl", "old", "work").total == 2


def test_opening_a_run_of_a_dag_that_is_not_mirrored_fetches_both(etl, server):
    etl.add_run("etl", "r1")
    run = services.find_or_fetch_run(server=server, dag_id="etl", run_id="r1")
    assert run.dag.mapped_task_ids == ["work"]


def test_opening_a_run_that_airflow_does_not_know(etl, server):
    with pytest.raises(DagRun.DoesNotExist):
        services.find_or_fetch_run(server=server, dag_id="etl", run_id="nope")
    with pytest.raises(DagRun.DoesNotExist):
        services.find_or_fetch_run(server=server, dag_id="nope", run_id="nope")
