"""What the mirror makes of Airflow's task instances."""

from __future__ import annotations

import pytest

from panel.mirror.models import Instance, MappedTask
from tests.fakes.airflow import Task

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


def test_every_state_of_airflow_has_an_outcome_also_one_that_is_not_known(etl, mapped, sync):
    states = ["restarting", "deferred", "up_for_reschedule", "queued", "scheduled", "upstream_failed", "polishing"]
    task = mapped(len(states))
    for index, state in enumerate(states):
        etl.set_state("etl", "r1", "work", index, state)
    task = sync(task)
    assert outcomes(task) == ["running"] * 3 + ["waiting"] * 2 + ["upstream_failed", "waiting"]
    assert row(task, 6).state == "polishing"  # shown by Airflow's own word


def test_labels_are_kept_where_the_dag_names_its_indices(etl, mapped, sync):
    task = mapped(3)
    etl.finish("etl", "r1", "work", 0, label="<b>us-east</b>")
    etl.finish("etl", "r1", "work", 1, label="Ünïted\x00 states")
    etl.finish("etl", "r1", "work", 2)
    task = sync(task)
    assert [row(task, index).label for index in range(3)] == ["<b>us-east</b>", "Ünïted states", ""]


def test_a_run_that_has_not_expanded_says_so(etl, mapped, sync):
    task = mapped()
    assert (task.total, task.unexpanded_state, task.counts) == (0, "none", {})
    etl.expand("etl", "r1", "work", 2)
    task = sync(task)
    assert (task.total, task.unexpanded_state) == (2, "")


def test_a_run_that_never_expanded_keeps_the_state_of_its_placeholder(etl, mapped, sync):
    task = mapped()
    etl.set_state("etl", "r1", "work", -1, "upstream_failed")
    etl.finish_run("etl", "r1", "failed")
    task = sync(task)
    assert (task.total, task.unexpanded_state, task.complete) == (0, "upstream_failed", True)


def test_a_map_over_nothing_is_skipped(etl, mapped, sync):
    task = mapped(0)
    assert (sync(task).total, sync(task).unexpanded_state) == (0, "skipped")


def test_a_map_that_shrank_has_removed_instances_that_do_not_count(etl, mapped, sync):
    task = mapped(4)
    etl.finish("etl", "r1", "work", 3, error=("ValueError", "boom"))
    sync(task)
    etl.expand("etl", "r1", "work", 2)
    task = sync(task)
    assert outcomes(task)[2:] == ["removed", "removed"]
    assert (task.total, task.counts["removed"], task.failing) == (2, 2, 0)
    assert row(task, 3).error_message == ""


def test_a_map_that_shrank_to_nothing(etl, mapped, sync):
    task = mapped(2)
    etl.expand("etl", "r1", "work", 0)
    task = sync(task)
    assert (task.total, task.counts, task.unexpanded_state) == (0, {"removed": 2}, "")


def test_a_map_that_grew(etl, mapped, sync):
    task = mapped(2)
    etl.expand("etl", "r1", "work", 5)
    assert sync(task).total == 5


def test_instances_that_airflow_no_longer_has_disappear(etl, mapped, sync):
    task = mapped(3)
    del etl.world.of_task("etl", "r1", "work")[2]
    task = sync(task)
    assert (task.total, len(outcomes(task))) == (2, 2)


def test_a_cleared_instance_shows_neither_the_times_nor_the_result_of_its_old_try(etl, mapped, sync, airflow):
    task = mapped(2)
    etl.finish("etl", "r1", "work", 0, result={"status": "failed", "error": "no rows"})
    etl.finish("etl", "r1", "work", 1, error=("ValueError", "boom"))
    etl.finish_run("etl", "r1", "failed")
    task = sync(task)
    assert outcomes(task) == ["soft_failure", "hard_failure"]
    airflow.instances.clear("etl", "r1", [("work", 0), ("work", 1)], dry_run=False)
    task = sync(task)
    assert outcomes(task) == ["waiting", "waiting"]
    for index in (0, 1):
        cleared = row(task, index)
        assert (cleared.start_date, cleared.end_date, cleared.duration) == (None, None, None)
        assert (cleared.result, cleared.result_state, cleared.error_message, cleared.error_group) == (
            None, "none", "", "",
        )  # fmt: skip
    assert task.run.state == "queued"


def test_after_a_clear_the_new_tries_result_is_read(etl, mapped, sync, airflow):
    task = mapped(1)
    etl.finish("etl", "r1", "work", 0, result={"status": "failed", "error": "no rows"})
    task = sync(task)
    airflow.instances.clear("etl", "r1", [("work", 0)], dry_run=False)
    etl.finish("etl", "r1", "work", 0, result={"status": "ok"})
    task = sync(task)  # the state in between was never seen
    assert (outcomes(task), row(task, 0).result, row(task, 0).try_number) == (["success"], {"status": "ok"}, 2)


def test_an_instance_that_runs_again_has_no_end(etl, mapped, sync, airflow):
    task = mapped(1)
    etl.finish("etl", "r1", "work", 0, error=("ValueError", "boom"))
    sync(task)
    airflow.instances.clear("etl", "r1", [("work", 0)], dry_run=False)
    etl.start("etl", "r1", "work", 0)
    running = row(sync(task), 0)
    assert (running.outcome, running.end_date, running.duration, running.error_message) == ("running", None, None, "")
    assert running.start_date is not None


def test_a_failure_marked_as_success_by_hand_counts_as_success(etl, mapped, sync, airflow):
    task = mapped(1)
    etl.finish("etl", "r1", "work", 0, error=("ValueError", "boom"))
    sync(task)
    airflow.instances.set_state("etl", "r1", "work", 0, "success")
    task = sync(task)
    assert (outcomes(task), row(task, 0).error_message, task.failing) == (["success"], "", 0)


def test_notes_are_kept(etl, mapped, sync, airflow):
    task = mapped(1)
    airflow.instances.set_note("etl", "r1", "work", 0, "look <here>")
    assert row(sync(task), 0).note == "look <here>"


def test_the_version_grows_only_when_something_changed(etl, mapped, sync):
    task = sync(mapped(3))
    assert sync(task).version == task.version
    etl.finish("etl", "r1", "work", 0, result={"id": 0})
    assert sync(task).version > task.version


def test_the_counts_always_equal_the_rows(etl, mapped, sync):
    task = mapped(6)
    for index in range(6):
        etl.finish("etl", "r1", "work", index, result={"status": "failed" if index % 2 else "ok"})
        task = sync(task)
        counted = {outcome: outcomes(task).count(outcome) for outcome in set(outcomes(task))}
        assert task.counts == counted


def test_run_ids_with_odd_signs(etl, mapped, sync):
    run_id = "manual__2026-11-22T06:46:17.345398+00:00~a"
    task = mapped(2, run_id=run_id)
    etl.finish("etl", run_id, "work", 0, result={"status": "failed", "error": "e"})
    etl.finish("etl", run_id, "work", 1, error=("ValueError", "boom"))
    assert outcomes(sync(task)) == ["soft_failure", "hard_failure"]


def test_tasks_in_a_mapped_group_are_mapped_tasks(fake_airflow, server, worker):
    fake_airflow.add_dag(
        "grouped",
        tasks=[
            Task("grp.fetch", group="grp", group_is_mapped=True, downstream=["grp.load"]),
            Task("grp.load", group="grp", group_is_mapped=True),
        ],
    )
    fake_airflow.add_run("grouped", "r1")
    fake_airflow.expand("grouped", "r1", "grp", 2)
    fake_airflow.finish("grouped", "r1", "grp.fetch", 0, error=("ValueError", "boom"))
    fake_airflow.finish("grouped", "r1", "grp.load", 0, "upstream_failed")
    worker.beat(2)
    fetch, load = MappedTask.objects.order_by("position")
    assert (fetch.task_id, load.task_id) == ("grp.fetch", "grp.load")
    assert outcomes(fetch) == ["hard_failure", "waiting"]
    assert outcomes(load) == ["upstream_failed", "waiting"]
    assert row(load, 0).error_group == ""


def test_a_run_of_an_older_version_of_the_dag_shows_the_tasks_it_had(etl, server, worker):
    etl.add_run("etl", "r1", state="success")
    etl.expand("etl", "r1", "work", 2)
    tasks = etl.world.dags["etl"].tasks
    tasks["process"] = Task("process", is_mapped=True)
    tasks["work"] = Task("work")  # no longer mapped
    etl.new_version("etl")
    worker.beat(4)
    assert [(task.task_id, task.total) for task in MappedTask.objects.all()] == [("work", 2)]


def test_a_map_in_which_nothing_happens_is_asked_less_often(etl, mapped, sync, later):
    task = sync(mapped(2))
    first = (task.due_at - task.synced_at).total_seconds()
    later(120)
    task = sync(task)
    second = (task.due_at - task.synced_at).total_seconds()
    later(4_000)
    task = sync(task)
    third = (task.due_at - task.synced_at).total_seconds()
    assert first < 5
    assert 11 < second < 13
    assert 14 < third < 16
