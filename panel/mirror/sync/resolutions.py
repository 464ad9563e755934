"""Results held in object storage, read because somebody asked: then they are judged like any other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from django.conf import settings

from panel.domain.outcomes import Outcome, ResultState
from panel.mirror.claims import Claim
from panel.mirror.models import Instance, MappedTask
from panel.mirror.object_storage import OpenStorages, Unresolvable
from panel.mirror.outcome_rules import rule_for
from panel.mirror.references import place_of
from panel.mirror.selectors import with_results
from panel.mirror.sync.rows import RESULT_COLUMNS, put_no_result, put_result
from panel.mirror.sync.store import store_columns

CONNECTIONS: Final = 4
AT_ONCE: Final = 20
"""Values of up to 8 MB each: what is in memory at a time."""
SECONDS_A_PASS: Final = 20.0


def resolve_results(claim: Claim[MappedTask]) -> bool:
    """Read what is asked for. Whether some are left for the next pass. Raises ClaimLost."""
    if claim.row.resolution_requested_at is None:
        return False
    ends_at = time.monotonic() + SECONDS_A_PASS
    storages, last, resolved = OpenStorages(settings.XCOM_STORAGE), -1, 0
    while rows := _held_elsewhere(claim.row, after=last):
        last = rows[-1].map_index
        resolved += _resolve(claim, storages, rows)
        if time.monotonic() >= ends_at:
            break
    if rows and resolved:
        return True  # but a pass that got nowhere is the last one: people may ask again
    _note_answered(claim)
    return False


def _resolve(claim: Claim[MappedTask], storages: OpenStorages, rows: Sequence[Instance]) -> int:
    """How many of these could be read."""
    place, rule, resolved = place_of(claim.row), rule_for(claim.row), 0
    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="storage-read") as pool:
        answers = pool.map(lambda reference: _read(storages, place, reference), [str(row.result) for row in rows])
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, Unresolvable):
                put_no_result(row, ResultState.EXTERNAL, str(answer), row.result)
            else:
                put_result(row, answer, settings.RESULT_PREVIEW_BYTES, rule)
                resolved += 1
    store_columns(claim, rows, RESULT_COLUMNS)
    return resolved


def _read(storages: OpenStorages, place: str, reference: str) -> Any:
    try:
        return storages.read(place, reference)
    except Unresolvable as error:
        return error


def _held_elsewhere(mapped_task: MappedTask, *, after: int) -> Sequence[Instance]:
    unknown = Instance.objects.filter(mapped_task=mapped_task, outcome=Outcome.UNKNOWN_RESULT.value)  # an index
    rows = unknown.filter(result_state=ResultState.EXTERNAL.value)
    return with_results(list(rows.filter(map_index__gt=after).order_by("map_index")[:AT_ONCE]))


def _note_answered(claim: Claim[MappedTask]) -> None:
    claim.row.resolution_requested_at = None
    MappedTask.objects.filter(pk=claim.row.pk).update(resolution_requested_at=None)
