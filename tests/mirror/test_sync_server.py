"""Which Dags and runs the mirror holds."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from panel.mirror import selectors
from panel.mirror.models import Dag, DagRun, Instance, MappedTask, ServerMirror
from panel.mirror.services import sync_server
from panel.servers.models import Server
from tests.fakes.airflow import Task

pytestmark = pytest.mark.django_db


def structure_reads(fake) -> int:
    return len(fake.calls("GET", "/tasks"))


def run_ids(dag_id: str = "etl") -> set[str]:
    return set(DagRun.objects.filter(dag__dag_id=dag_id, deleted_at=None).values_list("run_id", flat=True))


def test_all_dags_are_listed_but_only_runs_of_mapped_ones_are_mirrored(etl, server, worker):
    etl.add_dag("plain", tasks=["one", "two"], tags=["nightly"], description="No maps <here>", is_paused=True)
    etl.add_run("plain", "p1")
    etl.add_run("etl", "r1")
    worker.beat(2)
    assert [dag.dag_id for dag in selectors.dags_of(server)] == ["etl", "plain"]
    assert [dag.dag_id for dag in selectors.dags_of(server, mapped_only=True)] == ["etl"]
    plain = selectors.dag("prod", "plain")
    assert (plain.is_paused, plain.tags, plain.description) == (True, ["nightly"], "No maps <here>")
    assert (run_ids("plain"), run_ids("etl")) == (set(), {"r1"})


def test_the_structure_says_what_is_mapped_and_what_comes_after(etl, server, worker):
    worker.beat(2)
    dag = selectors.dag("prod", "etl")
    assert dag.mapped_task_ids == ["work"]
    tasks = {task["task_id"]: task for task in dag.tasks}
    assert tasks["work"]["downstream"] == ["report"]
    assert tasks["report"]["trigger_rule"] == "all_done"
    assert {task_id for task_id, task in tasks.items() if task["is_mapped"]} == {"work"}


def test_the_structure_is_read_again_only_when_its_version_changes(etl, server, worker, later):
    worker.beat(2)
    etl.forget_requests()
    for _ in range(3):
        later(400)
        worker.beat(2)
    assert structure_reads(etl) == 0
    etl.world.dags["etl"].tasks["extra"] = Task("extra", is_mapped=True)
    etl.new_version("etl")
    later(400)
    worker.beat(2)
    assert set(selectors.dag("prod", "etl").mapped_task_ids) == {"work", "extra"}


def test_a_version_that_airflow_rewrote_in_place_is_read_again_once_a_run_uses_it(etl, server, worker, later):
    worker.beat(2)
    later(30)
    etl.world.dags["etl"].tasks["extra"] = Task("extra", is_mapped=True)
    etl.add_run("etl", "r1")
    worker.beat(3)
    assert set(selectors.dag("prod", "etl").mapped_task_ids) == {"work", "extra"}
    assert set(MappedTask.objects.values_list("task_id", flat=True)) == {"work", "extra"}
    etl.forget_requests()
    for _ in range(3):
        later(400)
        worker.beat(2)
    assert structure_reads(etl) == 0


def test_a_dag_that_vanished_is_marked_with_its_runs_and_comes_back(etl, server, worker, later):
    etl.add_run("etl", "r1")
    worker.beat(2)
    kept = etl.world.dags["etl"]
    etl.remove_dag("etl")
    later(70)
    worker.beat(2)
    assert list(selectors.dags_of(server)) == []
    assert selectors.run("prod", "etl", "r1").deleted_at is not None  # whoever holds a link still sees it
    etl.world.dags["etl"] = kept
    etl.add_run("etl", "r2")
    later(70)
    worker.beat(2)
    assert [dag.dag_id for dag in selectors.dags_of(server)] == ["etl"]
    assert run_ids() == {"r2"}


def test_a_dag_whose_file_broke_stays_and_says_so(etl, server, worker, later):
    worker.beat(2)
    etl.world.dags["etl"].is_stale = etl.world.dags["etl"].has_import_errors = True
    etl.add_import_error("dags/etl.py", 'Traceback\n  File "etl.py"\nSyntaxError: invalid <syntax>')
    later(70)
    worker.beat(2)
    dag = selectors.dag("prod", "etl")
    assert (dag.deleted_at, dag.is_stale, dag.has_import_errors) == (None, True, True)
    (error,) = ServerMirror.objects.get().import_errors
    assert (error["filename"], error["message"]) == ("dags/etl.py", "SyntaxError: invalid <syntax>")


def test_the_last_runs_are_mirrored_and_the_active_ones_however_old(etl, server, worker, settings):
    settings.MIRROR_RUNS_PER_DAG = 3
    now = etl.clock.now()
    for number in range(6):
        moment = now - timedelta(hours=number)
        state = "running" if number == 5 else "success"
        etl.add_run("etl", f"r{number}", state=state, run_after=moment)
    worker.beat(3)
    assert run_ids() == {"r0", "r1", "r2", "r5"}


def test_finished_runs_that_are_too_old_are_left_out(etl, server, worker, settings):
    settings.MIRROR_DAYS = 7
    etl.add_run("etl", "old", state="success", run_after=etl.clock.now() - timedelta(days=8))
    etl.add_run("etl", "new", state="success")
    worker.beat(2)
    assert run_ids() == {"new"}


def test_a_run_tells_what_airflow_tells(etl, server, worker):
    etl.add_run("etl", "r1", state="success", conf={"env": "prod", "n": 3}, note="for <Ann>", user="ann")
    worker.beat(2)
    run = selectors.run("prod", "etl", "r1")
    assert (run.state, run.conf, run.note, run.triggering_user) == (
        "success",
        {"env": "prod", "n": 3},
        "for <Ann>",
        "ann",
    )
    assert run.run_after is not None
    assert run.end_date is not None


def test_a_new_run_is_seen_within_seconds_without_reading_every_dag(etl, server, worker, later):
    for number in range(5):
        etl.add_dag(f"other{number}", tasks=[Task("work", is_mapped=True)])
    worker.beat(3)
    later(6)
    etl.add_run("etl", "r1")
    etl.expand("etl", "r1", "work", 2)
    etl.forget_requests()
    worker.beat(2)
    assert selectors.mapped_task("prod", "etl", "r1", "work").total == 2
    assert etl.calls("GET", "other") == []


def test_an_active_run_is_followed_until_it_ends_and_then_left_alone(etl, mapped, worker, later):
    task = mapped(2)
    for index in range(2):
        etl.finish("etl", "r1", "work", index, result={"id": index})
        later(6)
        worker.beat(2)
    etl.finish_run("etl", "r1")
    later(16)
    worker.beat(2)
    task.refresh_from_db()
    run = selectors.run("prod", "etl", "r1")
    assert (run.state, run.reconciled_at is not None) == ("success", True)
    assert (task.counts, task.complete, task.due_at) == ({"success": 2}, True, None)
    etl.forget_requests()
    for _ in range(5):
        later(20)
        worker.beat()
    assert etl.calls(path="taskInstances") == []


def test_a_run_that_vanished_is_marked_as_deleted(etl, mapped, worker, later):
    mapped(2)
    etl.remove_run("etl", "r1")
    later(70)
    worker.beat(2)
    run = selectors.run("prod", "etl", "r1")
    assert run.deleted_at is not None
    assert list(selectors.active_tasks()) == []
    etl.forget_requests()
    later(70)
    worker.beat(2)
    assert etl.calls(path="taskInstances") == []


def test_a_finished_run_that_vanished_is_noticed_by_the_dags_next_read(etl, mapped, worker, later):
    mapped(1, state="success")
    etl.add_run("etl", "r2", state="success")
    worker.beat(2)
    etl.remove_run("etl", "r1")
    later(400)
    worker.beat(2)
    assert run_ids() == {"r2"}


def test_runs_beyond_the_limits_are_pruned_unless_somebody_looked(etl, server, worker, later, settings):
    etl.add_run("etl", "opened", state="success", run_after=etl.clock.now() - timedelta(hours=2))
    etl.add_run("etl", "old", state="success", run_after=etl.clock.now() - timedelta(hours=1))
    etl.expand("etl", "old", "work", 3)
    worker.beat(3)
    assert Instance.objects.filter(mapped_task__run__run_id="old").count() == 3
    settings.MIRROR_RUNS_PER_DAG = 1
    etl.add_run("etl", "new", state="success")
    later(3600)
    DagRun.objects.filter(run_id="opened").update(opened_at=timezone.now())
    worker.beat(3)
    assert set(DagRun.objects.values_list("run_id", flat=True)) == {"opened", "new"}
    assert not Instance.objects.filter(mapped_task__run__run_id="old").exists()


def test_hundreds_of_dags_are_listed_to_the_end(etl, server):
    for number in range(230):
        etl.add_dag(f"dag{number:03}", tasks=["one"])
    sync_server(server_id=server.pk)
    assert Dag.objects.count() == 231


def test_two_servers_are_kept_apart(etl, server, worker):
    other = Server.objects.get(pk=server.pk)
    other.pk, other.slug = None, "staging"
    other.save()
    etl.add_run("etl", "r1")
    etl.expand("etl", "r1", "work", 2)
    worker.beat(2)
    one, two = (selectors.mapped_task(slug, "etl", "r1", "work") for slug in ("prod", "staging"))
    assert one.pk != two.pk
    assert (one.total, two.total) == (2, 2)


def test_the_mirror_can_be_deleted_and_comes_back_with_the_same_ids(etl, mapped, worker):
    before = mapped(2).pk
    ServerMirror.objects.all().delete()
    Dag.objects.all().delete()
    server = Server.objects.get()
    server.dags_synced_at = None
    server.save()
    worker.beat(2)
    assert selectors.mapped_task("prod", "etl", "r1", "work").pk == before


def test_that_a_run_goes_on_is_told_by_its_server_and_asked_again_by_who_wants_to_know_all(etl, mapped, sync, server):
    task = mapped(2)
    etl.forget_requests()
    assert sync(task, run_is_known=True).run.state == "running"
    assert etl.calls("GET", "/dagRuns") == []
    sync_server(server_id=server.pk)
    assert len(etl.calls("GET", "/dagRuns")) == 1

    etl.finish_run("etl", "r1")
    DagRun.objects.update(synced_at=timezone.now() - timedelta(seconds=3))
    assert sync(task, run_is_known=True).run.state == "running", "the next pass over the server tells"
    assert sync(task, run_is_known=True, full=True).run.state == "success"


def test_a_run_of_which_the_server_has_not_told_for_a_while_is_asked_for(etl, mapped, sync):
    task = mapped(2)
    etl.finish_run("etl", "r1")
    assert sync(task).run.state == "success"


def test_a_run_that_was_deleted_and_made_again_is_there_again(etl, mapped, sync):
    task = mapped(2)
    DagRun.objects.update(deleted_at=timezone.now(), synced_at=timezone.now())
    assert sync(task, run_is_known=True).run.deleted_at is not None, "it was looked for a moment ago"
    DagRun.objects.update(synced_at=timezone.now() - timedelta(seconds=3))
    assert sync(task, run_is_known=True).run.deleted_at is None
