"""Lists in the order of a number, page by page, that stay complete while rows come and go meanwhile.

Offsets count rows, so a row that vanishes lets the next page begin one row too late. Therefore each page begins with
the last row of the one before. Does that row, or one before it, come first, then the pages meet: whatever lies between
them is in one of the two. Else rows before it have vanished, and we step back until the pages meet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final, TypeVar

from panel.airflow.errors import BadPayload
from panel.airflow.paging import Page

Row = TypeVar("Row")
Read = Callable[[int], Page[Row]]
"""The page that begins at an offset."""

MOST_TRIES: Final = 50
"""Pages that lead no further. Steps back double, so that a few are enough for any list."""


def in_order(read: Read[Row], position: Callable[[Row], int]) -> Iterator[list[Row]]:
    """Pages of rows in the order of ``position``, each of which holds every row between its first and its last.

    Every row that is there from the first request to the last one is in some page; some rows are in two. Raises
    BadPayload where rows are not in order, or the same ones come again and again.
    """
    offset, last, total, overlaps, step, tries = 0, -sys.maxsize, 0, False, 1, 0
    before: list[int] = []
    while tries <= MOST_TRIES:
        answer = read(offset)
        places = [position(row) for row in answer.rows]
        total_before, total = total, _checked_total(answer, places)
        # A page of one row cannot overlap the one before and get on: there only the number of rows tells.
        if offset and not (places and (places[0] <= last or (not overlaps and total == total_before))):
            offset, step, tries = max(0, offset - step), step * 2, tries + 1
            continue
        yield answer.rows
        offset += len(places)
        if not places or offset >= total:
            if overlaps and places == before:  # an offset that is ignored: the rest of the list was never shown
                raise BadPayload("Airflow lists the same rows again and again.")
            return
        if places[-1] > last:
            last, step = places[-1], 1
        else:
            tries += 1
        overlaps, before = len(places) > 1, places
        offset -= overlaps
    raise BadPayload("The rows of Airflow's list change their order all the time.")


def read_ahead(pages: Iterator[list[Row]]) -> Generator[list[Row]]:
    """The same pages; the next one is asked for while the caller is at work on the last one."""
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as thread:
        coming = thread.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = thread.submit(next, pages, None)
            yield page


def _checked_total(answer: Page[Row], places: list[int]) -> int:
    if answer.total_entries is None:
        raise BadPayload("Airflow did not say how many rows there are.")
    if any(later < earlier for earlier, later in pairwise(places)):
        raise BadPayload("Airflow did not list the rows in the order that was asked for.")
    return answer.total_entries
