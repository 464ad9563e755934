"""Which items of a new job go first, and which of the others in which wave."""

from __future__ import annotations

from collections.abc import Sequence

from panel.domain.outcomes import Outcome
from panel.retries.models import RetryItem
from panel.retries.policies import Policy


class Turns:
    """Gives each item its turn, while a job's items are written down run by run in the order of sending."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._first_left = policy.canary or 0
        self._groups: set[str] = set()
        self._waved = 0

    def give(self, items: Sequence[RetryItem], groups: Sequence[str]) -> None:
        """Set ``canary`` and ``wave`` of one run's items; ``groups`` are their error groups ("" for none)."""
        for item in self._first(items, groups):
            item.canary = True
        if self._policy.wave_size:
            for item in items:
                if not item.canary:
                    item.wave = 1 + self._waved // self._policy.wave_size
                    self._waved += 1

    def _first(self, items: Sequence[RetryItem], groups: Sequence[str]) -> list[RetryItem]:
        if not self._policy.canary_by_group:
            first = list(items[: self._first_left])
            self._first_left -= len(first)
            return first
        chosen = []
        for item, group in zip(items, groups, strict=True):
            key = group or item.outcome_before
            if key not in self._groups and not item.target.as_upstream:
                self._groups.add(key)
                chosen.append(item)
        return chosen + _upstream_of(chosen, items)


def _upstream_of(chosen: Sequence[RetryItem], items: Sequence[RetryItem]) -> list[RetryItem]:
    """The failed upstream instances without which these could not run."""
    indices = {item.map_index for item in chosen if item.outcome_before == Outcome.UPSTREAM_FAILED}
    return [
        item
        for item in items
        if indices and item.target.as_upstream and (item.map_index < 0 or item.map_index in indices)
    ]
