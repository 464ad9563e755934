"""Writing instances and the rollup of their mapped task: together, only what changed, so that both always agree."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

from django.db import transaction
from django.utils import timezone

from panel.domain.outcomes import VALUED
from panel.mirror.claims import Claim
from panel.mirror.models import Instance, InstanceResult, MappedTask, TryError
from panel.mirror.sync import rollups
from panel.mirror.sync.ahead import one_ahead
from panel.mirror.sync.bulk_writes import Statement, execute, result_statements, update_statements
from panel.mirror.sync.rollups import result_fields
from panel.mirror.sync.unread import Unread
from panel.mirror.sync.upserts import upsert_instances

Item = TypeVar("Item")
Row = TypeVar("Row", Instance, Unread)
NOT_KNOWN: Final[Mapping[str, Any]] = MappingProxyType({})
PART: Final = 2_000
"""Rows that are settled while the database writes as many."""
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
    with transaction.atomic():
        claim.renew()
        if gone:
            _drop(claim.row, gone)
        fields = _numbered(claim.row, changed, claim.row.result_fields)
        if changed:
            upsert_instances(changed)
            execute(result_statements(claim.row, changed))
        return _roll_up(claim.row, changed, fields, dropped=bool(gone))


def store_columns(
    claim: Claim[MappedTask], rows: Sequence[Row], columns: Sequence[str], *, before: Mapping[str, Any] = NOT_KNOWN
) -> None:
    """As ``store``, of rows that were read from the database and only these columns: a fraction of the work.
    MOST_AT_ONCE rows at most. ``before`` as in ``update_statements``. Raises ClaimLost.
    """
    store_settled(claim, lambda part: part, rows, columns, before=before)


def store_settled(
    claim: Claim[MappedTask],
    settled: Callable[[Sequence[Item]], Sequence[Row]],
    items: Sequence[Item],
    columns: Sequence[str],
    *,
    before: Mapping[str, Any] = NOT_KNOWN,
) -> None:
    """As ``store_columns``, of the rows that are ``settled`` by these items. That runs in a thread, for the next PART
    while the database writes the rows of the one before, and must not touch the database.
    """
    changed, fields = list[Row](), claim.row.result_fields

    def prepared(part: Sequence[Item]) -> tuple[Sequence[Row], list[Statement]]:
        nonlocal fields
        rows = settled(part)
        fields = _numbered(claim.row, rows, fields)
        statements = list(update_statements(rows, [*columns, "version"], before))
        statements += result_statements(claim.row, rows)
        return rows, statements

    with transaction.atomic():
        claim.renew()
        parts = [items[start : start + PART] for start in range(0, len(items), PART)]
        for rows, statements in one_ahead(prepared, parts):
            execute(statements)
            changed += rows
        if changed:
            _roll_up(claim.row, changed, fields)


def _numbered(mapped_task: MappedTask, changed: Sequence[Row], fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give rows the version and the numbers to be written with them; the ``result_fields`` with those that are new."""
    for instance in changed:
        instance.version = mapped_task.version + 1
    return result_fields.put_numbers(fields, changed)


def _roll_up(
    mapped_task: MappedTask, changed: Sequence[Row], fields: list[dict[str, Any]], *, dropped: bool = False
) -> bool:
    """What follows from rows that were written or dropped. Whether anything changed."""
    _delete(InstanceResult, mapped_task, [row.map_index for row in changed if row.result_state not in VALUED])
    rollup = rollups.at_each_write(mapped_task, changed) | {"result_fields": fields}
    return _write(mapped_task, rollup, changed=bool(changed or dropped))


def finish(claim: Claim[MappedTask]) -> bool:
    """Bring up to date what is worked out of all rows, once they are as the pass leaves them. Raises ClaimLost."""
    rollup = rollups.after_pass(claim.row)
    with transaction.atomic():
        claim.renew()
        return _write(claim.row, rollup, changed=False)


def _write(mapped_task: MappedTask, rollup: dict[str, Any], *, changed: bool) -> bool:
    """Whether anything differs; only then does the version grow."""
    if not changed and all(getattr(mapped_task, name) == value for name, value in rollup.items()):
        return False
    rollup |= {"version": mapped_task.version + 1, "changed_at": timezone.now()}
    MappedTask.objects.filter(pk=mapped_task.pk).update(**rollup)
    for name, value in rollup.items():
        setattr(mapped_task, name, value)
    return True


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


def _drop(mapped_task: MappedTask, gone: Collection[int]) -> None:
    for model in (Instance, InstanceResult, TryError):
        _delete(model, mapped_task, sorted(gone))


def _delete(
    model: type[Instance] | type[InstanceResult] | type[TryError], mapped_task: MappedTask, indices: Sequence[int]
) -> None:
    for start in range(0, len(indices), BATCH):
        model._default_manager.filter(mapped_task=mapped_task, map_index__in=indices[start : start + BATCH]).delete()
