"""The tries of one instance, each with why it failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from panel.airflow import Airflow, AirflowError, Try
from panel.mirror import live_reads
from panel.mirror.models import Instance, TryError
from panel.mirror.sync.errors import read_try_error
from panel.mirror.sync.rows import HAS_ERROR
from panel.servers.client import open_client

LOGS_READ: Final = 5
"""So many logs, of the newest tries whose error is not known yet, are read for one look."""


@dataclass(frozen=True, slots=True)
class ToldTry:
    """A try as Airflow tells it, and its error as far as it could be read."""

    told: Try
    error: TryError | None


def tries_of(*, instance: Instance) -> list[ToldTry]:
    """All tries, newest first, the current one included; errors that are read on the way are kept.

    Raises AirflowError when the tries cannot be read; a log that cannot be leaves its try without an error.
    """
    told = live_reads.read_tries(instance=instance)[::-1]
    known = TryError.objects.filter(mapped_task=instance.mapped_task, map_index=instance.map_index)
    errors: dict[int, TryError | None] = {error.try_number: error for error in known}
    unread = [one.try_number for one in told if one.state in HAS_ERROR and one.try_number not in errors]
    if unread:
        with open_client(instance.mapped_task.run.dag.server) as airflow:
            errors |= {number: _error(airflow, instance, number) for number in unread[:LOGS_READ]}
    return [ToldTry(one, errors.get(one.try_number)) for one in told]


def _error(airflow: Airflow, instance: Instance, try_number: int) -> TryError | None:
    try:
        return read_try_error(airflow, instance, try_number)
    except AirflowError:
        return None
