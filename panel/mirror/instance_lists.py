"""The list of the instances of one mapped task: how many match, and a page of them at any depth, filter and order.

What a selection matches is worked out once for each state of the mapped task. Few matches are known by key and sorted;
many are met soon enough on the way through the index of the order (``panel.keyset``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from django.core.cache import cache
from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from panel.domain.selection import Selection
from panel.keyset import Page, keyset_page
from panel.mirror.filters import query_of
from panel.mirror.models import SORTED_APART, TOLD_APART, Instance, MappedTask
from panel.mirror.result_fields import columns_of
from panel.mirror.selectors import instances, select_instances

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
SHOWN: Final = (
    "mapped_task", "map_index", "version", "label", "state", "outcome", "try_number", "max_tries", "queued_at",
    "start_date", "end_date", "duration", "error_type", "error_message", "error_frame", "error_group", "result_state",
    "result_reason", "note",
)  # fmt: skip
"""What pages, REST rows and exports show: the other columns are not read, which halves the time of a page."""
FEW: Final = 2_000
_APART: Final = RawSQL(  # noqa: S611 - made of our own words
    f"outcome IN ({', '.join(repr(outcome.value) for outcome in TOLD_APART)})", (), BooleanField()
)
"""The condition of the indexes of failures, to the letter: that is how SQLite knows that it may use one of them.
PostgreSQL infers it by itself, and would take it for one more condition that few rows fulfil."""
_KEY: Final = f"{Instance._meta.db_table}.{Instance._meta.pk.column}"
_LISTED: Final = "SELECT value FROM json_each(%s)"
KEPT_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Matching:
    """How many instances a selection matches, and their keys when they are few."""

    count: int
    keys: tuple[int, ...] | None = None

    def rows(self, mapped_task: MappedTask, selection: Selection, *, walked_by: str) -> QuerySet[Instance]:
        """The queryset to make a page of, in the order of the column ``walked_by``.

        By key alone where there are keys: beside the mapped task SQLite would walk through the index of the order.
        """
        if self.keys is None:
            rows = select_instances(mapped_task, selection, walked_by=walked_by)
            only_told_apart = selection.outcomes and selection.outcomes <= {*TOLD_APART}
            if connection.vendor == "sqlite" and only_told_apart and walked_by in SORTED_APART:
                rows = rows.filter(_APART)
        else:
            rows = Instance.objects.filter(_among(self.keys))
        return shown(rows, mapped_task, walked_by)


def _among(keys: tuple[int, ...]) -> RawSQL:
    """The rows with these keys, as one parameter: Django takes as long to write down 300 as it takes for all the rest
    of the query."""
    if connection.vendor == "postgresql":
        return RawSQL(f"{_KEY} = ANY(%s)", (list(keys),), BooleanField())  # noqa: S611 - made of our own words
    return RawSQL(f"{_KEY} IN ({_LISTED})", (json.dumps(keys),), BooleanField())  # noqa: S611 - as above


def shown(rows: QuerySet[Instance], mapped_task: MappedTask, *more: str) -> QuerySet[Instance]:
    """The same rows with the columns that are shown, those of the numeric fields among them, and ``more``."""
    return rows.only(*SHOWN, *columns_of(mapped_task).values(), *more)


def matching(mapped_task: MappedTask, selection: Selection) -> Matching:
    """What ``selection`` matches in the rows as of the version that ``mapped_task`` has."""
    if not selection:
        return Matching(sum(mapped_task.counts.values()))
    key = _cache_key(mapped_task, selection)
    found: Matching | None = cache.get(key)
    if found is None:
        found = _matching(mapped_task, selection)
        cache.set(key, found, KEPT_SECONDS)
    return found


def instance_page(
    mapped_task: MappedTask, selection: Selection, found: Matching, *, ordering: str, cursor: str | None, page_size: int
) -> Page[Instance]:
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
