"""A selection of nothing is not a selection of everything."""

from __future__ import annotations

import pytest

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import Outcome
from panel.domain.selection import Selection


def test_an_empty_selection_is_false():
    assert not Selection()


@pytest.mark.parametrize(
    "selection",
    [
        Selection(outcomes=frozenset({Outcome.SUCCESS})),
        Selection(indices=IndexExpression.parse("0")),
        Selection(error_groups=frozenset({"0" * 16})),
        Selection(label="a"),
        Selection(try_number=0),
        Selection(q="a"),
    ],
)
def test_any_kind_makes_it_one(selection):
    assert selection
