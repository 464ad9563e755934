"""The tries of one instance, each with why it failed."""

from __future__ import annotations

from dataclasses import dataclass

from panel.airflow import Try
from panel.mirror import live_reads
from panel.mirror.models import Instance, TryError


@dataclass(frozen=True, slots=True)
class ToldTry:
    """A try as Airflow tells it, and its error as far as it was read."""

    told: Try
    error: TryError | None


def tries_of(*, instance: Instance) -> list[ToldTry]:
    """All tries, newest first, the current one included. Raises AirflowError."""
    told = live_reads.read_tries(instance=instance)
    known = TryError.objects.filter(mapped_task=instance.mapped_task, map_index=instance.map_index)
    errors = {error.try_number: error for error in known}
    return [ToldTry(one, errors.get(one.try_number)) for one in reversed(told)]
