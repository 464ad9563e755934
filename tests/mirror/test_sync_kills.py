"""A worker that dies at any point of a pass leaves counts that equal the rows, and the next pass makes it right."""

from __future__ import annotations

from itertools import count

import pytest

from tests.mirror.dying import killed_at_request, killed_at_statement
from tests.mirror.truth import assert_rollups_equal_the_rows, mirrored, truth

pytestmark = pytest.mark.django_db

SIZE = 9


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch) -> None:
    monkeypatch.setattr("panel.airflow.instances.FIRST_PAGES", 4)
    monkeypatch.setattr("panel.mirror.sync.instances.STORED_AT_ONCE", 3)


@pytest.fixture
def by_changes(monkeypatch) -> None:
    monkeypatch.setattr("panel.mirror.sync.instances.SMALL_MAP", 2)
    monkeypatch.setattr("panel.mirror.sync.instances.MANY_CHANGES", 0.1)


def change(etl, turn: int) -> None:
    """Something of every kind, other indices each turn."""
    work = etl.world.of_task("etl", "r1", "work")
    for place in range(5):
        index = (turn + place) % SIZE
        if index not in work:
            continue
        if place == 0:
            etl.finish("etl", "r1", "work", index, result={"status": "ok", "turn": turn})
        elif place == 1:
            etl.finish("etl", "r1", "work", index, result={"status": "failed", "error": f"bad {turn}"})
        elif place == 2:
            etl.finish("etl", "r1", "work", index, error=("ValueError", f"boom {turn % 2}"))
        elif place == 3:
            etl.start("etl", "r1", "work", index)
        elif turn % 3 == 0:
            del work[index]
        else:
            etl.set_state("etl", "r1", "work", index, "up_for_retry")
    etl.expand("etl", "r1", "work", SIZE - turn % 3)


def dies_everywhere(etl, task, sync, later, killed_at, *, full: bool) -> int:
    for turn in count():
        change(etl, turn)
        with killed_at(turn) as death:
            sync(task, full=full)
        assert_rollups_equal_the_rows(task)
        if not death.came:
            return turn
        later(130)  # its claim expires
        task = sync(task)
        assert_rollups_equal_the_rows(task)
        assert mirrored(task) == truth(etl, task)
        assert (task.last_error, task.complete) == ("", True)
    raise AssertionError("unreachable")


def test_at_any_statement_of_a_full_pass(etl, mapped, sync, later):
    assert dies_everywhere(etl, mapped(SIZE), sync, later, killed_at_statement, full=True) > 40


def test_at_any_statement_of_a_pass_over_what_changed(etl, mapped, sync, later, by_changes):
    assert dies_everywhere(etl, sync(mapped(SIZE)), sync, later, killed_at_statement, full=False) > 40


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("full", [True, False], ids=["full", "what-changed"])
def test_at_any_request(etl, mapped, sync, later, by_changes, after, full):
    task = sync(mapped(SIZE))

    def killed_at(number):
        return killed_at_request(number, after=after)

    assert dies_everywhere(etl, task, sync, later, killed_at, full=full) > 5
