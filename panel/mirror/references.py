"""Results held outside Airflow's database, where Airflow gives only a reference to them."""

from __future__ import annotations

import re
from typing import Any, Final

from panel.mirror.models import MappedTask

LONGEST: Final = 1_000

_REFERENCE: Final = re.compile(r"[a-z][a-z0-9+.-]*://\S+")
_FILE: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?:\.[a-z0-9]{1,8})?")


def is_reference(mapped_task: MappedTask, value: Any) -> bool:
    """Whether this is what XComObjectStorageBackend leaves in the database: ``scheme://base/dag/run/task/uuid``, with
    the suffix of a compression perhaps (AIRFLOW.md §4). There is no other mark, so all of it is compared."""
    if not isinstance(value, str) or len(value) > LONGEST or not _REFERENCE.fullmatch(value):
        return False
    place, _slash, file = value.rpartition("/")
    return place.endswith(f"/{place_of(mapped_task)}") and _FILE.fullmatch(file) is not None


def place_of(mapped_task: MappedTask) -> str:
    """Where the results of a mapped task lie under the base: ``dag/run/task``."""
    run = mapped_task.run
    return f"{run.dag.dag_id}/{run.run_id}/{mapped_task.task_id}"


def file_of(reference: str, base: str, place: str) -> str | None:
    """The file that the reference names, if it lies at this place under this base and nowhere else."""
    beginning = f"{base.rstrip('/')}/{place}/"
    if not reference.startswith(beginning) or any(part in {"", ".", ".."} for part in place.split("/")):
        return None
    if place.count("/") != 2 or "\\" in place or "\x00" in place:
        return None
    file = reference[len(beginning) :]
    return file if _FILE.fullmatch(file) else None
