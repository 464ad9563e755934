"""Results read one by one: those that most likely tell something first, within the pass's budget."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

from django.db.models import F

from panel.airflow import Airflow, AirflowError, BadPayload, Forbidden, NotFound, ServerFault, TimedOut, XCom
from panel.domain import states
from panel.domain.outcomes import ResultState
from panel.mirror.models import Instance
from panel.mirror.sync.budget import Budget, Strikes
from panel.mirror.sync.parallel import connections_to, each
from panel.mirror.sync.reading import NO_VALUE, Reading
from panel.mirror.sync.rows import put_no_result
from panel.mirror.sync.runs import is_finished
from panel.mirror.sync.unread import Unread, unread_rows
from panel.servers.slots import NoSlot

CALLS_A_PASS: Final = 4_000
SECONDS_A_PASS: Final = 20.0
SECONDS_AT_WORK: Final = 8.0
"""While a run goes on, its states are not to grow old meanwhile."""
STORE_EVERY: Final = 200
NEWEST_FAILURES: Final = 100
REACH: Final = 2
"""Failures come in neighbourhoods: so many indices to either side of one are looked at first."""
BATCH: Final = 5_000


def read_singly(reading: Reading) -> bool:
    """Whether something is left for the next pass. Raises AirflowError, ClaimLost; what was read before is kept."""
    seconds = SECONDS_A_PASS if is_finished(reading.mapped_task.run) else SECONDS_AT_WORK
    budget, strikes = Budget(calls=CALLS_A_PASS, seconds=seconds), Strikes()
    settled: list[Unread] = []
    odd: list[tuple[Unread, AirflowError]] = []  # unreadable, unless Airflow turns out to be unwell
    address = reading.address  # known before the threads start: they must not ask the database
    answers = each(
        reading.airflow,
        _most_telling(reading),
        lambda instance: _read(reading.airflow, address, instance.map_index),
        connections=connections_to(reading.mapped_task.run.dag.server),
        budget=budget,
    )
    try:
        with closing(answers):
            for instance, answer in answers:
                if isinstance(answer, Forbidden):
                    reading.store(settled)
                    settled = []
                    _forbid_all(reading, answer)
                    return False
                if isinstance(answer, BadPayload | ServerFault | TimedOut) and not isinstance(answer, NoSlot):
                    odd.append((instance, answer))
                    strikes.hit(answer)
                    continue
                strikes.miss()
                _settle(reading, instance, answer)
                settled += [instance, *_settle_odd(odd)]
                if len(settled) >= STORE_EVERY:
                    reading.store(settled)
                    settled = []
        settled += _settle_odd(odd)
    finally:
        reading.store(settled)
    return reading.mapped_task.unread_results > 0


def _most_telling(reading: Reading) -> list[Unread]:
    """As many as a pass can read: neighbours of the newest hard failures, then the newest."""
    failed = Instance.objects.filter(mapped_task=reading.mapped_task, state=states.FAILED)
    newest = failed.order_by(F("end_date").desc(nulls_last=True)).values_list("map_index", flat=True)
    steps = [step for reach in range(1, REACH + 1) for step in (-reach, reach)]
    near = {index + step: None for index in newest[:NEWEST_FAILURES] for step in steps}
    neighbours = {row.map_index: row for row in unread_rows(reading.unread().filter(map_index__in=list(near)))}
    first = [neighbours[index] for index in near if index in neighbours]
    newest_first = reading.unread().order_by(F("end_date").desc(nulls_last=True), "map_index")
    others = unread_rows(newest_first[:CALLS_A_PASS])
    return (first + [row for row in others if row.map_index not in neighbours])[:CALLS_A_PASS]


def _read(airflow: Airflow, address: tuple[str, str, str], map_index: int) -> XCom | None:
    """``None``: the instance returned nothing."""
    try:
        return airflow.xcoms.get(*address, map_index)
    except NotFound:
        return None


def _settle(reading: Reading, instance: Unread, answer: XCom | AirflowError | None) -> None:
    if isinstance(answer, AirflowError):
        raise answer
    if answer is None:
        reading.settle(instance, NO_VALUE)
    else:
        reading.settle(instance, answer.value, answer.timestamp)


def _settle_odd(odd: list[tuple[Unread, Any]]) -> list[Unread]:
    """These could not be read while others could: their values are at fault."""
    for instance, error in odd:
        put_no_result(instance, ResultState.UNREADABLE, str(error))
    settled = [instance for instance, _error in odd]
    odd.clear()
    return settled


def _forbid_all(reading: Reading, error: Forbidden) -> None:
    """One answer settles all: XCom access is given by Dag."""
    while rows := unread_rows(reading.unread()[:BATCH]):
        for row in rows:
            put_no_result(row, ResultState.FORBIDDEN, error.detail or str(error))
        reading.store(rows)
