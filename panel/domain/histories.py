"""What the earlier runs say about a failure: the same item, run after run."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from panel.domain.outcomes import Outcome

FAILED: Final = frozenset({Outcome.SOFT_FAILURE, Outcome.HARD_FAILURE})
"""Failures of the item itself; one whose upstream failed was never tried."""
TELLING: Final = FAILED | {Outcome.SUCCESS}
"""Outcomes that say whether the item worked. Skipped, removed, unfinished and unread ones say nothing."""


class Pattern(StrEnum):
    """How a failure of this run fits in with what came before, in the order in which pages list them.

    Only runs in which the item worked or failed count; the item is found by its label, else by its index.
    """

    NEW = "new"  # it worked in every earlier run
    FLAKY = "flaky"  # it failed in an earlier run, then worked in a later one
    STILL = "still"  # it failed the last time too: since it worked last, or in the only earlier run
    ALWAYS = "always"  # it failed in every earlier run, of which there are at least two
    FIRST = "first"  # no earlier run says anything about it


def pattern_of(earlier: Sequence[bool]) -> Pattern:
    """The pattern of something that fails now. ``earlier``: whether it failed in each earlier run, newest first."""
    if not earlier:
        return Pattern.FIRST
    if all(earlier):
        return Pattern.ALWAYS if len(earlier) > 1 else Pattern.STILL
    worked_last = list(earlier).index(False)
    if any(earlier[worked_last:]):
        return Pattern.FLAKY
    return Pattern.STILL if worked_last else Pattern.NEW
