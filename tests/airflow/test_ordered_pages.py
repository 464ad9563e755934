"""Ordered lists miss nothing that is there all the while, however rows come and go between the pages."""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import pairwise
from random import Random

import pytest

from panel.airflow import BadPayload
from panel.airflow.instances import FIRST_PAGES
from panel.airflow.ordered_pages import in_order, read_ahead
from panel.airflow.paging import BULK_PAGE, Page
from tests.fakes.airflow import FakeAirflow, Task


class MovingList:
    """Numbers in order, of which ``between`` takes and to which it adds some before every page but the first."""

    def __init__(self, numbers, size, between=lambda numbers: None):
        self.numbers, self.size, self.between = list(numbers), size, between
        self.offsets = []

    def read(self, offset):
        if self.offsets:
            self.between(self.numbers)
        self.offsets.append(offset)
        self.numbers.sort()
        return Page(self.numbers[offset : offset + self.size], len(self.numbers))

    def pages(self):
        return list(in_order(self.read, lambda number: number))


def test_a_list_that_rests_is_read_with_one_row_twice_a_page():
    listed = MovingList(range(10), 4)
    assert listed.pages() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert listed.offsets == [0, 3, 6]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_every_page_size_gives_everything(size):
    assert {number for page in MovingList(range(60), size).pages() for number in page} == set(range(60))


def test_an_empty_list_is_one_empty_page():
    assert MovingList([], 10).pages() == [[]]


def test_rows_that_vanish_take_none_with_them():
    def take_the_first_three(numbers):
        del numbers[:3]

    listed = MovingList(range(12), 4, take_the_first_three)
    seen = [number for page in listed.pages() for number in page]
    assert {*range(4), *listed.numbers} <= set(seen)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_moves_what_stays_is_seen(seed):
    random = Random(seed)
    stays = set(random.sample(range(200), 60))

    def move(numbers):
        for _ in range(random.randrange(6)):
            number = random.randrange(200)
            if number in numbers and number not in stays:
                numbers.remove(number)
            elif number not in numbers:
                numbers.append(number)

    listed = MovingList(stays | set(random.sample(range(200), 60)), random.choice([5, 8, 25, 120]), move)
    pages = listed.pages()
    assert stays <= {number for page in pages for number in page}
    for before, after in pairwise(pages):
        assert not after or after[0] <= max(before), "the pages meet"


def test_all_rows_vanish_meanwhile():
    assert MovingList(range(10), 4, list.clear).pages() == [[0, 1, 2, 3], []]


@pytest.mark.parametrize("total", [4, 5, 1_000])
def test_a_server_that_ignores_the_offset_is_found_out(total):
    with pytest.raises(BadPayload):
        list(in_order(lambda offset: Page([1, 2, 3], total), lambda number: number))


def test_a_server_that_ignores_the_order_is_found_out():
    with pytest.raises(BadPayload, match="order"):
        list(in_order(lambda offset: Page([2, 1], 2), lambda number: number))


def test_a_list_without_its_number_of_rows_proves_nothing():
    with pytest.raises(BadPayload, match="how many"):
        list(in_order(lambda offset: Page([1], None), lambda number: number))


def test_a_list_that_never_rests_does_not_hold_us_for_ever():
    def later_every_time(offset):
        later_every_time.start += 100
        return Page([later_every_time.start, later_every_time.start + 1], 10_000_000_000)

    later_every_time.start = 0
    with pytest.raises(BadPayload, match="change their order"):
        list(in_order(later_every_time, lambda number: number))


def test_the_next_page_is_asked_for_while_the_last_one_is_at_work():
    asked = [threading.Event() for _ in range(3)]

    def pages():
        for place, event in enumerate(asked):
            event.set()
            yield [place]

    with closing(read_ahead(pages())) as ahead:
        assert next(ahead) == [0]
        assert asked[1].wait(10)
        assert not asked[2].is_set(), "one page ahead, no more"
        assert list(ahead) == [[1], [2]]


def test_what_goes_wrong_ahead_is_told_after_the_pages_before():
    def pages():
        yield [1]
        raise BadPayload("no more")

    with closing(read_ahead(pages())) as ahead:
        assert next(ahead) == [1]
        with pytest.raises(BadPayload):
            next(ahead)


def test_a_task_of_thousands_is_read_in_pages_of_at_most_ten_thousand(client):
    fake = FakeAirflow()
    fake.add_dag("etl", tasks=[Task("work", is_mapped=True), "other"])
    fake.add_run("etl", "r1")
    fake.expand("etl", "r1", "work", 6_000)
    pages = list(client(fake).instances.all_pages("etl", "r1", "work"))
    assert sorted({row.map_index for page in pages for row in page}) == list(range(6_000))
    asked = [call.body for call in fake.calls("POST", "taskInstances/list")]
    assert [(body["page_offset"], body["page_limit"]) for body in asked] == [
        (0, FIRST_PAGES), (FIRST_PAGES - 1, FIRST_PAGES), (2 * FIRST_PAGES - 2, FIRST_PAGES),
    ]  # fmt: skip
    assert FIRST_PAGES <= BULK_PAGE == 10_000


def test_something_unknown_is_one_empty_page(airflow, etl):
    assert list(airflow.instances.all_pages("etl", "nope", "work")) == [[]]
    assert list(airflow.instances.all_pages("etl", "r1", "nope")) == [[]]
