"""What pages read from the mirror."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import Outcome
from panel.domain.selection import Selection
from panel.mirror import selectors
from panel.mirror.models import Dag, DagRun, Instance, MappedTask
from tests.mirror.stage import mirrored_dag, mirrored_run, mirrored_task

pytestmark = pytest.mark.django_db


def chosen(task: MappedTask, **kinds) -> list[int]:
    return [row.map_index for row in selectors.select_instances(task, Selection(**kinds))]


def test_kinds_combine_by_and_values_by_or(server):
    task = mirrored_task(server, ["success", "hard_failure", "soft_failure", "hard_failure"], tries={3: 2})
    failing = frozenset({Outcome.HARD_FAILURE, Outcome.SOFT_FAILURE})
    assert chosen(task, outcomes=failing) == [1, 2, 3]
    assert chosen(task, outcomes=failing, indices=IndexExpression.parse("0-2")) == [1, 2]
    assert chosen(task, outcomes=failing, indices=IndexExpression.parse("2-"), try_number=2) == [3]
    assert chosen(task) == [0, 1, 2, 3]


def test_scattered_indices_and_ranges_by_the_thousand(server):
    task = mirrored_task(server, ["success"] * 3_000)
    scattered = IndexExpression.of(range(0, 3_000, 2))
    assert chosen(task, indices=scattered) == list(range(0, 3_000, 2))
    pairs = IndexExpression.of(index for index in range(3_000) if index % 3)
    assert len(pairs.ranges) == 1_000
    assert chosen(task, indices=pairs) == [index for index in range(3_000) if index % 3]
    longest = IndexExpression.parse(",".join(f"{n}-{n + 1}" for n in range(0, 24_000, 3)))
    assert len(chosen(task, indices=longest)) == 2_000


@pytest.mark.parametrize("wanted", ["%", "_", "\\", "'", '"', "[a-z]", "*"])
def test_signs_that_mean_something_to_a_database_mean_themselves(server, wanted):
    task = mirrored_task(server, ["success", "success"], labels={0: f"a{wanted}b", 1: "axb"})
    assert chosen(task, label=wanted) == [0]


def test_searches_ignore_case_beyond_ascii(server):
    task = mirrored_task(server, ["hard_failure"], labels={0: "STRAßE Ünïted"}, errors={0: ("Fehler", "FÜR Ärger")})
    assert chosen(task, label="strasse ÜNÏTED") == [0]
    assert chosen(task, q="für ä") == [0]


def test_another_mapped_tasks_instances_are_never_among_them(server):
    task = mirrored_task(server, ["hard_failure"] * 2, run_id="r1")
    mirrored_task(server, ["hard_failure"] * 5, run_id="r2")
    ranges = IndexExpression.of(index for index in range(3_000) if index % 3)
    assert chosen(task, outcomes=frozenset({Outcome.HARD_FAILURE})) == [0, 1]
    assert chosen(task, indices=ranges) == [1]


def test_home_shows_what_runs_and_what_needs_attention(server):
    running = mirrored_task(server, ["running", "hard_failure"], run_id="now")
    broken = mirrored_task(server, ["success", "soft_failure"], run_id="done")
    mirrored_task(server, ["success", "skipped"], run_id="fine")
    gone = mirrored_task(server, ["hard_failure"], run_id="gone")
    old = mirrored_task(server, ["hard_failure"], run_id="old")
    DagRun.objects.filter(pk=gone.run_id).update(deleted_at=timezone.now())
    DagRun.objects.filter(pk=old.run_id).update(run_after=timezone.now() - timedelta(days=90))
    assert list(selectors.active_tasks()) == [running]
    assert set(selectors.attention_tasks()) == {running, broken}


def test_runs_show_their_outcomes_newest_first(server):
    dag = mirrored_dag(server)
    now = timezone.now()
    for number in range(3):
        mirrored_run(dag, f"r{number}", run_after=now - timedelta(hours=number))
        mirrored_task(server, ["success"] * number + ["hard_failure"], run_id=f"r{number}")
    found = selectors.run_outcomes(dag, limit=2)
    assert [(each.run.run_id, each.counts) for each in found] == [
        ("r0", {"hard_failure": 1}),
        ("r1", {"success": 1, "hard_failure": 1}),
    ]


def test_what_there_is_not_raises(server):
    with pytest.raises(Dag.DoesNotExist):
        selectors.dag("prod", "nope")
    with pytest.raises(DagRun.DoesNotExist):
        selectors.run("prod", "etl.daily", "nope")
    with pytest.raises(MappedTask.DoesNotExist):
        selectors.mapped_task("prod", "etl.daily", "nope", "nope")
    with pytest.raises(Instance.DoesNotExist):
        selectors.instance(mirrored_task(server, ["success"]), 1)


def test_filtering_takes_one_query_however_many_rows(server, django_assert_num_queries):
    task = mirrored_task(server, ["hard_failure", "success"] * 1_000)
    with django_assert_num_queries(1):
        len(selectors.select_instances(task, Selection(outcomes=frozenset({Outcome.HARD_FAILURE}), q="item")))


def test_the_mapped_task_of_a_page_is_the_whole_one(server):
    mirrored_task(server, ["success"], run_id="r1")
    task = mirrored_task(server, ["success", "hard_failure"], run_id="r2", results={0: {"rows": 3}})
    task.run.conf = {"a": [1, None]}
    task.run.save()
    names = (server.slug, task.run.dag.dag_id, "r2", task.task_id)
    found = selectors.mapped_task(*names)
    known = MappedTask.objects.select_related("run__dag__server").get(pk=task.pk)
    for one, other in (
        (found, known),
        (found.run, known.run),
        (found.run.dag, known.run.dag),
        (found.run.dag.server, known.run.dag.server),
    ):
        values = [(field.attname, vars(one)[field.attname]) for field in one._meta.concrete_fields]
        assert values == [(field.attname, vars(other)[field.attname]) for field in other._meta.concrete_fields]
        assert [type(value) for _name, value in values] == [type(vars(other)[name]) for name, _value in values]
    for at in range(4):
        with pytest.raises(MappedTask.DoesNotExist):
            selectors.mapped_task(*names[:at], "another\x00", *names[at + 1 :])
