"""How far a job is, how fast it goes lately, and between which bounds the rest may take. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from panel.domain.metrics import Eta, Pace, eta_of

WINDOW_SECONDS: Final = 600.0
"""Results of so long ago still say how fast it goes."""
SLICES: Final = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """``per_minute`` results came lately; ``eta`` is ``None`` while too little tells, or nothing goes on by itself."""

    done: int
    total: int
    per_minute: float | None = None
    eta: Eta | None = None

    @classmethod
    def of(
        cls,
        *,
        total: int,
        open_items: int,
        slices: Sequence[int],
        seconds: float,
        moving: bool,
        soonest: float = 0.0,
    ) -> Progress:
        """``slices``: results that came in equal parts of the last ``seconds``; ``open_items``: without a final state;
        ``moving``: it goes on by itself; ``soonest``: what the policy makes the rest take at least, in seconds.
        """
        done, found = total - open_items, sum(slices)
        if not found or not open_items or seconds <= 0:
            return cls(done, total)
        pace = Pace(rate=found / seconds, finishes=found, burst=dispersion(slices))
        eta = eta_of(open_items, open_items, pace, longest=0.0) if moving else None
        if eta is not None and soonest > eta.low:
            eta = Eta(max(eta.seconds, soonest), soonest, max(eta.high, soonest))
        return cls(done, total, pace.rate * 60, eta)


def dispersion(slices: Sequence[int]) -> float:
    """Variance ÷ mean, at least 1: a watch finds results in bursts, which says little about their rate."""
    mean = sum(slices) / len(slices)
    variance = sum((n - mean) ** 2 for n in slices) / max(1, len(slices) - 1)
    return max(1.0, variance / mean) if mean else 1.0
