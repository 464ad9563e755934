"""The numeric fields of results: rows processed, bytes, prices; found by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from panel.domain.json_pointers import escaped

MOST_FIELDS: Final = 6
"""So many columns an instance has for them."""
DEEPEST: Final = 3
MOST_LOOKED_AT: Final = 64
"""Fields of one result; one with thousands of keys is a table, not a record."""
LONGEST_NAME: Final = 100
GREATEST: Final = 1e100
"""PostgreSQL refuses an average whose squares do not fit a double."""
WHOLE: Final = "result"
_NUMBERS: Final = frozenset({int, float})
_IDENTIFIERS: Final = ("id", "index", "port", "code", "version", "number")


def numbers_in(value: Any) -> dict[str, float]:
    """The numbers in a result by name, at most DEEPEST mappings down: ``rows``, ``stats/rows``.

    A result that is itself a number has the name ``result``. Truth values, NaN and numbers beyond GREATEST are none;
    names that cannot be shown are left out. A slash inside a key is written as in a JSON pointer: ``~1``.
    """
    if not isinstance(value, dict):
        number = _number(value)
        return {} if number is None else {WHOLE: number}
    found: dict[str, float] = {}
    _gather(value, "", 1, found)
    return found


def assign_slots(known: Mapping[str, int], results: Iterable[Mapping[str, float]]) -> dict[str, int]:
    """``known`` (name → slot, from 0) and, while there are slots, names that are new, those that occur most first.

    Fields that look like identifiers come last: nobody wants their sum.
    """
    free = [slot for slot in range(MOST_FIELDS) if slot not in known.values()]
    if not free:
        return dict(known)
    seen = Counter(chain.from_iterable(results))
    ranked = sorted(
        (name for name in seen if name not in known),
        key=lambda name: (_is_identifier(name), -seen[name], name.count("/")),
    )
    return {**known, **dict(zip(ranked, free, strict=False))}


def _gather(mapping: Mapping[str, Any], above: str, depth: int, found: dict[str, float]) -> None:
    for key, value in mapping.items():
        if len(found) >= MOST_LOOKED_AT:
            return
        if isinstance(value, dict):
            if depth < DEEPEST:
                _gather(value, f"{above}{escaped(str(key))}/", depth + 1, found)
        elif (number := _number(value)) is not None and len(key) <= LONGEST_NAME and (name := _name(above, key)):
            found[name] = number


@lru_cache(maxsize=4_096)  # the results of a map have the same keys
def _name(above: str, key: str) -> str:
    """Empty for one that cannot be shown."""
    name = f"{above}{escaped(key)}"
    return name if name.isprintable() and len(name) <= LONGEST_NAME else ""


def _number(value: Any) -> float | None:
    if type(value) not in _NUMBERS:  # a truth value is an int, too
        return None
    return float(value) if -GREATEST <= value <= GREATEST else None


def _is_identifier(name: str) -> bool:
    last = name.rpartition("/")[2].casefold()
    return any(last == word or last.endswith(f"_{word}") for word in _IDENTIFIERS)
