"""Why instances failed: exception, message and frame from the log of their last try, read once a try.

A log costs Airflow 12 to 17 ms, so that of many failures a sample is read by itself: the newest, and others spread
evenly over the indices, so that patterns show. The rest is counted, and read when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

from django.db import transaction
from django.db.models import F, QuerySet

from panel.airflow import Airflow, AirflowError, BadPayload, Forbidden, LoggedError, NotFound, ServerFault, TimedOut
from panel.domain import states
from panel.domain.texts import plain
from panel.mirror.claims import Claim
from panel.mirror.models import Instance, MappedTask, TryError
from panel.mirror.sync.budget import Budget, Strikes
from panel.mirror.sync.parallel import connections_to, each
from panel.mirror.sync.rollups.counts import LACKS_ERROR
from panel.mirror.sync.rows import (
    ERROR_COLUMNS,
    FRAME_LENGTH,
    HAS_ERROR,
    MESSAGE_LENGTH,
    TYPE_LENGTH,
    put_error,
)
from panel.mirror.sync.runs import is_finished
from panel.mirror.sync.store import store_columns
from panel.servers.slots import NoSlot

SAMPLE: Final = 300
"""Errors of a mapped task that are read without being asked for."""
BEYOND_SAMPLE: Final = 10
"""And so many each pass after that, so that a new kind of failure shows while a run goes on."""
CALLS_A_PASS: Final = 2_000
SECONDS_A_PASS: Final = 20.0
SECONDS_AT_WORK: Final = 8.0
STORE_EVERY: Final = 100
MOST_CAUSES: Final = 10
BATCH: Final = 5_000
_NEEDED: Final = ("mapped_task", "map_index", "state", "try_number", "outcome", "result_state")


def read_errors(airflow: Airflow, claim: Claim[MappedTask]) -> bool:
    """Read errors that are unread. Whether some are left for the next pass. Raises AirflowError, ClaimLost."""
    chosen = _chosen(claim.row)
    if not chosen:
        _note_answered(claim)
        return False
    seconds = SECONDS_A_PASS if is_finished(claim.row.run) else SECONDS_AT_WORK
    read = _read_chosen(airflow, claim, chosen, Budget(calls=len(chosen), seconds=seconds))
    if claim.row.errors_requested_at is None:
        return read < len(chosen)
    return _unread(claim.row).exists() or _note_answered(claim)


def read_try_error(airflow: Airflow, instance: Instance, try_number: int) -> TryError | None:
    """Why this try failed, asked of Airflow and kept; ``None`` when its log does not tell. Raises AirflowError."""
    dag_id, run_id, task_id = _address(instance.mapped_task)
    try:
        found = airflow.logs.last_error(dag_id, run_id, task_id, try_number, instance.map_index)
    except NotFound:
        return None
    if found is None:
        return None
    error = _try_error(instance.mapped_task, instance.map_index, try_number, found)
    _keep([error])
    return error


def _read_chosen(airflow: Airflow, claim: Claim[MappedTask], chosen: Sequence[Instance], budget: Budget) -> int:
    """How many were settled; what was read before something went wrong is kept."""
    address, strikes = _address(claim.row), Strikes()
    settled: list[tuple[Instance, LoggedError | None]] = []
    odd: list[tuple[Instance, LoggedError | None]] = []  # logs that cannot be read, unless Airflow is unwell
    read = 0
    answers = each(
        airflow,
        chosen,
        lambda instance: _read(airflow, address, instance.try_number, instance.map_index),
        connections=connections_to(claim.row.run.dag.server),
        budget=budget,
    )
    try:
        with closing(answers):
            for instance, answer in answers:
                if isinstance(answer, Forbidden):
                    _store(claim, settled)
                    settled = []
                    _give_up_all(claim)
                    return len(chosen)
                if isinstance(answer, BadPayload | ServerFault | TimedOut) and not isinstance(answer, NoSlot):
                    odd.append((instance, None))
                    strikes.hit(answer)
                    continue
                if isinstance(answer, AirflowError):
                    raise answer
                strikes.miss()
                settled += [(instance, answer), *odd]
                read += 1 + len(odd)
                odd.clear()
                if len(settled) >= STORE_EVERY:
                    _store(claim, settled)
                    settled = []
        settled += odd
        return read + len(odd)
    finally:
        _store(claim, settled)


def _chosen(mapped_task: MappedTask) -> list[Instance]:
    """What this pass reads: as much as it can when somebody asked, else a sample; tries that are repeated come last."""
    newest_first = F("end_date").desc(nulls_last=True), "map_index"
    failed = _unread(mapped_task).filter(state=states.FAILED).order_by(*newest_first)
    indices = list(failed.values_list("map_index", flat=True))
    if mapped_task.errors_requested_at is not None:
        indices = indices[:CALLS_A_PASS]
        most = CALLS_A_PASS
    else:
        most = max(BEYOND_SAMPLE, SAMPLE - _already_read(mapped_task))
        indices = _sample(indices, most)
    rows = {row.map_index: row for row in _unread(mapped_task).filter(map_index__in=indices)}
    repeated = _unread(mapped_task).exclude(state=states.FAILED).order_by(*newest_first)
    return [rows[index] for index in indices] + list(repeated[: most - len(indices)])


def _sample(newest_first: Sequence[int], most: int) -> list[int]:
    """A third of it the newest, the others evenly spread over the indices."""
    if len(newest_first) <= most:
        return list(newest_first)
    newest = list(newest_first[: most // 3])
    others = sorted(newest_first[len(newest) :])
    count = most - len(newest)
    return newest + [others[place * len(others) // count] for place in range(count)]


def _unread(mapped_task: MappedTask) -> QuerySet[Instance]:
    rows = Instance.objects.filter(LACKS_ERROR, mapped_task=mapped_task, state__in=sorted(HAS_ERROR))
    return rows.only(*_NEEDED)


def _already_read(mapped_task: MappedTask) -> int:
    rows = Instance.objects.filter(mapped_task=mapped_task, state__in=sorted(HAS_ERROR))
    return rows.exclude(LACKS_ERROR).count()


def _read(airflow: Airflow, address: tuple[str, str, str], try_number: int, map_index: int) -> LoggedError | None:
    try:
        return airflow.logs.last_error(*address, try_number, map_index)
    except NotFound:
        return None


def _store(claim: Claim[MappedTask], settled: Sequence[tuple[Instance, LoggedError | None]]) -> None:
    if not settled:
        return
    for instance, error in settled:
        told = error or LoggedError("", "")
        put_error(instance, told.error_type, told.message, told.frame)
    errors = [
        _try_error(claim.row, instance.map_index, instance.try_number, error)
        for instance, error in settled
        if error is not None
    ]
    with transaction.atomic():
        _keep(errors)
        store_columns(claim, [instance for instance, _error in settled], ERROR_COLUMNS)


def _give_up_all(claim: Claim[MappedTask]) -> None:
    """One answer settles all: access to logs is given by Dag."""
    while rows := list(_unread(claim.row).order_by("map_index")[:BATCH]):
        _store(claim, [(row, None) for row in rows])


def _keep(errors: Sequence[TryError]) -> None:
    TryError.objects.bulk_create(
        errors,
        update_conflicts=True,
        unique_fields=["mapped_task", "map_index", "try_number"],
        update_fields=["error_type", "message", "frame", "causes"],
    )


def _try_error(mapped_task: MappedTask, map_index: int, try_number: int, error: LoggedError) -> TryError:
    told = _texts(error)
    return TryError(
        mapped_task=mapped_task,
        map_index=map_index,
        try_number=try_number,
        error_type=told["type"],
        message=told["message"],
        frame=told["frame"],
        causes=[_texts(cause) for cause in error.causes[:MOST_CAUSES]],
    )


def _texts(error: LoggedError) -> dict[str, Any]:
    return {
        "type": plain(error.error_type, TYPE_LENGTH),
        "message": plain(error.message, MESSAGE_LENGTH),
        "frame": plain(error.frame[-FRAME_LENGTH:]),
    }


def _note_answered(claim: Claim[MappedTask]) -> bool:
    """Nothing is left of what somebody asked for."""
    if claim.row.errors_requested_at is not None:
        claim.row.errors_requested_at = None
        MappedTask.objects.filter(pk=claim.row.pk).update(errors_requested_at=None)
    return False


def _address(mapped_task: MappedTask) -> tuple[str, str, str]:
    run = mapped_task.run
    return run.dag.dag_id, run.run_id, mapped_task.task_id
