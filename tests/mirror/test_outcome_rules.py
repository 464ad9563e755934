"""Outcome rules in the mirror: the most specific holds, a change derives anew what is stored and asks nobody."""

from __future__ import annotations

import pytest

from panel.access.models import AuditEvent
from panel.domain.outcome_rules import Rule
from panel.mirror.claims import claim
from panel.mirror.models import ErrorGroup, Instance, MappedTask, OutcomeRule
from panel.mirror.outcome_rules import rule_for, rules_for
from panel.mirror.outcome_rules_changing import checked_rule, remove_rule, set_rule
from panel.mirror.sync import outcome_rules as deriving
from panel.mirror.sync.store import store
from panel.problems import Unprocessable

pytestmark = pytest.mark.django_db

STATES = ["good", "bad", "good", "bad", "ugly", "good"]
BAD = Rule("/state", ("bad",), "/why")
UGLY = Rule("/state", ("ugly",))
NEVER = Rule("/state", ("never",))


def outcomes(task: MappedTask) -> str:
    """``s`` and ``f`` for success and soft failure, by index; ``?`` for unknown."""
    rows = Instance.objects.filter(mapped_task=task).order_by("map_index")
    letters = {"success": "s", "soft_failure": "f", "unknown_result": "?"}
    return "".join(letters[row.outcome] for row in rows)


def agrees_with_its_rows(task: MappedTask) -> bool:
    task = MappedTask.objects.get(pk=task.pk)
    rows = list(Instance.objects.filter(mapped_task=task))
    failed = [row for row in rows if row.outcome == "soft_failure"]
    groups = {group.group: group.count for group in ErrorGroup.objects.filter(mapped_task=task)}
    return (
        task.counts == {name: n for name in task.counts if (n := sum(row.outcome == name for row in rows))}
        and sum(task.counts.values()) == len(rows)
        and task.failing == len(failed)
        and groups == {row.error_group: sum(o.error_group == row.error_group for o in failed) for row in failed}
    )


@pytest.fixture
def judged(etl, mapped, sync, later):
    """A finished run of "etl" whose results say ``{"state": …, "why": …}``, as in STATES."""

    def make(run_id: str = "r1", **more) -> MappedTask:
        later(60)
        task = mapped(len(STATES), run_id)
        for index, state in enumerate(STATES):
            etl.finish("etl", run_id, "work", index, result={"state": state, "why": f"{state} weather", **more})
        etl.finish_run("etl", run_id)
        task = sync(task)
        etl.forget_requests()
        return task

    return make


@pytest.fixture
def ruled(server, operator):
    """``ruled(BAD)``, ``ruled(BAD, "etl")``, ``ruled(BAD, "etl", "work")``: a rule for the server, a Dag, a task."""

    def make(rule: Rule, dag_id: str = "", task_id: str = "") -> OutcomeRule:
        return set_rule(user=operator, server=server, dag_id=dag_id, task_id=task_id, rule=rule)

    return make


def test_a_new_rule_changes_stored_outcomes_without_asking_airflow(etl, judged, ruled, worker):
    task, other = judged(), judged("r2")
    assert outcomes(task) == "ssssss"
    ruled(BAD, "etl", "work")
    worker.work()
    assert (outcomes(task), outcomes(other)) == ("sfsfss", "sfsfss")
    assert Instance.objects.get(mapped_task=task, map_index=1).error_message == "bad weather"
    assert agrees_with_its_rows(task)
    assert agrees_with_its_rows(other)
    assert etl.requests == []


def test_whoever_polls_the_page_sees_the_change(judged, ruled, worker):
    task = judged()
    before = task.version
    ruled(BAD)
    worker.work()
    task.refresh_from_db()
    assert task.version > before
    assert set(Instance.objects.filter(version__gt=before).values_list("map_index", flat=True)) == {1, 3}


def test_the_most_specific_rule_holds_and_the_next_one_when_it_is_removed(judged, ruled, worker, operator):
    task = judged()
    rows = [ruled(NEVER), ruled(UGLY, "etl"), ruled(BAD, "etl", "work")]
    assert [str(held.scope) for held in rules_for(task)] == ["task", "dag", "server", "default"]
    seen = []
    for row in reversed(rows):
        worker.work()
        seen.append(outcomes(task))
        remove_rule(user=operator, row=row)
    worker.work()
    assert [*seen, outcomes(task)] == ["sfsfss", "ssssfs", "ssssss", "ssssss"]
    assert agrees_with_its_rows(task)


def test_rules_of_other_dags_tasks_and_servers_do_not_matter(judged, server):
    task = judged()
    columns = {"status_pointer": "/state", "failing_values": ["good"]}
    OutcomeRule.objects.create(server=server, dag_id="other", **columns)
    OutcomeRule.objects.create(server=server, dag_id="etl", task_id="other", **columns)
    assert len(rules_for(task)) == 1


def test_results_that_are_read_later_are_judged_by_the_rule(judged, ruled):
    first = judged()
    ruled(BAD, "etl")
    task = judged("later")
    assert outcomes(task) == "sfsfss"
    assert task.rule_revision == BAD.revision != first.rule_revision


def test_a_wiped_broker_loses_nothing(judged, ruled, worker, woken):
    task = judged()
    ruled(BAD)
    woken.clear()
    worker.beat()
    assert outcomes(task) == "sfsfss"
    assert "mirror.rederive_outcomes" not in worker.done_by(worker.beat)


def test_a_task_that_somebody_has_a_claim_on_is_done_afterwards(judged, ruled, worker):
    task = judged()
    held = claim(MappedTask.objects.get(pk=task.pk))
    ruled(BAD)
    worker.beat()
    assert outcomes(task) == "ssssss"
    held.release()
    worker.beat()
    assert outcomes(task) == "sfsfss"


def test_a_rule_set_while_a_pass_goes_on_ends_right(etl, mapped, sync, ruled, worker, monkeypatch):
    from panel.mirror.sync import mapped_tasks

    read, seen = mapped_tasks.read_results, []

    def set_in_between(airflow, held):
        ruled(BAD)
        left = read(airflow, held)
        seen.append(outcomes(held.row))
        return left

    task = mapped(len(STATES))
    for index, state in enumerate(STATES):
        etl.finish("etl", "r1", "work", index, result={"state": state, "why": "rain"})
    monkeypatch.setattr(mapped_tasks, "read_results", set_in_between)
    task = sync(task)
    assert seen == ["ssssss"]  # one pass, one rule
    worker.work()
    assert outcomes(task) == "sfsfss"


def test_a_crash_half_way_and_the_old_rule_back_again_ends_right(judged, ruled, worker, operator, monkeypatch):
    task = judged()
    stored = []

    def crash(held, changed):
        stored.append(store(held, changed))
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(deriving, "BATCH", 1)
        patch.setattr(deriving, "store", crash)
        row = ruled(BAD)
        with pytest.raises(RuntimeError):
            worker.work()
    assert (stored, outcomes(task)) == ([True], "sfssss")
    remove_rule(user=operator, row=row)
    MappedTask.objects.update(claimed_until=None)  # it expires
    worker.beat()
    assert outcomes(task) == "ssssss"
    assert agrees_with_its_rows(task)


def test_what_the_preview_does_not_hold_is_read_again(etl, judged, ruled, worker, settings):
    settings.RESULT_PREVIEW_BYTES = 200
    task = judged(rows=[{"n": n, "state": "none of these"} for n in range(400)], zzz="x" * 3_000)
    assert all(row.result_shortened for row in Instance.objects.filter(mapped_task=task))
    ruled(Rule("/rows/399/n", ("399",), "/state"))
    worker.work()
    assert outcomes(task) == "ffffff"
    assert Instance.objects.filter(mapped_task=task, error_message="bad").exists()
    assert agrees_with_its_rows(task)
    assert MappedTask.objects.get(pk=task.pk).complete
    assert etl.calls("GET", "/wait") or etl.calls("GET", "/xcomEntries")


def test_a_rule_leaves_a_trace_and_saving_the_same_again_none(judged, ruled, woken, operator):
    judged()
    woken.clear()
    ruled(UGLY, "etl")
    row = ruled(BAD, "etl")
    ruled(BAD, "etl")
    remove_rule(user=operator, row=row)
    remove_rule(user=operator, row=row)
    events = list(AuditEvent.objects.filter(target_kind="outcome_rule").order_by("pk"))
    assert [event.action for event in events] == ["mirror.set_outcome_rule"] * 2 + ["mirror.remove_outcome_rule"]
    assert {(event.username, event.target_id) for event in events} == {("olga", "prod/etl")}
    assert events[1].detail["before"]["failing_values"] == ["ugly"]
    assert len(woken) == 3


@pytest.mark.parametrize(("dag_id", "task_id"), [("nope", ""), ("etl", "nope"), ("etl", "report"), ("", "work")])
def test_a_rule_for_what_is_not_there_is_refused(judged, ruled, dag_id, task_id):
    judged()
    with pytest.raises(Unprocessable):
        ruled(BAD, dag_id, task_id)
    assert not OutcomeRule.objects.exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"status_pointer": "state"}, "status_pointer"),
        ({"message_pointer": "/a~2"}, "message_pointer"),
        ({"failing_values": []}, "failing_values"),
        ({"failing_values": ["", "  "]}, "failing_values"),
        ({"failing_values": [["bad"]]}, "failing_values"),
        ({"failing_values": ["x" * 101]}, "failing_values"),
        ({"failing_values": ["a\x00"]}, "failing_values"),
        ({"failing_values": [str(n) for n in range(21)]}, "failing_values"),
    ],
)
def test_what_is_no_rule_says_which_field_is_wrong(given, field):
    with pytest.raises(Unprocessable) as caught:
        checked_rule(**{"status_pointer": "/state", "failing_values": ["bad"], **given})
    assert list(caught.value.fields) == [field]


def test_values_are_kept_as_they_are_compared():
    rule = checked_rule(status_pointer="/ok", failing_values=[False, "FALSE ", 0, 3.0, None, " Not  ok"])
    assert rule.failing_values == ("false", "0", "3", "null", "not ok")


def test_a_pass_keeps_the_rule_it_began_with(judged, ruled):
    task = judged()
    before = rule_for(task)
    ruled(BAD)
    assert rule_for(task) == before
    assert rule_for(MappedTask.objects.get(pk=task.pk)) == BAD
