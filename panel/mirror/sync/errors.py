"""Why instances failed: type and message from the log of their last try, read once a try, newest failures first."""

from __future__ import annotations

from typing import Final

from django.db.models import F, Q

from panel.airflow import Airflow, BadPayload, Forbidden, NotFound, ServerFault, TimedOut
from panel.mirror.claims import Claim
from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync.budget import Budget, Strikes
from panel.mirror.sync.rows import HAS_ERROR, put_error
from panel.mirror.sync.store import store

CALLS_A_PASS: Final = 200
SECONDS_A_PASS: Final = 20.0
STORE_EVERY: Final = 50


def read_errors(airflow: Airflow, claim: Claim[MappedTask]) -> bool:
    """Read errors that are unread. Whether some are left for the next pass. Raises AirflowError, ClaimLost."""
    unread = _unread(claim.row)
    budget, strikes = Budget(calls=CALLS_A_PASS, seconds=SECONDS_A_PASS), Strikes()
    settled: list[Instance] = []
    odd: list[Instance] = []  # logs that cannot be read, unless Airflow turns out to be unwell
    try:
        for place, instance in enumerate(unread):
            if not budget.spend():
                return True
            try:
                error_type, message = _read_one(airflow, claim.row, instance)
            except Forbidden:
                settled += [_untold(other) for other in unread[place:]]
                return False
            except (BadPayload, ServerFault, TimedOut) as error:
                odd.append(instance)
                strikes.hit(error)
                continue
            strikes.miss()
            put_error(instance, error_type, message)
            settled += [instance, *map(_untold, odd)]
            odd.clear()
            if len(settled) >= STORE_EVERY:
                store(claim, settled)
                settled = []
        settled += map(_untold, odd)
        return False
    finally:
        if settled:
            store(claim, settled)


def _unread(mapped_task: MappedTask) -> list[Instance]:
    failed = Instance.objects.filter(mapped_task=mapped_task, state__in=sorted(HAS_ERROR))
    unread = failed.filter(Q(error_try=None) | ~Q(error_try=F("try_number")))
    return list(unread.order_by(F("end_date").desc(nulls_last=True), "map_index")[: CALLS_A_PASS + 1])


def _read_one(airflow: Airflow, mapped_task: MappedTask, instance: Instance) -> tuple[str, str]:
    run = mapped_task.run
    try:
        found = airflow.logs.last_error(
            run.dag.dag_id, run.run_id, mapped_task.task_id, instance.try_number, instance.map_index
        )
    except NotFound:
        return "", ""
    return found or ("", "")


def _untold(instance: Instance) -> Instance:
    put_error(instance, "", "")
    return instance
