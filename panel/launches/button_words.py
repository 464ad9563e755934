"""The words of a launch form's button, with values in them: ``Deploy 1.2.3 to prod``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from panel.launches.shaped_fields import ShapedFields
from panel.launches.shapes import PLACEHOLDER, word_of

LONGEST_WORD: Final = 40
NOTHING_YET: Final = "…"


@dataclass(frozen=True, slots=True)
class Part:
    """``key``: of the control whose value this is, for a script to keep it up; ``""`` for what does not change."""

    text: str
    key: str = ""


def button_parts(shape: ShapedFields, values: Mapping[str, Any]) -> list[Part]:
    """The words in parts; none where the form's admin gave no words."""
    words = shape.definition.button if shape.definition else ""
    parts, at = [], 0
    for found in PLACEHOLDER.finditer(words):
        parts.append(Part(words[at : found.start()]))
        parts.append(_part(shape, found[1].strip(), values))
        at = found.end()
    parts.append(Part(words[at:]))
    return [part for part in parts if part.text]


def _part(shape: ShapedFields, name: str, values: Mapping[str, Any]) -> Part:
    one = shape.by_name.get(name)
    if one is None or one.is_secret:
        return Part(NOTHING_YET)
    value = shape.fixed.get(name, values.get(name, one.default))
    shown = any(other.name == name for other in shape.shown)
    return Part(_short(word_of(value)) or NOTHING_YET, one.key if shown else "")


def _short(word: str) -> str:
    return word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}…"
