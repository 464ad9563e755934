"""Stacked bars: where each part begins and how wide it is, in percent, as SVG attributes (no inline style)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from panel.ui.looks import Look
from panel.ui.words import grouped_words

_LEAST: Final = 0.75
"""Percent: one failure of 100,000 must still be seen."""


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    look: Look
    count: int
    left: str
    width: str


@dataclass(frozen=True, slots=True)
class Bar:
    """``label`` is what a screen reader says: every count in words."""

    parts: Sequence[Part]
    total: int
    label: str


def bar_of(counts: Iterable[tuple[str, Look, int]], total: int | None = None) -> Bar:
    """A bar of these counts; with a ``total`` above their sum the rest stays empty."""
    present = [(name, look, count) for name, look, count in counts if count > 0]
    whole = max(total or 0, sum(count for _, _, count in present))
    widths = _widths([count / whole * 100 for _, _, count in present]) if whole else []
    parts, left = [], 0.0
    for (name, look, count), width in zip(present, widths, strict=True):
        parts.append(Part(name, look, count, f"{left:.3f}%", f"{width:.3f}%"))
        left += width
    label = ", ".join(f"{grouped_words(part.count)} {part.look.word}" for part in parts)
    return Bar(parts, whole, label)


def _widths(shares: list[float]) -> list[float]:
    """Tiny shares are widened at the cost of the wide ones, so that the sum stays."""
    widened = sum(_LEAST - share for share in shares if share < _LEAST)
    spare = sum(share - _LEAST for share in shares if share >= _LEAST)
    scale = 1 - widened / spare if spare else 1
    return [_LEAST if share < _LEAST else _LEAST + (share - _LEAST) * scale for share in shares]
