"""What an outcome rule could look at: the places of results that hold few different values, and those with texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from panel.domain.json_pointers import pointer_of
from panel.domain.outcome_rules import VALUE_LENGTH, comparable

DEEPEST: Final = 3
MOST_PLACES: Final = 200
"""Places looked at in all results together; one with thousands of keys is a table, not a record."""
MOST_VALUES: Final = 8
MOST_SUGGESTED: Final = 6
_STATUS_WORDS: Final = ("status", "state", "outcome", "success", "ok", "failed", "valid", "passed", "code", "result")
_MESSAGE_WORDS: Final = ("error", "message", "reason", "why", "detail", "exception", "problem", "msg")


@dataclass(frozen=True, slots=True)
class Place:
    """A place found in results: ``values`` are comparable texts with how many results hold them, the most first."""

    pointer: str
    values: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Places that may hold a status, the likeliest first, and pointers to texts that may be messages."""

    statuses: list[Place]
    messages: list[str]


def suggest(results: Iterable[Any]) -> Suggestions:
    """What these results offer. Places whose values hardly repeat tell things apart, they do not judge them."""
    values: dict[str, Counter[str]] = {}
    texts: Counter[str] = Counter()
    for result in results:
        for pointer, scalar in _scalars(result, (), 0):
            if pointer not in values and len(values) >= MOST_PLACES:
                continue
            seen = values.setdefault(pointer, Counter())
            text = comparable(scalar)
            if text and len(text) <= VALUE_LENGTH and len(seen) <= MOST_VALUES:
                seen[text] += 1
            if isinstance(scalar, str):
                texts[pointer] += 1
    statuses = [Place(pointer, seen.most_common()) for pointer, seen in values.items() if _judges(seen)]
    statuses.sort(key=lambda place: (_rank(place.pointer, _STATUS_WORDS), -sum(n for _text, n in place.values)))
    messages = sorted(texts, key=lambda pointer: (_rank(pointer, _MESSAGE_WORDS), -texts[pointer], pointer))
    return Suggestions(statuses[:MOST_SUGGESTED], [pointer for pointer in messages if pointer][:MOST_SUGGESTED])


def _judges(seen: Counter[str]) -> bool:
    return 0 < len(seen) <= min(MOST_VALUES, max(2, seen.total() // 2))


def _rank(pointer: str, words: tuple[str, ...]) -> int:
    """Names that say what they are for first."""
    last = pointer.rpartition("/")[2].casefold()
    return next((place for place, word in enumerate(words) if word in last.split("_")), len(words))


def _scalars(value: Any, parts: tuple[str, ...], depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        if depth < DEEPEST:
            for key, inner in value.items():
                yield from _scalars(inner, (*parts, str(key)), depth + 1)
    elif not isinstance(value, list):
        yield pointer_of(parts), value
