"""Durations, throughput, the time that is left."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from panel.domain.metrics import RAN, Span, measure
from panel.mirror.models import Instance, MappedTask


def rolled_up(mapped_task: MappedTask) -> dict[str, Any]:
    ran = Instance.objects.filter(mapped_task=mapped_task, outcome__in=sorted(RAN)).order_by()
    spans = ran.values_list("start_date", "end_date", "duration").iterator(chunk_size=5_000)
    metrics = measure(mapped_task.counts, (Span(*span) for span in spans), now=timezone.now())
    return {"metrics": metrics.as_dict()}
