"""How many instances have which outcome, and what is still to be read."""

from __future__ import annotations

from typing import Any

from django.db.models import Count

from panel.domain.outcomes import FAILURES, Outcome, ResultState
from panel.mirror.models import Instance, MappedTask


def rolled_up(mapped_task: MappedTask) -> dict[str, Any]:
    rows = Instance.objects.filter(mapped_task=mapped_task).order_by()
    found: dict[str, int] = dict(rows.values_list("outcome").annotate(n=Count("pk")))
    counts = {outcome.value: found[outcome.value] for outcome in Outcome if found.get(outcome.value)}
    return {
        "total": sum(n for outcome, n in counts.items() if outcome != Outcome.REMOVED),
        "failing": sum(n for outcome, n in counts.items() if outcome in FAILURES),
        "counts": counts,
        "unread_results": rows.filter(result_state=ResultState.UNREAD.value).count(),
    }
