"""A selection: which instances of a mapped task are meant, as filters or as ticked rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import Outcome

TEXT_LENGTH: Final = 200
LONGEST_DURATION: Final = 999_999_999.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Kinds combine by AND, the values of one kind by OR; an empty kind does not filter.

    ``label`` and ``q`` (error type or message) match anywhere, in any case. Ticked rows are ``indices``. Bounds are
    inclusive, durations in seconds; what has no duration yet is outside any bound.
    """

    outcomes: frozenset[Outcome] = frozenset()
    indices: IndexExpression = IndexExpression()
    error_groups: frozenset[str] = frozenset()
    label: str = ""
    try_number: int | None = None
    try_number_gte: int | None = None
    duration_gte: float | None = None
    duration_lte: float | None = None
    q: str = ""

    def __bool__(self) -> bool:
        """Whether at least one kind is given; an empty one would mean everything."""
        return self != _EVERYTHING

    @property
    def is_contradictory(self) -> bool:
        """Whether its bounds leave nothing between them: a slip, not a wish."""
        shortest, longest = self.duration_gte, self.duration_lte
        return shortest is not None and longest is not None and shortest > longest

    def only(self, *names: str) -> bool:
        """Whether these kinds, and no others, filter."""
        return bool(self) and replace(self, **{name: getattr(_EVERYTHING, name) for name in names}) == _EVERYTHING


_EVERYTHING: Final = Selection()
