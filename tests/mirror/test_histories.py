"""The same item in the runs before: by label, else by index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from django.utils import timezone

from panel.mirror import histories
from panel.mirror.models import DagRun, MappedTask
from tests.mirror.stage import mirrored_task

S, F, SOFT, SKIPPED = "success", "hard_failure", "soft_failure", "skipped"


@pytest.fixture
def run(server) -> Callable[..., MappedTask]:
    """``run([S, F])``: a newer run than all before, with these outcomes."""
    made: list[MappedTask] = []

    def make(outcomes: Sequence[str], labels: Sequence[str] = (), task_id: str = "process_file") -> MappedTask:
        number = len(made)
        named = dict(enumerate(labels))
        task = mirrored_task(server, outcomes, run_id=f"r{number}", labels=named, task_id=task_id)
        DagRun.objects.filter(pk=task.run_id).update(run_after=timezone.now() + timedelta(hours=number))
        made.append(MappedTask.objects.select_related("run__dag__server").get(pk=task.pk))
        return made[-1]

    return make


def found(task: MappedTask, **more: int) -> dict[str, str]:
    return {group.pattern.value: str(group.indices) for group in histories.patterns(task, **more).groups}


def story(task: MappedTask, index: int, **more: int) -> list[str | None]:
    past = histories.history_of(task.instances.get(map_index=index), **more)
    return [one.instance.outcome if one.instance else None for one in past]


# ── Patterns of a run's failures ─────────────────────────────────────────────────────────────────────────────────
def test_failures_are_told_apart_by_the_runs_before(run):
    run([S, S, F, F, S])
    run([S, F, F, S, S])
    run([S, S, F, F, S])
    assert found(run([F, SOFT, F, F, S, F])) == {"new": "0", "flaky": "1,3", "always": "2", "first": "5"}


def test_one_that_failed_the_last_time_only_is_still_failing(run):
    run([S, S])
    run([S, F])
    assert found(run([S, F])) == {"still": "1"}


def test_runs_that_say_nothing_are_passed_over(run):
    run([S, F])
    run([S, F])
    for nothing in (SKIPPED, "running", "upstream_failed", "unknown_result", "removed"):
        run([nothing, nothing])
    assert found(run([F, F])) == {"new": "0", "always": "1"}


def test_what_comes_after_this_run_does_not_matter(run):
    run([S])
    task = run([F])
    run([F])
    assert found(task) == {"new": "0"}


def test_an_item_is_known_by_its_label_wherever_it_stands(run):
    run([F, S], ["eu", "us"])
    run([F, S], ["eu", "us"])
    assert found(run([F, F, F], ["us", "EU", "eu"])) == {"new": "0", "first": "1", "always": "2"}


def test_an_index_is_not_taken_for_an_item_that_has_a_name(run):
    run([S], ["eu"])
    assert found(run([F])) == {"first": "0"}
    assert found(run([F], ["eu"])) == {"new": "0"}


def test_of_several_items_with_one_label_a_single_failure_counts(run):
    run([F, S], ["eu", "eu"])
    run([S, F], ["eu", "eu"])
    assert found(run([F], ["eu"])) == {"always": "0"}


def test_other_tasks_and_deleted_runs_are_left_out(run):
    gone = run([F])
    DagRun.objects.filter(pk=gone.run_id).update(deleted_at=timezone.now())
    run([F], task_id="other")
    assert found(run([F])) == {"first": "0"}


def test_a_run_without_failures_has_no_patterns(run):
    run([F])
    patterns = histories.patterns(run([S, "upstream_failed", "waiting"]))
    assert (patterns.groups, patterns.runs, patterns.left_out) == ([], 1, 0)


def test_only_so_many_runs_are_asked(run):
    for outcome in (F, S, S, S):
        run([outcome])
    task = run([F])
    assert (found(task), found(task, runs=3)) == ({"flaky": "0"}, {"new": "0"})


def test_more_failures_than_can_be_looked_up_are_told(run, monkeypatch):
    monkeypatch.setattr(histories, "MOST_FAILURES", 3)
    patterns = histories.patterns(run([F] * 5))
    assert (str(patterns.groups[0].indices), patterns.left_out) == ("0-2", 2)


def test_many_failures_cost_few_queries(run, django_assert_max_num_queries):
    run([S, F] * 300)
    task = run([F] * 600)
    with django_assert_max_num_queries(4):
        assert {g.pattern: g.count for g in histories.patterns(task).groups} == {"new": 300, "still": 300}


# ── One item over the runs ───────────────────────────────────────────────────────────────────────────────────────
def test_the_history_of_an_index_is_newest_first(run):
    run([S, F])
    run([SOFT])
    task = run([F, S])
    assert story(task, 0) == [F, SOFT, S]
    assert story(task, 1) == [S, None, F]


def test_the_history_of_a_label_follows_it(run):
    run([F, S], ["eu", "us"])
    task = run([S, F], ["us", "eu"])
    past = histories.history_of(task.instances.get(map_index=1))
    assert [(one.instance.map_index, one.is_this) for one in past if one.instance] == [(1, True), (0, False)]


def test_of_several_with_one_label_that_at_the_same_index_is_meant(run):
    run([S, F, S], ["eu", "eu", "eu"])
    run([S, S, SOFT], ["us", "us", "eu"])
    task = run([F, F], ["us", "eu"])
    assert story(task, 1) == [F, SOFT, F]


def test_this_run_is_always_part_of_the_history(run):
    old = run([F])
    for _ in range(4):
        run([S])
    assert story(old, 0, runs=3) == [S, S, F]
    past = histories.history_of(old.instances.get(map_index=0), runs=3)
    assert [one.is_this for one in past] == [False, False, True]


def test_a_history_costs_two_queries(run, django_assert_max_num_queries):
    for _ in range(5):
        task = run([S])
    instance = task.instances.select_related("mapped_task__run").get()
    with django_assert_max_num_queries(2):
        assert len(histories.history_of(instance)) == 5
