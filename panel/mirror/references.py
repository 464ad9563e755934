"""Results held outside Airflow's database, where Airflow gives only a reference to them."""

from __future__ import annotations

import re
from typing import Any, Final

from panel.mirror.models import MappedTask

_REFERENCE: Final = re.compile(r"[a-z][a-z0-9+.-]*://\S+")
_FILE: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?:\.[a-z0-9]{1,8})?")
LONGEST: Final = 1_000


def is_reference(mapped_task: MappedTask, value: Any) -> bool:
    """Whether this is what XComObjectStorageBackend leaves in the database: ``scheme://base/dag/run/task/uuid``, with
    the suffix of a compression perhaps (AIRFLOW.md §4). There is no other mark, so all of it is compared."""
    if not isinstance(value, str) or len(value) > LONGEST or not _REFERENCE.fullmatch(value):
        return False
    run = mapped_task.run
    place, _slash, file = value.rpartition("/")
    return place.endswith(f"/{run.dag.dag_id}/{run.run_id}/{mapped_task.task_id}") and bool(_FILE.fullmatch(file))
