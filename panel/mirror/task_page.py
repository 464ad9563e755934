"""The list of a mapped-task page: its filters, sort order and rows, and the links that change them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, urlencode

from django.http import QueryDict
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import FAILURES, Outcome
from panel.domain.selection import Selection
from panel.keyset import BadCursor, Page
from panel.mirror import selectors
from panel.mirror.boards import instance_revision
from panel.mirror.filters import NAMES, query_of, selection_from
from panel.mirror.instance_lists import DEFAULT_ORDERING, ORDERINGS, ListedInstance, instance_page, matching
from panel.mirror.instance_lists import listed as listed_rows
from panel.mirror.list_columns import Column, RowPainter, columns, optional_columns
from panel.mirror.models import MappedTask
from panel.problems import BadRequest, Problem
from panel.ui.words import duration_words

PAGE_SIZE: Final = 50
MAIN_OUTCOMES: Final = (
    Outcome.SUCCESS,
    Outcome.SOFT_FAILURE,
    Outcome.HARD_FAILURE,
    Outcome.RETRYING,
    Outcome.RUNNING,
    Outcome.WAITING,
)
"""These have a tile also at zero, so that the tiles keep their places while a map runs."""

FIELDS: Final = frozenset(NAMES) - {"outcome", "error_group"}
"""The filters that have a field on the page."""

_NO_ROWS: Final[Page[ListedInstance]] = Page(rows=[], next_cursor=None, previous_cursor=None)


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
class Listing:
    """What the list shows; with a ``problem`` in the filters it shows no rows, rather than the wrong ones."""

    task: MappedTask
    selection: Selection = Selection()
    ordering: str = DEFAULT_ORDERING
    columns: Sequence[Column] = ()
    page: Page[ListedInstance] = _NO_ROWS
    matching: int = 0
    problem: Problem | None = None

    @property
    def rows(self) -> list[SafeString]:
        """Table rows."""
        paint = RowPainter(self.columns, page_url(self.task))
        return [paint.row(instance, revision=instance_revision(instance)) for instance in self.page.rows]

    @property
    def shown(self) -> str:
        """The indices on this page, as an expression: what the poller brings up to date."""
        return str(IndexExpression.of(row.map_index for row in self.page.rows))

    @property
    def problem_is_beside_its_field(self) -> bool:
        return self.problem is not None and bool(self.problem.fields.keys() & FIELDS)

    @property
    def query(self) -> str:
        return query_of(self.selection)

    @property
    def full_query(self) -> str:
        """The filters, the sort order and the columns: what a link to this list holds."""
        return self.query_with(self.selection)

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The filters and the sort order by name, for the hidden fields of a form."""
        return parse_qsl(replace(self, columns=()).full_query)

    @property
    def chosen_columns(self) -> list[str]:
        """The names of those that were added to the usual ones."""
        optional = optional_columns(self.task)
        return [column.name for column in self.columns if column.name in optional]

    def query_with(self, selection: Selection) -> str:
        """That of the same list with another selection."""
        pairs = [query_of(selection)] if selection else []
        if self.ordering != DEFAULT_ORDERING:
            pairs.append(urlencode({"ordering": self.ordering}))
        if chosen := self.chosen_columns:
            pairs.append(urlencode({"columns": chosen}, doseq=True))
        return "&".join(pairs)


def page_url(task: MappedTask) -> str:
    """The path of the mapped task's page; those of its instances begin with it."""
    run = task.run
    names = [run.dag.server.slug, run.dag.dag_id, run.run_id, task.task_id]
    return reverse("mirror:mapped_task_detail", args=names)


def listing(task: MappedTask, params: QueryDict) -> Listing:
    """The list that these parameters ask for; whatever is wrong with them is its ``problem``."""
    try:
        listed = _without_rows(task, params)
        found = matching(task, listed.selection)
        page = instance_page(
            task,
            listed.selection,
            found,
            ordering=listed.ordering,
            cursor=params.get("cursor") or None,
            page_size=PAGE_SIZE,
        )
    except Problem as problem:
        return Listing(task, problem=problem)
    except BadCursor:
        damaged = BadRequest(_("The link to this page of the list is damaged. Filter again to see its first page."))
        return Listing(task, problem=damaged)
    return replace(listed, page=page, matching=found.count)


def news(task: MappedTask, params: QueryDict, *, since: int) -> tuple[Listing, list[SafeString]]:
    """The list as a poller needs it: how many match now, and of the rows it has on its page those that changed after
    the version ``since``, whatever their outcome is now. Raises MalformedIndexExpression."""
    try:
        listed = _without_rows(task, params)
        listed = replace(listed, matching=matching(task, listed.selection).count)
    except Problem as problem:
        return Listing(task, problem=problem), []
    shown = IndexExpression.parse(params.get("shown", ""))
    if not shown:
        return listed, []
    rows = selectors.selected(listed_rows(task), task, Selection(indices=shown)).filter(version__gt=since)
    paint = RowPainter(listed.columns, page_url(task))
    return listed, [paint.row(one, revision=instance_revision(one), oob=True) for one in rows[: 2 * PAGE_SIZE]]


def _without_rows(task: MappedTask, params: QueryDict) -> Listing:
    selection = selection_from(params)
    shown = columns(task, [name for name in params.getlist("columns") if name])
    return Listing(task, selection, _ordering(params), shown)


def tiles(task: MappedTask, listed: Listing) -> list[Tile]:
    """A tile an outcome; one that is the only filter on outcomes is selected, and its link takes it off again."""
    shown = [o for o in Outcome if o in MAIN_OUTCOMES or task.counts.get(o) or o in listed.selection.outcomes]
    chosen = listed.selection.outcomes
    return [
        Tile(
            outcome=outcome.value,
            count=task.counts.get(outcome, 0),
            query=listed.query_with(
                replace(listed.selection, outcomes=frozenset() if chosen == {outcome} else frozenset({outcome}))
            ),
            selected=outcome in chosen,
        )
        for outcome in shown
    ]


def chips(listed: Listing) -> list[Chip]:
    """The filters that are set, each with the list without it."""
    selection = listed.selection

    def without(**change: object) -> str:
        return listed.query_with(replace(selection, **change))  # type: ignore[arg-type]  # names match

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
    for name in ("try_number", "try_number_gte"):
        if (bound := getattr(selection, name)) is not None:
            found.append(Chip(name, str(bound), without(**{name: None})))
    for name in ("duration_gte", "duration_lte"):
        if (bound := getattr(selection, name)) is not None:
            found.append(Chip(name, duration_words(bound), without(**{name: None})))
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
