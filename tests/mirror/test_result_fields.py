"""Numbers in results: a column each, sums over the run that equal the rows, and beside earlier runs."""

from __future__ import annotations

import pytest
from django.db.models import Sum

from panel.mirror.models import Instance, MappedTask
from panel.mirror.result_fields import columns_of, field_lines
from tests.mirror.pages import HTMX, page, place, words

pytestmark = pytest.mark.django_db


def field(task: MappedTask, name: str) -> dict:
    return next(field for field in task.result_fields if field["name"] == name)


def total_of_rows(task: MappedTask, name: str) -> float | None:
    return Instance.objects.filter(mapped_task=task).aggregate(total=Sum(columns_of(task)[name]))["total"]


@pytest.fixture
def loaded(etl, mapped, sync, later):
    """``loaded([5, 7])``: a finished run whose indices loaded so many rows."""

    def make(rows: list[int | None], run_id: str = "r1") -> MappedTask:
        later(60)
        task = mapped(len(rows), run_id)
        for index, count in enumerate(rows):
            result = {"status": "ok"} if count is None else {"rows_loaded": count, "stats": {"seconds": index / 2}}
            etl.finish("etl", run_id, "work", index, result=result)
        etl.finish_run("etl", run_id)
        return sync(task)

    return make


def test_numbers_are_found_and_added_up(loaded):
    task = loaded([1_203_331, 0, 9_000, None])
    rows = field(task, "rows_loaded")
    measures = {name: rows[name] for name in ("count", "sum", "avg", "min", "max")}
    assert measures == {"count": 3, "sum": 1_212_331, "avg": 1_212_331 / 3, "min": 0, "max": 1_203_331}
    assert field(task, "stats/seconds")["sum"] == 1.5
    assert total_of_rows(task, "rows_loaded") == 1_212_331


def test_an_instance_that_has_no_result_any_more_has_no_numbers(etl, loaded, sync):
    task = loaded([5, 7, 9])
    etl.set_state("etl", "r1", "work", 1, "failed")
    task = sync(task, full=True)
    assert field(task, "rows_loaded")["sum"] == 14 == total_of_rows(task, "rows_loaded")


def test_a_field_keeps_its_column_when_new_ones_turn_up(etl, mapped, sync):
    task = mapped(3)
    etl.finish("etl", "r1", "work", 0, result={"rows": 1})
    before = columns_of(sync(task))
    for index in (1, 2):
        etl.finish("etl", "r1", "work", index, result={"a": 1, "bytes": 2, "rows": 3})
    after = columns_of(sync(task))
    assert before == {"rows": "number_0"}
    assert after["rows"] == "number_0"
    assert len(set(after.values())) == 3


def test_an_unchanged_pass_leaves_the_version_as_it_is(loaded, sync):
    task = loaded([1, 2])
    assert sync(task).version == task.version


def test_a_field_stands_beside_the_runs_before(loaded):
    first, _without, task = loaded([100, 100], "r1"), loaded([None, None], "r2"), loaded([150, 100], "r3")
    line = next(line for line in field_lines(task) if line.name == "rows_loaded")
    assert (line.total, line.before, line.change) == (250, 200, 0.25)
    assert [(bar.run_id, bar.total) for bar in line.bars] == [("r1", 200), ("r3", 250)]
    assert field_lines(first)[0].before is None


def test_the_section_says_it_in_numbers_people_read(loaded, as_user, viewer):
    loaded([1_000_000, 203_331], "r1")
    task = loaded([1_000_000, 208_144], "r2")
    text = words(page(as_user(viewer), place(task, "task_result_fields"), **HTMX))
    assert "rows_loaded 2 1,208,144 604,072 208,144 1,000,000 1,203,331 (+0.4%)" in text
    assert "Numbers in results" in page(as_user(viewer), place(task))


def test_a_task_without_numbers_says_so(loaded, as_user, viewer):
    assert "No numbers yet" in page(as_user(viewer), place(loaded([None]), "task_result_fields"))


def test_the_api_gives_them_with_the_mapped_task(loaded, as_user, viewer):
    task = loaded([4, 6])
    answer = as_user(viewer).get(f"/api/v1/mapped-tasks/{task.pk}/").json()
    assert answer["result_fields"][0] == {
        "name": "rows_loaded", "slot": 0, "count": 2, "sum": 10.0, "avg": 5.0, "min": 4.0, "max": 6.0,
    }  # fmt: skip
