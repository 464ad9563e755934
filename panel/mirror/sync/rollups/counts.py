"""How many instances have which outcome, and what is still to be read."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Count, F, Q

from panel.domain.outcomes import FAILURES, Outcome, ResultState
from panel.mirror.models import Instance, MappedTask

LACKS_ERROR: Final = Q(error_try=None) | ~Q(error_try=F("try_number"))
"""Of failures: the error of the current try is not read."""


def rolled_up(mapped_task: MappedTask) -> dict[str, Any]:
    rows = Instance.objects.filter(mapped_task=mapped_task).order_by()
    found: dict[str, int] = dict(rows.values_list("outcome").annotate(n=Count("pk")))
    # By outcome first: that reads a part of an index, not every row.
    unknown = dict(
        rows.filter(outcome=Outcome.UNKNOWN_RESULT.value).values_list("result_state").annotate(n=Count("pk"))
    )
    counts = {outcome.value: found[outcome.value] for outcome in Outcome if found.get(outcome.value)}
    return {
        "total": sum(n for outcome, n in counts.items() if outcome != Outcome.REMOVED),
        "failing": sum(n for outcome, n in counts.items() if outcome in FAILURES),
        "counts": counts,
        "unread_results": unknown.get(ResultState.UNREAD.value, 0),
        "external_results": unknown.get(ResultState.EXTERNAL.value, 0),
        "unread_errors": rows.filter(LACKS_ERROR, outcome=Outcome.HARD_FAILURE.value).count(),
    }
