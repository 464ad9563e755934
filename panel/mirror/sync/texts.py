"""Airflow's texts and values in a form that both databases can hold."""

from __future__ import annotations

import json
from typing import Any, Final

from panel.domain.values import Kept

DEEPEST: Final = 100
"""SQLite's JSON ends at 1,000 levels; nobody reads a tenth of that. Deeper values are kept as text."""


def plain(text: str | None, length: int) -> str:
    """The text cut to ``length``, without NUL (PostgreSQL refuses it) and without lone surrogates."""
    cut = (text or "")[:length]
    return cut.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def kept(value: Any, most_bytes: int) -> Kept:
    """The value, or the first ``most_bytes`` of its JSON where that is longer (or nested too deeply)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    data = text.encode("utf-8", "replace")
    if len(data) > most_bytes or _depth(value) > DEEPEST:
        return Kept(plain(data[:most_bytes].decode("utf-8", "ignore"), most_bytes), shortened=True)
    return Kept(_cleaned(value))


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level and deepest <= DEEPEST:
        deepest += 1
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return deepest


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value, len(value))
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {plain(key, len(key)): _cleaned(item) for key, item in value.items()}
    return value
