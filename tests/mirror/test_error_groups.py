"""Error groups: rows of their own that always agree with the instances, and what pages make of them."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

import pytest
from django.utils import timezone

from panel.mirror.claims import claim
from panel.mirror.error_groups import EARLIER_RUNS, error_groups, first_error_groups
from panel.mirror.models import DagRun, ErrorGroup, Instance, MappedTask
from panel.mirror.sync.rows import put_error
from panel.mirror.sync.store import store
from tests.mirror.stage import mirrored_task

pytestmark = pytest.mark.django_db

BROKEN = ("ValueError", "item 1 is broken")
MISSING = ("KeyError", "'name'")


@pytest.fixture
def task(server) -> MappedTask:
    """Five hard failures (one of another kind), a soft one, one upstream, one success."""
    return mirrored_task(
        server,
        ["hard_failure"] * 5 + ["soft_failure", "success", "upstream_failed"],
        errors={2: MISSING, 5: ("", "item 5 is broken")},
    )


def write(task: MappedTask, changed=(), gone=()) -> None:
    held = claim(task)
    assert held is not None
    store(held, changed, gone)
    held.succeed(due_at=None)


def failing_again(task: MappedTask, index: int, error: tuple[str, str]) -> Instance:
    row = Instance.objects.get(mapped_task=task, map_index=index)
    row.state, row.outcome, row.try_number, row.end_date = "failed", "hard_failure", 2, timezone.now()
    put_error(row, *error)
    return row


def recovered(task: MappedTask, index: int) -> Instance:
    row = Instance.objects.get(mapped_task=task, map_index=index)
    row.state, row.outcome, row.error_group, row.error_type, row.error_message = "success", "success", "", "", ""
    return row


def told(task: MappedTask) -> list[tuple[str, int, str]]:
    return [(group.error_type, group.count, str(group.indices)) for group in error_groups(task)]


def worked_out(task: MappedTask) -> dict[str, tuple]:
    """What the groups must be, from the instances."""
    members = defaultdict(list)
    for row in Instance.objects.filter(mapped_task=task).exclude(error_group="").order_by("map_index"):
        members[row.error_group].append(row)
    return {
        group: (
            rows[0].outcome,
            rows[0].error_type,
            len(rows),
            rows[0].map_index,
            min(row.end_date for row in rows),
            max(row.end_date for row in rows),
        )
        for group, rows in members.items()
    }


def kept(task: MappedTask) -> dict[str, tuple]:
    return {
        row.group: (row.outcome, row.error_type, row.count, row.example_index, row.first_seen, row.last_seen)
        for row in ErrorGroup.objects.filter(mapped_task=task)
    }


def test_a_group_says_what_failed_how_often_and_where(task):
    groups = error_groups(task)
    assert [(group.outcome, group.error_type, group.message, str(group.indices)) for group in groups] == [
        ("hard_failure", "ValueError", "item <n> is broken", "0-1,3-4"),
        ("hard_failure", "KeyError", "'name'", "2"),
        ("soft_failure", "", "item <n> is broken", "5"),
    ]
    assert groups[0].first_seen < groups[0].last_seen
    assert sum(group.count for group in groups) == 6
    assert kept(task) == worked_out(task)


def test_its_share_is_of_all_failures_and_its_example_a_real_one(task):
    Instance.objects.filter(mapped_task=task, map_index=0).update(error_frame="etl.py:42 in load")
    first = error_groups(task)[0]
    assert first.share == pytest.approx(4 / 7)
    assert (first.example_index, first.example_message, first.frame) == (0, "item 0 is broken", "etl.py:42 in load")


def test_an_instance_that_recovers_leaves_its_group(task):
    write(task, [recovered(task, 0), recovered(task, 2)])
    assert told(task) == [("ValueError", 3, "1,3-4"), ("", 1, "5")]
    assert kept(task) == worked_out(task)


def test_an_instance_that_fails_in_another_way_changes_groups(task):
    write(task, [failing_again(task, 0, MISSING)])
    assert told(task) == [("ValueError", 3, "1,3-4"), ("KeyError", 2, "0,2"), ("", 1, "5")]
    assert kept(task) == worked_out(task)


def test_a_group_that_wins_as_many_as_it_loses_is_told_anew(task):
    write(task, [failing_again(task, 0, MISSING), failing_again(task, 2, BROKEN)])
    assert told(task) == [("ValueError", 4, "1-4"), ("KeyError", 1, "0"), ("", 1, "5")]
    assert kept(task) == worked_out(task)


def test_an_instance_that_fails_alike_again_brings_the_last_time_forward(task):
    before = error_groups(task)[0].last_seen
    write(task, [failing_again(task, 1, BROKEN)])
    assert error_groups(task)[0].last_seen > before
    assert kept(task) == worked_out(task)


def test_what_airflow_no_longer_has_is_in_no_group(task):
    write(task, gone=[0, 5])
    assert told(task) == [("ValueError", 3, "1,3-4"), ("KeyError", 1, "2")]
    assert kept(task) == worked_out(task)


def test_a_mapped_tasks_groups_are_its_own(task, server):
    other = mirrored_task(server, ["hard_failure"], run_id="other", errors={0: MISSING})
    write(task, gone=[2])
    assert told(other) == [("KeyError", 1, "0")]


def test_hundreds_of_groups_are_kept_the_largest_first(server):
    errors = {index: (f"Error{index % 600 + 1:03d}".replace("1", "x"), f"m{index}") for index in range(1_200)}
    task = mirrored_task(server, ["hard_failure"] * 1_200, errors=errors)
    groups = error_groups(task)
    assert sum(group.count for group in groups) == 1_200
    assert [group.count for group in groups] == sorted((group.count for group in groups), reverse=True)
    assert kept(task) == worked_out(task)
    write(task, [recovered(task, index) for index in range(1_200)])
    assert error_groups(task) == []


def test_a_write_looks_only_at_the_groups_it_touches(task):
    row = failing_again(task, 0, MISSING)
    ErrorGroup.objects.filter(mapped_task=task, outcome="soft_failure").update(message="not touched")
    write(task, [row])
    assert "not touched" in {group.message for group in error_groups(task)}


def test_groups_take_few_queries_however_many_rows(server, django_assert_num_queries):
    task = mirrored_task(server, ["hard_failure", "success"] * 1_000)
    mirrored_task(server, ["hard_failure"], run_id="before")
    DagRun.objects.filter(run_id="before").update(run_after=task.run.run_after - timedelta(hours=1))
    with django_assert_num_queries(5):  # groups, earlier runs and what they had, indices, examples
        error_groups(task)


def test_the_first_groups_show_where_they_begin(server):
    task = mirrored_task(
        server, ["hard_failure", "success"] * 100, errors={2: MISSING, 4: MISSING, 6: ("OSError", "disk full")}
    )
    first, second = first_error_groups(task, 2)
    assert (first.error_type, first.count, first.beginning) == ("ValueError", 97, "0,8,10,12,14,16,…")
    assert (second.error_type, second.count, second.beginning) == ("KeyError", 2, "2,4")


# ── Against earlier runs ─────────────────────────────────────────────────────────────────────────────────────────
def runs_of(server, *errors: tuple[str, str] | None, task_id: str = "process_file") -> list[MappedTask]:
    """One run an hour, the last one now, each with one failure or none."""
    now, tasks = timezone.now(), []
    for age, error in enumerate(reversed(errors)):
        outcome = "hard_failure" if error else "success"
        task = mirrored_task(
            server, [outcome], run_id=f"{age} hours ago", task_id=task_id, errors={0: error} if error else {}
        )
        DagRun.objects.filter(pk=task.run_id).update(run_after=now - timedelta(hours=age))
        tasks.append(MappedTask.objects.select_related("run__dag__server").get(pk=task.pk))
    return tasks


def seen(task: MappedTask) -> list[tuple[bool, int, int]]:
    return [(group.new, group.runs_seen, group.runs_known) for group in error_groups(task)]


def test_without_an_earlier_run_nothing_is_new(server):
    assert seen(runs_of(server, MISSING)[0]) == [(False, 0, 0)]


def test_an_error_that_no_run_before_had_is_new(server):
    assert seen(runs_of(server, None, BROKEN, MISSING)[0]) == [(True, 0, 2)]


def test_an_error_of_the_run_before_is_not_new(server):
    assert seen(runs_of(server, None, MISSING, MISSING, MISSING)[0]) == [(False, 2, 3)]


def test_an_error_that_was_gone_for_a_run_is_new_again(server):
    assert seen(runs_of(server, MISSING, None, MISSING)[0]) == [(True, 1, 2)]


def test_later_runs_do_not_count(server):
    assert seen(runs_of(server, MISSING, MISSING)[1]) == [(False, 0, 0)]


def test_only_the_last_runs_count(server):
    assert seen(runs_of(server, *[MISSING] * (EARLIER_RUNS + 3))[0]) == [(False, EARLIER_RUNS, EARLIER_RUNS)]


def test_other_tasks_and_runs_that_were_deleted_or_never_expanded_do_not_count(server):
    runs_of(server, MISSING, MISSING, task_id="another")
    deleted = runs_of(server, None, MISSING, MISSING)
    DagRun.objects.filter(pk=deleted[1].run_id).update(deleted_at=timezone.now())
    MappedTask.objects.filter(pk=deleted[2].pk).update(total=0)
    assert seen(deleted[0]) == [(False, 0, 0)]
