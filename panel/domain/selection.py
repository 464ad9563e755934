"""A selection: which instances of a mapped task are meant, as filters or as ticked rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import Outcome

TEXT_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Selection:
    """Kinds combine by AND, the values of one kind by OR; an empty kind does not filter.

    ``label`` and ``q`` (error type or message) match anywhere, in any case. Ticked rows are ``indices``.
    """

    outcomes: frozenset[Outcome] = frozenset()
    indices: IndexExpression = IndexExpression()
    error_groups: frozenset[str] = frozenset()
    label: str = ""
    try_number: int | None = None
    q: str = ""

    def __bool__(self) -> bool:
        """Whether at least one kind is given; an empty one would mean everything."""
        return bool(
            self.outcomes or self.indices or self.error_groups or self.label or self.try_number is not None or self.q
        )
