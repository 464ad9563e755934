"""The list of a mapped-task page: its filters, sort order and rows, and the links that change them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext as _

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import FAILURES, Outcome
from panel.domain.selection import Selection
from panel.keyset import BadCursor, Page, keyset_page
from panel.mirror import selectors
from panel.mirror.boards import instance_revision
from panel.mirror.filters import query_of, selection_from
from panel.mirror.models import Instance, MappedTask
from panel.problems import BadRequest, Problem

ORDERINGS: Final = {
    "map_index": "map_index",
    "label": "label_folded",
    "outcome": "outcome",
    "try_number": "try_number",
    "start_date": "start_date",
    "end_date": "end_date",
    "duration": "duration",
}
DEFAULT_ORDERING: Final = "map_index"
PAGE_SIZE: Final = 100
MAIN_OUTCOMES: Final = (
    Outcome.SUCCESS,
    Outcome.SOFT_FAILURE,
    Outcome.HARD_FAILURE,
    Outcome.RETRYING,
    Outcome.RUNNING,
    Outcome.WAITING,
)
"""These have a tile also at zero, so that the tiles keep their places while a map runs."""

_NO_ROWS: Final[Page[Instance]] = Page(rows=[], next_cursor=None, previous_cursor=None)


@dataclass(frozen=True, slots=True)
class Tile:
    outcome: str
    count: int
    query: str
    selected: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter that is set, and the query without it. ``kind`` is the filter's name in query strings."""

    kind: str
    value: str
    query: str


@dataclass(frozen=True, slots=True)
class Row:
    instance: Instance

    @property
    def revision(self) -> str:
        return instance_revision(self.instance)


@dataclass(frozen=True, slots=True)
class Listing:
    """What the list shows; with a ``problem`` in the filters it shows no rows, rather than the wrong ones."""

    selection: Selection
    ordering: str
    page: Page[Instance]
    matching: int
    problem: Problem | None = None

    @property
    def rows(self) -> list[Row]:
        return [Row(instance) for instance in selectors.with_results(self.page.rows)]

    @property
    def shown(self) -> str:
        """The indices on this page, as an expression: what the poller brings up to date."""
        return str(IndexExpression.of(row.map_index for row in self.page.rows))

    @property
    def problem_is_beside_its_field(self) -> bool:
        return self.problem is not None and bool(self.problem.fields.keys() & {"indices", "label", "q", "try_number"})

    @property
    def query(self) -> str:
        return query_of(self.selection)

    @property
    def full_query(self) -> str:
        """The filters and the sort order: what a link to this list holds."""
        return query_with(self.selection, self.ordering)


def query_with(selection: Selection, ordering: str) -> str:
    pairs = [query_of(selection)] if selection else []
    if ordering != DEFAULT_ORDERING:
        pairs.append(urlencode({"ordering": ordering}))
    return "&".join(pairs)


def listing(task: MappedTask, params: QueryDict) -> Listing:
    """The list that these parameters ask for; whatever is wrong with them is its ``problem``."""
    try:
        selection = selection_from(params)
        ordering = _ordering(params)
        matching = selectors.select_instances(task, selection)
        page = keyset_page(
            matching,
            ordering=_field(ordering),
            tiebreak="map_index",
            cursor=params.get("cursor") or None,
            page_size=PAGE_SIZE,
        )
    except Problem as problem:
        return Listing(Selection(), DEFAULT_ORDERING, _NO_ROWS, 0, problem)
    except BadCursor:
        damaged = BadRequest(_("The link to this page of the list is damaged. Filter again to see its first page."))
        return Listing(Selection(), DEFAULT_ORDERING, _NO_ROWS, 0, damaged)
    whole = not selection
    count = task.total + task.counts.get(Outcome.REMOVED, 0) if whole else matching.count()
    return Listing(selection, ordering, page, count)


def shown_rows(task: MappedTask, params: QueryDict) -> list[Row]:
    """The rows that a poller says are on its page, whatever their outcome is now."""
    expression = IndexExpression.parse(params.get("shown", ""))
    if not expression:
        return []
    rows = selectors.select_instances(task, Selection(indices=expression))[: 2 * PAGE_SIZE]
    return [Row(instance) for instance in selectors.with_results(list(rows))]


def tiles(task: MappedTask, listed: Listing) -> list[Tile]:
    """A tile an outcome; one that is the only filter on outcomes is selected, and its link takes it off again."""
    shown = [o for o in Outcome if o in MAIN_OUTCOMES or task.counts.get(o) or o in listed.selection.outcomes]
    chosen = listed.selection.outcomes
    return [
        Tile(
            outcome=outcome.value,
            count=task.counts.get(outcome, 0),
            query=query_with(
                replace(listed.selection, outcomes=frozenset() if chosen == {outcome} else frozenset({outcome})),
                listed.ordering,
            ),
            selected=outcome in chosen,
        )
        for outcome in shown
    ]


def chips(listed: Listing) -> list[Chip]:
    """The filters that are set, each with the list without it."""
    selection = listed.selection

    def without(**change: object) -> str:
        return query_with(replace(selection, **change), listed.ordering)  # type: ignore[arg-type]  # names match

    found = [
        Chip("outcome", outcome.value, without(outcomes=selection.outcomes - {outcome}))
        for outcome in Outcome
        if outcome in selection.outcomes
    ]
    found += [
        Chip("error_group", group, without(error_groups=selection.error_groups - {group}))
        for group in sorted(selection.error_groups)
    ]
    if selection.indices:
        found.append(Chip("indices", str(selection.indices), without(indices=IndexExpression())))
    if selection.label:
        found.append(Chip("label", selection.label, without(label="")))
    if selection.try_number is not None:
        found.append(Chip("try_number", str(selection.try_number), without(try_number=None)))
    if selection.q:
        found.append(Chip("q", selection.q, without(q="")))
    return found


def failures_query() -> str:
    return query_of(Selection(outcomes=FAILURES))


def matching_query(listed: Listing) -> str:
    """The selection of everything that the list matches: ``indices=0-`` when nothing is filtered."""
    return listed.query or query_of(Selection(indices=IndexExpression.parse("0-")))


def _ordering(params: QueryDict) -> str:
    asked = params.get("ordering") or DEFAULT_ORDERING
    if asked.removeprefix("-") not in ORDERINGS:
        raise BadRequest(
            _("This list cannot be sorted that way."),
            {"ordering": [_("One of %(known)s; - in front for descending.") % {"known": ", ".join(ORDERINGS)}]},
        )
    return asked


def _field(ordering: str) -> str:
    sign = "-" if ordering.startswith("-") else ""
    return sign + ORDERINGS[ordering.removeprefix("-")]
