"""The index map: the outcome of every index, small enough to be sent whole, and cheap to bring up to date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Count, F, Max

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import FAILURES, Outcome
from panel.domain.selection import Selection
from panel.mirror import selectors
from panel.mirror.models import Instance, MappedTask

CODES: Final = {outcome.value: str(code) for code, outcome in enumerate(Outcome)}
"""One character an outcome; ``ABSENT`` where there is no instance."""
ABSENT: Final = "."
MOST_CELLS: Final = 1_000_000
"""Airflow allows indices up to 2 ** 31: what lies beyond is not drawn."""
CELLS_AT_ONCE: Final = 100
RANGES: Final = 40
RANGES_SHOWN: Final = 12
_MESSAGE_LENGTH: Final = 300
_ROWS_A_READ: Final = 400


@dataclass(frozen=True, slots=True)
class Range:
    """Neighbouring indices and their counts by outcome."""

    indices: IndexExpression
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class FailedIndices:
    """Where one kind of failure is: the ``parts`` of an index expression; there are more if it ``goes_on``."""

    outcome: str
    count: int
    parts: list[IndexExpression]
    goes_on: bool


def version_of(mapped_task: MappedTask) -> str:
    """Grows with every change; another one altogether once the mirror was deleted and rebuilt."""
    first = Instance.objects.filter(mapped_task=mapped_task).order_by("map_index").values_list("pk", flat=True).first()
    return f"{mapped_task.version}.{first or 0}"


def whole_map(mapped_task: MappedTask) -> dict[str, Any]:
    """``{"version", "size", "beyond", "cells"}``: a character (``CODES``) an index from 0 to ``size - 1``.

    The most frequent outcome is not read: it is every index that has no other, as long as none is missing. All is read
    from the index (mapped_task, outcome, map_index), no row.
    """
    version, size = version_of(mapped_task), _size(mapped_task)
    counts = Counter(mapped_task.counts)
    frequent = counts.most_common(1)[0][0] if size and counts.total() == size else ""
    cells = bytearray(CODES.get(frequent, ABSENT).encode() * size)
    rows = Instance.objects.filter(mapped_task=mapped_task).order_by()
    for outcome in (each.value for each in Outcome if each.value != frequent):
        code = ord(CODES[outcome])
        for index in rows.filter(outcome=outcome, map_index__lt=size).values_list("map_index", flat=True):
            cells[index] = code
    return {"version": version, "size": size, "beyond": size == MOST_CELLS, "cells": cells.decode()}


def map_since(mapped_task: MappedTask, since: str) -> dict[str, Any] | None:
    """What changed after the version ``since``: ``{"version", "size", "counts", "changes": {code: indices}}``.

    The whole map where ``since`` is another mirror's, where more changed than is worth telling, or where not all is
    drawn; nothing for the version there is. Instances that are gone leave no trace among the rows: who adds the changes
    up and does not get ``counts`` asks for the whole map.
    """
    version = version_of(mapped_task)
    if since == version:
        return None
    number, _, mirror = since.partition(".")
    if mirror != version.partition(".")[2] or not number.isdecimal() or int(number) > mapped_task.version:
        return whole_map(mapped_task)
    size = _size(mapped_task)
    most = max(1_000, size // 10)
    rows = Instance.objects.filter(mapped_task=mapped_task, version__gt=int(number), map_index__lt=size)
    changed = list(rows.order_by().values_list("map_index", "outcome")[: most + 1])
    if len(changed) > most or size == MOST_CELLS:
        return whole_map(mapped_task)
    return {"version": version, "size": size, "counts": _counts(mapped_task), "changes": _by_code(changed)}


def cells_at(mapped_task: MappedTask, indices: IndexExpression) -> list[dict[str, Any]]:
    """``[{"index", "label", "outcome", "error"}]`` of the first ``CELLS_AT_ONCE`` of these indices."""
    rows = selectors.select_instances(mapped_task, Selection(indices=indices)) if indices else Instance.objects.none()
    return [
        {"index": index, "label": label, "outcome": outcome, "error": f"{kind} {said[:_MESSAGE_LENGTH]}".strip()}
        for index, label, outcome, kind, said in rows.values_list(
            "map_index", "label", "outcome", "error_type", "error_message"
        )[:CELLS_AT_ONCE]
    ]


def ranges(mapped_task: MappedTask) -> list[Range]:
    """The map in about ``RANGES`` parts of a round length, for who cannot see it."""
    size = _size(mapped_task)
    length = _round_length(size)
    rows = Instance.objects.filter(mapped_task=mapped_task, map_index__lt=size).annotate(part=F("map_index") / length)
    parts: dict[int, dict[str, int]] = {}
    for part, outcome, found in rows.order_by().values_list("part", "outcome").annotate(n=Count("pk")):
        parts.setdefault(part, {})[outcome] = found
    return [
        Range(IndexExpression(((part * length, min((part + 1) * length, size) - 1),)), counts)
        for part, counts in sorted(parts.items())
    ]


def failed_indices(mapped_task: MappedTask) -> list[FailedIndices]:
    """The first indices of each kind of failure; one query a kind that there is, whatever the size."""
    found = []
    for outcome in (each.value for each in Outcome if each in FAILURES and mapped_task.counts.get(each)):
        indices = IndexExpression.of(index for (index,) in _FIRST_ONES.fetch(mapped_task.pk, outcome))
        parts = [IndexExpression((pair,)) for pair in indices.ranges[:RANGES_SHOWN]]
        count = mapped_task.counts[outcome]
        found.append(FailedIndices(outcome, count, parts, goes_on=sum(map(len, parts)) < count))
    return found


_FIRST_ONES: Final = selectors.first_indices("outcome", _ROWS_A_READ)


def _size(mapped_task: MappedTask) -> int:
    last = Instance.objects.filter(mapped_task=mapped_task).aggregate(last=Max("map_index"))["last"]
    return 0 if last is None else min(last + 1, MOST_CELLS)


def _counts(mapped_task: MappedTask) -> dict[str, int]:
    return {CODES[outcome]: found for outcome, found in mapped_task.counts.items() if outcome in CODES}


def _by_code(changed: Iterable[tuple[int, str]]) -> dict[str, str]:
    indices: dict[str, list[int]] = {}
    for index, outcome in changed:
        indices.setdefault(CODES[outcome], []).append(index)
    return {code: str(IndexExpression.of(found)) for code, found in sorted(indices.items())}


def _round_length(size: int) -> int:
    """1, 2, 5, 10, 20, …: the first that makes few enough ranges."""
    power = 1
    while power * 5 * RANGES < size:
        power *= 10
    return next(unit * power for unit in (1, 2, 5) if unit * power * RANGES >= size)
