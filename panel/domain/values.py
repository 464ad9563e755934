"""Values that tasks return, as far as they are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from panel.domain.texts import plain

CUT: Final = "…"
"""Where a preview leaves something out: the end of a string, the last item of a list, a key of a mapping."""
DEEPEST: Final = 100
"""SQLite's JSON ends at 1,000 levels; nobody reads a tenth of that."""

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_SCALAR_LENGTH: Final = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored of a value: itself, or a preview of it when ``shortened``. ``written`` is its JSON, where it had
    to be written down to know its length."""

    value: Any
    shortened: bool = False
    written: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _Limits:
    """The longest text and list, the most keys of a mapping, and the most levels that a preview has."""

    text: int
    items: int
    keys: int
    levels: int = DEEPEST


_WHOLE: Final = _Limits(text=2**62, items=2**62, keys=2**62)


def as_json(value: Any) -> bytes:
    """Raises UnicodeEncodeError for half a character, RecursionError."""
    return _ENCODER.encode(value).encode()


def shortened(value: Any, most_bytes: int, write: Callable[[Any], bytes] = as_json) -> Kept:
    """The value in a form that both databases can hold or, where its JSON is longer than ``most_bytes``, a preview.

    A preview keeps the shape: the longest strings and lists are cut first, then mappings lose keys, those with small
    scalars last, and at the very end levels. What is cut bears the mark CUT. So a rule or a sum that looks for a small
    scalar still finds it, or finds nothing, but never something else. ``write`` may be a faster ``as_json``.
    """
    try:
        written = write(value)
    except (UnicodeEncodeError, RecursionError):  # half a character; nested without end
        return _preview(value, most_bytes, [_WHOLE, *_ever_smaller(most_bytes)])
    if len(written) > most_bytes:
        return _preview(value, most_bytes, _ever_smaller(most_bytes))
    if b"\\u0000" in written or (len(written) > DEEPEST and written.count(b"[") + written.count(b"{") > DEEPEST):
        return _preview(value, most_bytes, [_WHOLE, *_ever_smaller(most_bytes)])
    return Kept(value, written=written.decode())


def _preview(value: Any, most_bytes: int, forms: Iterable[_Limits]) -> Kept:
    """The first of these ever smaller forms that fits."""
    for limits in forms:
        cut = _cut(value, limits)
        if len(as_json(cut)) <= most_bytes:
            return Kept(cut, shortened=limits is not _WHOLE or _levels(value) > DEEPEST)
    return Kept(CUT, shortened=True)


def _ever_smaller(most_bytes: int) -> Iterator[_Limits]:
    most, text = 2**62, max(most_bytes, 40)
    while text > 40:
        text = max(40, text // 2)
        yield _Limits(text, items=max(3, text // 8), keys=most)
    keys = 512
    while keys > 4:
        keys //= 2
        yield _Limits(text=40, items=3, keys=keys)
    for levels in (8, 4, 2, 1):
        yield _Limits(text=12, items=2, keys=4, levels=levels)


def _cut(value: Any, limits: _Limits, level: int = 1) -> Any:
    if isinstance(value, str):
        return _cut_text(value, limits.text)
    if isinstance(value, list | dict) and value and level > limits.levels:
        return CUT
    if isinstance(value, list):
        return _cut_list(value, limits, level)
    return _cut_mapping(value, limits, level) if isinstance(value, dict) else value


def _cut_text(text: str, length: int) -> str:
    return plain(text) if len(text) <= length else plain(text[:length]) + CUT


def _cut_list(items: list[Any], limits: _Limits, level: int) -> list[Any]:
    kept = [_cut(item, limits, level + 1) for item in islice(items, limits.items)]
    left_out = len(items) - len(kept)
    return [*kept, f"{CUT} {left_out}"] if left_out else kept


def _cut_mapping(mapping: dict[Any, Any], limits: _Limits, level: int) -> dict[str, Any]:
    chosen = None if len(mapping) <= limits.keys else _most_telling(mapping, limits.keys)
    kept = {
        _cut_text(str(key), max(limits.text, _SCALAR_LENGTH)): _cut(value, limits, level + 1)
        for key, value in mapping.items()
        if chosen is None or key in chosen
    }
    return kept if chosen is None else kept | {CUT: f"{CUT} {len(mapping) - len(chosen)}"}


def _most_telling(mapping: dict[Any, Any], most: int) -> set[Any]:
    """Keys of small scalars first, each kind in the order of the mapping."""
    small = [key for key, value in mapping.items() if _is_small_scalar(value)]
    return set((small + [key for key, value in mapping.items() if not _is_small_scalar(value)])[:most])


def _is_small_scalar(value: Any) -> bool:
    return len(value) <= _SCALAR_LENGTH if isinstance(value, str) else not isinstance(value, list | dict)


def _levels(value: Any) -> int:
    """How deep it is nested, counted to just above DEEPEST."""
    deepest, level = 0, [value]
    while level and deepest <= DEEPEST:
        deepest += 1
        level = list(_children(level))
    return deepest


def _children(level: list[Any]) -> Iterator[Any]:
    for item in level:
        if isinstance(item, dict):
            yield from item.values()
        elif isinstance(item, list):
            yield from item
