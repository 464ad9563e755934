"""Several reads of one Airflow at once, and no more of them than it bears.

One server process answers no more requests a second to sixteen connections than to three (AIRFLOW.md §11), so the
server's slots are enough, but for one that is left to people who look at a page meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

from panel.airflow import Airflow, AirflowError
from panel.mirror.sync.budget import Budget
from panel.servers.client import in_flight_limit
from panel.servers.models import Server

Item = TypeVar("Item")
Read = TypeVar("Read")

AHEAD: Final = 8
"""Reads a connection that wait for their turn, so that none idles while what came is being stored."""


def connections_to(server: Server) -> int:
    """The slots of this server but one."""
    return max(1, in_flight_limit(server) - 1)


def each(
    airflow: Airflow,
    items: Iterable[Item],
    read: Callable[[Item], Read],
    *,
    connections: int,
    budget: Budget,
    ahead: int = AHEAD,
) -> Generator[tuple[Item, Read | AirflowError], None, None]:
    """``read`` of every item, in the order of the items, as far as the budget goes; an AirflowError is an answer.

    The first is read alone until one goes well: what stands in the way of all is found out by one request. ``read``
    runs in threads and must not touch the database. Whoever stops early loses at most what is under way.
    """
    waiting = iter(items)
    under_way: deque[tuple[Item, Future[Read]]] = deque()
    with airflow.crowd(), ThreadPoolExecutor(connections, thread_name_prefix="airflow-read") as pool:
        try:
            most = 1
            while True:
                for item in islice(waiting, most - len(under_way)):
                    if not budget.spend():
                        waiting = iter(())
                        break
                    under_way.append((item, pool.submit(read, item)))
                if not under_way:
                    return
                item, future = under_way.popleft()
                answer = _answer(future)
                if not isinstance(answer, AirflowError):
                    most = connections * ahead
                yield item, answer
        finally:
            for _item, future in under_way:
                future.cancel()


def _answer(future: Future[Read]) -> Read | AirflowError:
    try:
        return future.result()
    except AirflowError as error:
        return error
