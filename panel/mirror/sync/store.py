"""Writing instances and the rollup of their mapped task: together, only what changed, so that both always agree."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from panel.domain.metrics import RAN, Span, measure
from panel.domain.outcomes import FAILURES, Outcome, ResultState
from panel.mirror.claims import Claim
from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync.rows import FIELDS

BATCH: Final = 1_000
"""Rows a statement; Django makes it smaller where the database takes fewer parameters."""


MOST_AT_ONCE: Final = 20_000
"""Rows a transaction: about two seconds in which SQLite lets nobody else write."""


def store(claim: Claim[MappedTask], changed: Sequence[Instance], gone: Collection[int] = ()) -> bool:
    """Write these instances, drop the indices in ``gone``, and bring the rollup up to date, in one transaction.

    Whether anything changed; only then does the version grow. Raises ClaimLost.
    """
    if len(changed) > MOST_AT_ONCE:  # so that other writers get their turn
        store(claim, changed[:MOST_AT_ONCE], gone)
        return store(claim, changed[MOST_AT_ONCE:]) or True
    mapped_task = claim.row
    with transaction.atomic():
        claim.renew()
        if gone:
            _drop(mapped_task, gone)
        if changed:
            _upsert(changed)
        rollup = _rollup(mapped_task)
        differs = bool(changed or gone) or any(getattr(mapped_task, name) != rollup[name] for name in rollup)
        if differs:
            rollup |= {"version": mapped_task.version + 1, "changed_at": timezone.now()}
            MappedTask.objects.filter(pk=mapped_task.pk).update(**rollup)
    if differs:
        for name, value in rollup.items():
            setattr(mapped_task, name, value)
    return differs


def store_unexpanded(claim: Claim[MappedTask], state: str) -> bool:
    """Keep the state of the ``-1`` row ("" once there are instances). Whether it changed. Raises ClaimLost."""
    mapped_task = claim.row
    if mapped_task.unexpanded_state == state:
        return False
    mapped_task.unexpanded_state = state
    mapped_task.version += 1
    mapped_task.changed_at = timezone.now()
    with transaction.atomic():
        claim.renew()
        mapped_task.save(update_fields=["unexpanded_state", "version", "changed_at"])
    return True


def _upsert(changed: Sequence[Instance]) -> None:
    """By (task, index): a clear gives a row of Airflow's another id. An upsert writes 10,000 rows in a second or two,
    where bulk_update builds one CASE a row and column."""
    rows = [instance if instance.pk is None else _without_pk(instance) for instance in changed]
    Instance.objects.bulk_create(
        rows,
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["mapped_task", "map_index"],
        update_fields=FIELDS,
    )


def _without_pk(instance: Instance) -> Instance:
    values = {name: getattr(instance, name) for name in FIELDS}
    return Instance(mapped_task_id=instance.mapped_task_id, map_index=instance.map_index, **values)


def _drop(mapped_task: MappedTask, gone: Collection[int]) -> None:
    indices = sorted(gone)
    for start in range(0, len(indices), BATCH):
        Instance.objects.filter(mapped_task=mapped_task, map_index__in=indices[start : start + BATCH]).delete()


def _rollup(mapped_task: MappedTask) -> dict[str, Any]:
    rows = Instance.objects.filter(mapped_task=mapped_task)
    tally = rows.order_by().values_list("outcome").annotate(n=Count("pk"))
    found: dict[str, int] = dict(tally)
    counts = {outcome.value: found[outcome.value] for outcome in Outcome if found.get(outcome.value)}
    ran = rows.filter(outcome__in=sorted(RAN)).order_by().values_list("start_date", "end_date", "duration")
    metrics = measure(counts, (Span(*span) for span in ran.iterator(chunk_size=5_000)), now=timezone.now())
    return {
        "total": sum(n for outcome, n in counts.items() if outcome != Outcome.REMOVED),
        "failing": sum(n for outcome, n in counts.items() if outcome in FAILURES),
        "counts": counts,
        "metrics": metrics.as_dict(),
        "unread_results": rows.filter(result_state=ResultState.UNREAD.value).count(),
    }
