"""The list of the instances of one mapped task: how many match, and a page of them at any depth, filter and order.

What a selection matches is worked out once for each state of the mapped task. Few matches are known by key and sorted;
many are met soon enough on the way through the index of the order (``panel.keyset``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from django.core.cache import cache as cached
from django.db import connection
from django.db.models import BooleanField, JSONField, QuerySet
from django.db.models.expressions import RawSQL

from panel.domain.outcomes import VALUED
from panel.domain.selection import Selection
from panel.keyset import Page, keyset_page
from panel.mirror.filters import query_of
from panel.mirror.models import SORTED_APART, TOLD_APART, Instance, InstanceResult, MappedTask
from panel.mirror.selectors import instances, select_instances
from panel.prepared import Condition, Narrowed

ORDERINGS: Final = {
    "map_index": "map_index",
    "label": "label_folded",
    "outcome": "outcome",
    "try_number": "try_number",
    "start_date": "start_date",
    "end_date": "end_date",
    "duration": "duration",
    **{f"number_{slot}": f"number_{slot}" for slot in range(6)},
}
"""Public names and the columns behind them, each with an index; ``number_…`` as ``MappedTask.result_fields`` says."""
DEFAULT_ORDERING: Final = "map_index"
FEW: Final = 2_000
_APART: Final = RawSQL(  # noqa: S611 - made of our own words
    f"({' OR '.join(f'outcome = {outcome.value!r}' for outcome in TOLD_APART)})", (), BooleanField()
)
"""The condition of the indexes of failures, to the letter: that is how SQLite knows that it may use one of them.
PostgreSQL infers it by itself, and would take it for one more condition that few rows fulfil."""
_KEY: Final = f"{Instance._meta.db_table}.{Instance._meta.pk.column}"
_LISTED: Final = "SELECT value FROM json_each(%s)"
KEPT_SECONDS: Final = 600
RANGES_KEPT: Final = 50
"""Of indices: what is asked with more is not held in memory."""
_ROW, _RESULT = Instance._meta.db_table, InstanceResult._meta.db_table
_OF_ITS_RESULT: Final = (
    f"CASE WHEN {_ROW}.result_state IN ({', '.join(repr(state.value) for state in sorted(VALUED))}) THEN "  # noqa: S608 - of our own words
    f"(SELECT {_RESULT}.%s FROM {_RESULT} "
    f"WHERE {_RESULT}.mapped_task_id = {_ROW}.mapped_task_id AND {_RESULT}.map_index = {_ROW}.map_index) END"
)
"""A column of it. What has none is not looked up: failures would be half of a page's work."""


class ListedInstance(NamedTuple):
    """What pages, REST rows and exports show of an instance. Other columns are not read, and no model object is made:
    that is a third of the time of a page. ``result`` and ``result_shortened`` are those of ``Instance``."""

    map_index: int
    version: int
    label: str
    label_folded: str | None
    state: str
    outcome: str
    try_number: int
    max_tries: int
    queued_at: datetime | None
    start_date: datetime | None
    end_date: datetime | None
    duration: float | None
    error_type: str
    error_message: str
    error_frame: str
    error_group: str
    result_state: str
    result_reason: str
    note: str
    number_0: float | None
    number_1: float | None
    number_2: float | None
    number_3: float | None
    number_4: float | None
    number_5: float | None
    result: Any
    result_shortened: bool | None


@dataclass(frozen=True, slots=True)
class Matching:
    """How many instances a selection matches, and their keys when they are few."""

    count: int
    keys: tuple[int, ...] | None = None

    def rows(self, mapped_task: MappedTask, selection: Selection, *, walked_by: str) -> Narrowed[ListedInstance]:
        """What to make a page of, in the order of the column ``walked_by``.

        By key alone where there are keys: beside the mapped task SQLite would walk through the index of the order.
        """
        if self.keys is not None and not _has_its_index(selection, walked_by):
            condition = _among(self.keys)
        else:
            known = _selected if len(selection.indices.ranges) <= RANGES_KEPT else _selected.__wrapped__
            condition = known(mapped_task.pk, selection, walked_by, connection.vendor)
        return Narrowed(_listed(), ListedInstance._make, condition)


@lru_cache(maxsize=100)
def _selected(mapped_task_id: UUID, selection: Selection, walked_by: str, vendor: str) -> Condition:
    """The same for every version of the mapped task: not what is there is told, but what is asked."""
    mapped_task = MappedTask(pk=mapped_task_id)
    rows = select_instances(mapped_task, selection, walked_by=walked_by)
    only_told_apart = selection.outcomes and selection.outcomes <= {*TOLD_APART}
    if vendor == "sqlite" and only_told_apart and walked_by in SORTED_APART:
        rows = rows.filter(_APART)
    return Condition.of(rows)


def _has_its_index(selection: Selection, column: str) -> bool:
    """Whether an index holds just what is selected, in the order of this column: no key need be known."""
    if not selection.only("outcomes") or len(selection.outcomes) != 1:
        return False
    return column == "map_index" or (selection.outcomes <= {*TOLD_APART} and column in SORTED_APART)


def _among(keys: tuple[int, ...]) -> Condition:
    """The rows with these keys, as one parameter: Django takes as long to write down 300 as it takes for all the rest
    of the query."""
    if connection.vendor == "postgresql":
        return Condition(f"{_KEY} = ANY(%s)", (list(keys),))
    return Condition(f"{_KEY} IN ({_LISTED})", (json.dumps(keys),))


def listed(mapped_task: MappedTask) -> QuerySet[Instance, ListedInstance]:
    """All its instances as they are listed, by map index; their results come in the same query."""
    return _listed().filter(mapped_task=mapped_task)


@cache
def _listed() -> QuerySet[Instance, ListedInstance]:
    """The columns, put together once."""
    with_results = Instance.objects.order_by("map_index").annotate(  # type: ignore[no-redef]  # as Instance has them
        result=RawSQL(_OF_ITS_RESULT % "value", (), JSONField()),  # noqa: S611 - made of our own words
        result_shortened=RawSQL(_OF_ITS_RESULT % "shortened", (), BooleanField()),  # noqa: S611 - as above
    )
    # Django makes a named tuple of its own, of the same names.
    return cast("QuerySet[Instance, ListedInstance]", with_results.values_list(*ListedInstance._fields, named=True))


def matching(mapped_task: MappedTask, selection: Selection) -> Matching:
    """What ``selection`` matches in the rows as of the version that ``mapped_task`` has."""
    if not selection:
        return Matching(sum(mapped_task.counts.values()))
    key = _cache_key(mapped_task, selection)
    found: Matching | None = cached.get(key)
    if found is None:
        found = _matching(mapped_task, selection)
        cached.set(key, found, KEPT_SECONDS)
    return found


def instance_page(
    mapped_task: MappedTask, selection: Selection, found: Matching, *, ordering: str, cursor: str | None, page_size: int
) -> Page[ListedInstance]:
    """``ordering`` is one of ORDERINGS, ``-`` in front for descending. Raises BadCursor."""
    sign, column = ("-" if ordering.startswith("-") else ""), ORDERINGS[ordering.removeprefix("-")]
    return keyset_page(
        found.rows(mapped_task, selection, walked_by=column),
        ordering=sign + column,
        tiebreak="map_index",
        cursor=cursor,
        page_size=page_size,
    )


def _matching(mapped_task: MappedTask, selection: Selection) -> Matching:
    chosen = select_instances(mapped_task, selection).order_by()
    indices = list(chosen.values_list("map_index", flat=True)[: FEW + 1])
    if len(indices) <= FEW:
        keys = instances(mapped_task).filter(map_index__in=indices).order_by().values_list("pk", flat=True)
        return Matching(len(indices), tuple(keys))
    if selection.only("outcomes"):
        return Matching(sum(mapped_task.counts.get(outcome, 0) for outcome in selection.outcomes))
    return Matching(chosen.count())


def _cache_key(mapped_task: MappedTask, selection: Selection) -> str:
    """Another one after every write of rows, which makes version and time grow in its transaction; the time tells a
    mirror that was rebuilt. The selection is a digest: texts of any length and sign are no cache keys."""
    changed_at = mapped_task.changed_at.isoformat() if mapped_task.changed_at else ""
    digest = hashlib.sha256(query_of(selection).encode()).hexdigest()
    return f"matching:{mapped_task.pk}:{mapped_task.version}:{changed_at}:{digest}"
