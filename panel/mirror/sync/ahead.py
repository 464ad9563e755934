"""Making the next while this one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def one_ahead(make: Callable[[Item], Made], items: Sequence[Item]) -> Iterator[Made]:
    """What is made of each item, in order, in a thread. It begins with the next one as soon as this one is asked for,
    and with no more: two that are made of Python would only wait for each other. A single one needs no thread. Raises
    what ``make`` raises.
    """
    if len(items) < 2:
        yield from map(make, items)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = [pool.submit(make, item) for item in items[:1]]
        for item in items[1:]:
            made = coming.pop().result()
            coming.append(pool.submit(make, item))
            yield made
        for last in coming:
            yield last.result()
