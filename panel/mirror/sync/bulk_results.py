"""Results read many at a time: by Mapboard's plug-in, or by ``/wait`` once the run has finished.

Neither raises for what only this way cannot do: what it leaves is read in another way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from panel.airflow import (
    BadPayload,
    Forbidden,
    MappedResult,
    NotFinished,
    NotFound,
    ServerFault,
    Unsupported,
    XComRef,
)
from panel.domain import states
from panel.mirror.models import Instance
from panel.mirror.sync.reading import NO_VALUE, Reading, is_stale
from panel.mirror.sync.unread import Unread, unread_rows

BATCH: Final = 10_000
"""Rows in memory at a time; the most a page of the plug-in has."""
GAP: Final = 500
"""Indices between two unread ones from which another request is cheaper than the rows between them (20 µs each)."""
SECONDS_A_PASS: Final = 20.0
CHEAP_LIST: Final = 1_000
"""Up to so many results the list of XComs is read to be sure: a failure that somebody marked by hand keeps its value.
Above, ten requests a thousand are too dear for that, and failures are taken to have none."""


class _Owners(NamedTuple):
    """The indices that succeeded, and whether no other can hold a value of an earlier try."""

    succeeded: list[int]
    alone: bool


def read_by_plugin(reading: Reading) -> bool:
    """Read the unread in as few pages as there are crowds of them. Whether the time of this pass was too short.

    Raises AirflowError, ClaimLost.
    """
    ends_at = time.monotonic() + SECONDS_A_PASS
    try:
        for first, last in _crowds(list(reading.unread().values_list("map_index", flat=True))):
            for rows in _pages(reading, first, last):
                _settle_page(reading, rows)
                if time.monotonic() >= ends_at:
                    return True
    except (Unsupported, Forbidden, NotFound, BadPayload, ServerFault):
        pass  # one single read tells more
    return False


def read_by_wait(reading: Reading) -> None:
    """Read the unread with one call, where it is certain whose the values are. Raises AirflowError, ClaimLost."""
    dag_id, run_id, task_id = reading.address
    with ThreadPoolExecutor(1, thread_name_prefix="airflow-wait") as pool:
        asked = pool.submit(reading.airflow.runs.results, dag_id, run_id, [task_id])
        unread, owners = _unread_after(reading, -1), _owners_of(reading)  # while Airflow is at work
        values = _current_values(reading, asked, owners)
    if values is None:
        return

    def settled(part: Sequence[Unread]) -> Sequence[Unread]:
        for instance in part:
            reading.settle(instance, values.pop(instance.map_index, NO_VALUE))
        return part

    while unread:
        reading.settle_and_store(settled, unread)
        unread = _unread_after(reading, unread[-1].map_index) if len(unread) == BATCH else []


def _unread_after(reading: Reading, map_index: int) -> list[Unread]:
    """``/wait`` tells no moments to compare with theirs."""
    return unread_rows(reading.unread().filter(map_index__gt=map_index)[:BATCH], dated=False)


def _crowds(indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last index of each stretch that is read by one request."""
    first = last = None
    for index in indices:
        if first is None or last is None:
            first = index
        elif index - last > GAP or index - first >= BATCH:
            yield first, last
            first = index
        last = index
    if first is not None and last is not None:
        yield first, last


def _pages(reading: Reading, first: int, last: int) -> Iterator[list[MappedResult]]:
    after: int | None = first - 1
    while after is not None and after < last:
        page = reading.airflow.bulk_reads.results(*reading.address, after=after, limit=last - after)
        yield page.rows
        after = page.next_after


def _settle_page(reading: Reading, rows: Sequence[MappedResult]) -> None:
    """What was read of another try, or is too large for a page, stays unread."""
    if not rows:
        return
    unread = reading.unread().filter(map_index__gte=rows[0].map_index, map_index__lte=rows[-1].map_index)
    waiting = {(instance.map_index, instance.try_number): instance for instance in unread_rows(unread)}

    def settled(part: Sequence[MappedResult]) -> Sequence[Unread]:
        done = []
        for row in part:
            instance = waiting.get((row.map_index, row.try_number))
            if instance is None or row.truncated or row.state != states.SUCCESS:
                continue
            reading.settle(instance, row.value if row.has_value else NO_VALUE, row.timestamp)
            done.append(instance)
        return done

    reading.settle_and_store(settled, rows)


def _owners_of(reading: Reading) -> _Owners:
    rows = Instance.objects.filter(mapped_task=reading.mapped_task).order_by("map_index")
    succeeded = list(rows.filter(state=states.SUCCESS).values_list("map_index", flat=True))
    may_hold_old = rows.exclude(state=states.SUCCESS)
    if len(succeeded) > CHEAP_LIST:
        may_hold_old = may_hold_old.exclude(state__in=[states.FAILED, states.SKIPPED, states.UPSTREAM_FAILED])
    return _Owners(succeeded, alone=not may_hold_old.exists())


def _current_values(reading: Reading, asked: Future[dict[str, Any]], owners: _Owners) -> dict[int, Any] | None:
    """The current results by index, from the answer; ``None`` where they must be read one by one.

    ``/wait`` gives the values in the order of map_index, without indices. They are those of the succeeded instances
    when the counts agree and no other instance can hold an old value; otherwise the list of XComs says whose they are.
    """
    dag_id, run_id, task_id = reading.address
    try:
        values = asked.result().get(task_id, [])
    except (Unsupported, NotFinished, BadPayload, ServerFault):
        return None
    except Forbidden:
        return None  # one single read tells why, and settles the others
    if not isinstance(values, list):
        return None
    if owners.alone and len(values) == len(owners.succeeded):
        return dict(zip(owners.succeeded, values, strict=True))
    refs = reading.airflow.xcoms.indices(dag_id, run_id, task_id)
    if len(refs) != len(values):
        return None
    rows = Instance.objects.filter(mapped_task=reading.mapped_task)
    return _current(refs, values, dict(rows.values_list("map_index", "start_date")))


def _current(refs: Sequence[XComRef], values: Sequence[Any], started: dict[int, Any]) -> dict[int, Any]:
    return {
        ref.map_index: value
        for ref, value in zip(refs, values, strict=True)
        if not is_stale(ref.timestamp, started.get(ref.map_index))
    }
