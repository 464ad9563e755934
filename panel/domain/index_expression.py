"""Index expressions: ``3,17-40,55-``, one notation for map indices in input, display, results and audit."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

MAX_INDEX: Final = 2**31 - 1
"""The largest map index Airflow's database can hold."""
MAX_LENGTH: Final = 100_000
"""Characters; 10,000 scattered five-digit indices fit."""

_PART: Final = re.compile(r"\s*(\d{1,10})\s*(?:(-)\s*(\d{1,10})?\s*)?", re.ASCII)


class MalformedIndexExpression(ValueError):
    """The text is not an index expression; ``str()`` of it says where and why, fit for a form."""


@dataclass(frozen=True, slots=True)
class IndexExpression:
    """A set of map indices kept as sorted, disjoint, inclusive ranges; an open end is ``MAX_INDEX``."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``n``, ``n-m`` and ``n-`` joined by commas, spaces allowed; an empty text is the empty set.

        Raises MalformedIndexExpression.
        """
        if len(text) > MAX_LENGTH:
            raise MalformedIndexExpression(f"An index expression may have at most {MAX_LENGTH:,} characters.")
        if not text.strip():
            return cls()
        found = []
        for part in text.split(","):
            match = _PART.fullmatch(part)
            if match is None:
                raise MalformedIndexExpression(f"“{part.strip()[:40]}” is not an index: write 3, 17-40 or 55-.")
            first = int(match[1])
            last = first if match[2] is None else int(match[3] or MAX_INDEX)
            if max(first, last) > MAX_INDEX:
                raise MalformedIndexExpression(f"“{part.strip()[:40]}” is above the largest map index, {MAX_INDEX}.")
            if last < first:
                raise MalformedIndexExpression(f"“{part.strip()[:40]}” runs backwards: the first index is the larger.")
            found.append((first, last))
        return cls(_merged(found))

    @classmethod
    def of(cls, indices: Iterable[int]) -> Self:
        """The expression that holds exactly these indices (each 0 or above), in any order, repeats allowed."""
        return cls(_merged([(index, index) for index in indices]))

    def __str__(self) -> str:
        return ",".join(_shown(first, last) for first, last in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __contains__(self, index: int) -> bool:
        place = bisect_right(self.ranges, (index, MAX_INDEX)) - 1
        return place >= 0 and self.ranges[place][0] <= index <= self.ranges[place][1]

    def __iter__(self) -> Iterator[int]:
        """Every index in order. An open end is very long: call ``within`` first."""
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def within(self, total: int) -> Self:
        """The part of it that lies in ``0 … total - 1``."""
        return type(self)(tuple((a, min(b, total - 1)) for a, b in self.ranges if a < total))


def _merged(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def _shown(first: int, last: int) -> str:
    if last == MAX_INDEX:
        return f"{first}-"
    return str(first) if first == last else f"{first}-{last}"
