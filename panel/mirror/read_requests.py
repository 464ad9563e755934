"""Asking for what the mirror does not read by itself: every error of many, results held in object storage.

A request is a time in the mapped task's row, cleared by the pass that has nothing left to do for it: it outlives the
broker, the worker and a pass under way.
"""

from __future__ import annotations

from typing import Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from panel.mirror.models import MappedTask
from panel.wake import wake

REQUESTED: Final = Q(errors_requested_at__isnull=False) | Q(resolution_requested_at__isnull=False)


def request_errors(*, mapped_task: MappedTask) -> bool:
    """Have every error read that is not read yet. Whether there is something to read."""
    return _request(MappedTask.objects.filter(pk=mapped_task.pk, unread_errors__gt=0), "errors_requested_at")


def request_resolution(*, mapped_task: MappedTask) -> bool:
    """Have the results read that are held in object storage. Whether there are any."""
    return _request(MappedTask.objects.filter(pk=mapped_task.pk, external_results__gt=0), "resolution_requested_at")


def _request(tasks: QuerySet[MappedTask], column: str) -> bool:
    now = timezone.now()
    asked = [str(pk) for pk in tasks.values_list("pk", flat=True)]
    tasks.update(**{column: now, "due_at": now})  # should the wake-up get lost, the sweep finds it
    for task_id in asked:
        wake("mirror.sync_mapped_task", task_id, 0)
    return bool(asked)
