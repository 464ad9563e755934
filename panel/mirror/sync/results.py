"""Results: the XCom ``return_value`` of each instance that succeeded, read once a try.

Of a finished run all at once where Airflow can (``/wait``, 3.3+), else one by one within the pass's budget; what is
left is read by the next pass.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.utils.translation import gettext as _

from panel.airflow import (
    Airflow,
    AirflowError,
    BadPayload,
    Forbidden,
    NotFinished,
    NotFound,
    ServerFault,
    Unsupported,
    XCom,
    XComRef,
)
from panel.domain import states
from panel.domain.outcomes import ResultState
from panel.domain.texts import plain
from panel.mirror.claims import Claim
from panel.mirror.models import Instance, MappedTask
from panel.mirror.outcome_rules import rule_for
from panel.mirror.sync.budget import Budget, Strikes
from panel.mirror.sync.rows import put_no_result, put_result
from panel.mirror.sync.runs import is_finished
from panel.mirror.sync.store import store

BULK_FROM: Final = 25
"""Unread results from which reading all at once costs Airflow less than one by one (0.5–1.6 s against 11 ms each)."""
CHEAP_LIST: Final = 1_000
"""Up to so many results the list of XComs is read to be sure: a failure that somebody marked by hand keeps its value.
Above, ten requests a thousand are too dear for that, and failures are taken to have none."""
CALLS_A_PASS: Final = 500
SECONDS_A_PASS: Final = 20.0
STORE_EVERY: Final = 100
CLOCKS_APART: Final = timedelta(seconds=1)
"""The start is stamped by the worker, the XCom by the api-server."""

_REFERENCE: Final = re.compile(r"[a-z][a-z0-9+.-]*://\S+")


def read_results(airflow: Airflow, claim: Claim[MappedTask]) -> bool:
    """Read what is unread. Whether something is left for the next pass. Raises AirflowError, ClaimLost."""
    unread = list(Instance.objects.filter(mapped_task=claim.row, result_state=ResultState.UNREAD.value))
    if not unread:
        return False
    if is_finished(claim.row.run) and len(unread) >= BULK_FROM:
        values = _read_all(airflow, claim.row)
        if values is not None:
            _store_all(claim, unread, values)
            return False
    return _read_singly(airflow, claim, unread)


def _read_all(airflow: Airflow, mapped_task: MappedTask) -> dict[int, Any] | None:
    """The current results by index, from one call; ``None`` where they must be read one by one.

    ``/wait`` gives the values in the order of map_index, without indices. They are those of the succeeded instances
    when the counts agree and no other instance can hold an old value; otherwise the list of XComs says whose they are.
    """
    run, task_id = mapped_task.run, mapped_task.task_id
    try:
        answer = airflow.runs.results(run.dag.dag_id, run.run_id, [task_id])
    except (Unsupported, NotFinished, BadPayload, ServerFault):
        return None
    except Forbidden:
        return None  # one single read tells why, and settles the others
    values = answer.get(task_id, [])
    if not isinstance(values, list):
        return None
    rows = Instance.objects.filter(mapped_task=mapped_task).order_by("map_index")
    succeeded = list(rows.filter(state=states.SUCCESS).values_list("map_index", flat=True))
    may_hold_old = rows.exclude(state=states.SUCCESS)
    if len(succeeded) > CHEAP_LIST:
        may_hold_old = may_hold_old.exclude(state__in=[states.FAILED, states.SKIPPED, states.UPSTREAM_FAILED])
    if len(values) == len(succeeded) and not may_hold_old.exists():
        return dict(zip(succeeded, values, strict=True))
    refs = airflow.xcoms.indices(run.dag.dag_id, run.run_id, task_id)
    if len(refs) != len(values):
        return None
    return _current(refs, values, dict(rows.values_list("map_index", "start_date")))


def _current(refs: Sequence[XComRef], values: Sequence[Any], started: dict[int, Any]) -> dict[int, Any]:
    return {
        ref.map_index: value
        for ref, value in zip(refs, values, strict=True)
        if not _is_stale(ref, started.get(ref.map_index))
    }


def _store_all(claim: Claim[MappedTask], unread: Sequence[Instance], values: dict[int, Any]) -> None:
    for instance in unread:
        if instance.map_index in values:
            _put(claim.row, instance, values[instance.map_index])
        else:
            put_no_result(instance, ResultState.ABSENT)
    store(claim, unread)


def _read_singly(airflow: Airflow, claim: Claim[MappedTask], unread: Sequence[Instance]) -> bool:
    budget = Budget(calls=CALLS_A_PASS, seconds=SECONDS_A_PASS)
    strikes = Strikes()
    settled: list[Instance] = []
    odd: list[tuple[Instance, AirflowError]] = []  # unreadable, unless Airflow turns out to be unwell
    try:
        for place, instance in enumerate(unread):
            if not budget.spend():
                return True
            try:
                _read_one(airflow, claim.row, instance)
            except Forbidden as error:
                rest = list(unread[place:])
                for other in rest:
                    put_no_result(other, ResultState.FORBIDDEN, error.detail or str(error))
                settled += rest
                return False
            except (BadPayload, ServerFault) as error:
                odd.append((instance, error))
                strikes.hit(error)
                continue
            strikes.miss()
            settled += [instance, *_settle_odd(odd)]
            if len(settled) >= STORE_EVERY:
                store(claim, settled)
                settled = []
        settled += _settle_odd(odd)
        return False
    finally:
        if settled:
            store(claim, settled)


def _read_one(airflow: Airflow, mapped_task: MappedTask, instance: Instance) -> None:
    run = mapped_task.run
    try:
        xcom = airflow.xcoms.get(run.dag.dag_id, run.run_id, mapped_task.task_id, instance.map_index)
    except NotFound:
        put_no_result(instance, ResultState.ABSENT)
        return
    if _is_stale(xcom, instance.start_date):
        reason = _("What Airflow holds is older than this try.")
        put_no_result(instance, ResultState.UNREADABLE, reason)
        return
    _put(mapped_task, instance, xcom.value)


def _settle_odd(odd: list[tuple[Instance, AirflowError]]) -> list[Instance]:
    """These could not be read while others could: their values are at fault."""
    for instance, error in odd:
        put_no_result(instance, ResultState.UNREADABLE, str(error))
    settled = [instance for instance, _error in odd]
    odd.clear()
    return settled


def _put(mapped_task: MappedTask, instance: Instance, value: Any) -> None:
    if _is_reference(mapped_task, value):
        reason = _("The result is kept outside Airflow's database; Airflow gives only where.")
        put_no_result(instance, ResultState.EXTERNAL, reason, plain(value, 1_000))
    else:
        put_result(instance, value, settings.RESULT_PREVIEW_BYTES, rule_for(mapped_task))


def _is_reference(mapped_task: MappedTask, value: Any) -> bool:
    """Whether this is what XComObjectStorageBackend leaves in the database: ``scheme://base/dag/run/task/uuid``."""
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        return False
    run = mapped_task.run
    return f"/{run.dag.dag_id}/{run.run_id}/{mapped_task.task_id}/" in value


def _is_stale(xcom: XCom | XComRef, start_date: Any) -> bool:
    """An XCom outlives a clear until the new try starts (AIRFLOW.md §4)."""
    return xcom.timestamp is not None and start_date is not None and xcom.timestamp < start_date - CLOCKS_APART
