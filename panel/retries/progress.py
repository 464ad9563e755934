"""How fast a job goes, and how long the rest may take. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """``per_minute`` results came; ``eta_seconds`` until the last; ``None`` while nothing tells."""

    done: int
    total: int
    per_minute: float | None = None
    eta_seconds: float | None = None

    @classmethod
    def of(cls, *, settled: int, open_items: int, total: int, started_at: datetime | None, now: datetime) -> Progress:
        """``settled`` are sent items with a result, ``open_items`` those without a final state."""
        done = total - open_items
        if started_at is None or not settled or not open_items:
            return cls(done, total)
        minutes = (now - started_at).total_seconds() / 60
        if minutes <= 0:
            return cls(done, total)
        per_minute = settled / minutes
        return cls(done, total, per_minute, open_items / per_minute * 60)
