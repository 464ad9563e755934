"""A page of 50 of the list at any depth, filtered, sorted: ours at 1,000, 10,000 and 100,000, and Airflow's own.

Airflow's is the call its own page of a mapped task makes, ``taskInstances?task_id=…``, paged by cursor as there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.environment import set_up
from benchmarks.part import Figure, Order, answer, percentile, read_order, shown, timed
from benchmarks.seeding import TASK

if TYPE_CHECKING:
    from benchmarks.panel_side import Browser  # it needs Django's settings: after set_up

ROUNDS = 300
PAGE = 50
DEEPEST = 5_000
"""Instances before a page in the middle, on both sides."""
QUESTIONS = {
    "the first page": "",
    "a page in the middle": "middle",
    "sorted by duration, middle": "ordering=-duration",
    "sorted by label, middle": "ordering=label",
    "sorted by start, middle": "ordering=-start_date",
    "hard failures, sorted by duration": "outcome=hard_failure&ordering=-duration",
    "label text": "label=part-0009",
    "error text": "q=customer",
    "duration range, sorted by end": "duration_gte=5&duration_lte=15&ordering=-end_date",
    "soft failures, first try, index range": "outcome=soft_failure&try_number=1&indices=100-",
}
THEIRS = {
    "the first page": "order_by=map_index",
    "a page in the middle": "order_by=map_index",
    "sorted by duration, middle": "order_by=-duration",
    "sorted by start, middle": "order_by=-start_date",
    "hard failures, sorted by duration": "state=failed&order_by=-duration",
    "label text": "rendered_map_index_pattern=part-0009",
    "duration range, sorted by end": "duration_gte=5&duration_lte=15&order_by=-end_date",
}
SORTS_OR_FILTERS = "≤ 0.1 at 10,000; p99 ≤ 50 ms"
PLAIN = "≤ 0.2 at 10,000; p99 ≤ 50 ms"


def main(order: Order, database: str) -> list[Figure]:
    from django.db import connection

    from benchmarks.panel_side import mirrored_task, signed_in

    section = f"A page of {PAGE} ({'SQLite' if database == 'sqlite' else 'PostgreSQL'})"
    browser = signed_in()
    addresses = {
        count: f"/api/v1/mapped-tasks/{mirrored_task(order, count).pk}/instances/?page_size={PAGE}"
        for count in order.runs
    }
    if database == "postgresql":  # as seeding does for Airflow's tables: neither waits for the autovacuum
        connection.cursor().execute("VACUUM ANALYZE")
    figures = []
    full_pages: dict[str, dict[int, float]] = {what: {} for what in QUESTIONS}
    for what, question in QUESTIONS.items():
        ours = {count: _ours(browser, address, question) for count, address in addresses.items()}
        theirs = {count: _theirs(order, what, count) for count in addresses if what in THEIRS and count > 1_000}
        taken, their_taken = in_turn(ours, theirs)
        for count, ask in ours.items():
            middle = percentile(taken[count], 0.5)
            if len(json.loads(ask())["results"]) == PAGE:
                full_pages[what][count] = middle
            figures.append(_figure(section, what, count, taken[count], their_taken.get(count, [])))
    figures.sort(key=lambda figure: figure.indices)
    return [*figures, _largest_growth(section, full_pages)]


def _figure(section: str, what: str, count: int, taken: list[float], their_taken: list[float]) -> Figure:
    middle = percentile(taken, 0.5)
    ours = f"{shown(middle)}, p99 {shown(percentile(taken, 0.99))}"
    if not their_taken:
        return Figure(section, what, count, "", ours, None, "p99 ≤ 50 ms")
    their_middle = percentile(their_taken, 0.5)
    target = PLAIN if what in {"the first page", "a page in the middle"} else SORTS_OR_FILTERS
    return Figure(section, what, count, shown(their_middle), ours, middle / their_middle, target)


def _largest_growth(section: str, full_pages: dict[str, dict[int, float]]) -> Figure:
    """For ten times the indices, of questions that fill a page at both sizes."""
    growth = {
        (what, count): taken[count * 10] / taken[count]
        for what, taken in full_pages.items()
        for count in taken
        if count * 10 in taken
    }
    what, count = max(growth, key=lambda pair: growth[pair])
    words = f"largest growth for ten times the indices ({what}, from {count:,} on)"
    return Figure(section, words, count * 10, "", f"{growth[what, count]:.2f} ×", None, "≤ 1.5 ×")


def in_turn(
    ours: dict[int, Callable[[], object]], theirs: dict[int, Callable[[], object]]
) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
    """Seconds of each round by size, all sizes and both sides in turn, so that all meet the same machine (theirs only
    every so many rounds: it takes longer)."""
    taken: dict[int, list[float]] = {count: [] for count in ours}
    their_taken: dict[int, list[float]] = {count: [] for count in theirs}
    for ask in (*ours.values(), *theirs.values()):  # the first round is not counted
        ask()
    for turn in range(ROUNDS):
        for count, ask in ours.items():
            taken[count].append(timed(ask))
        for count, their_ask in theirs.items():
            if turn % (10 if count <= 10_000 else 60) == 0:
                their_taken[count].append(timed(their_ask))
    return taken, their_taken


def _ours(browser: Browser, address: str, question: str) -> Callable[[], bytes]:
    first = address if question in {"", "middle"} else f"{address}&{question}"
    if question == "":
        return lambda: browser.get(first)
    deep = _page_in_the_middle(browser, first.replace(f"page_size={PAGE}", "page_size=500"))
    url = deep.replace("page_size=500", f"page_size={PAGE}") if deep else first
    return lambda: browser.get(url)


def _page_in_the_middle(browser: Browser, url: str) -> str:
    """The address of a page about half the way down the list, reached as a reader would; "" for a short list."""
    found = json.loads(browser.get(url))
    matching = found["count"]
    assert isinstance(matching, int)
    for _ in range(min(matching // 2, DEEPEST) // 500):
        url = str(found["next"])
        found = json.loads(browser.get(url))
    return url if matching > PAGE * 20 else ""


def _theirs(order: Order, what: str, count: int) -> Callable[[], object]:
    address = f"{order.run_path(count)}/taskInstances?task_id={TASK}&{THEIRS[what]}"
    cursor = ""
    for _ in range(min(count // 2, DEEPEST) // 100 if what.endswith("middle") else 0):
        cursor = order.airflow.get(f"{address}&limit=100&cursor={cursor}").raise_for_status().json()["next_cursor"]
    url = f"{address}&limit={PAGE}&cursor={cursor}"
    plain = {"Accept-Encoding": "identity"}  # as ours is asked: neither side compresses
    return lambda: order.airflow.get(url, headers=plain).raise_for_status()


if __name__ == "__main__":
    asked = read_order()
    set_up(asked.postgresql if sys.argv[1] == "postgresql" else "")
    answer(main(asked, sys.argv[1]))
