"""Resilient processing: what becomes of each item, and how the whole is judged.

The items' fates are drawn from a seed in exact numbers: a run can be repeated, its counts are known beforehand.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]

AUTOMATIC_TRIES = 3
FINE, FATAL, FLAKY, CRASH = "fine", "fatal", "flaky", "crash"


class FatalItemError(Exception):
    """Nothing can be done for this item: another try would find the same. It becomes a soft failure."""


class RecoverableItemError(Exception):
    """Something outside of the item; worth another try. Raised again, so that Airflow retries."""


class GateClosed(Exception):
    """Too many items crashed for good; whoever waits for the batch must not go on."""


@dataclass(frozen=True)
class Plan:
    """How many items there are and which shares of them (in percent) meet which fate."""

    items: int
    fatal_percent: float
    flaky_percent: float
    crash_percent: float
    seed: int

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "Plan":
        plan = cls(**{name: params[name] for name in cls.__dataclass_fields__})
        if plan.fatal_percent + plan.flaky_percent + plan.crash_percent > 100:
            raise ValueError("fatal_percent, flaky_percent and crash_percent add up to more than 100")
        return plan

    def counts(self) -> dict[str, int]:
        """Items by fate; they sum to `items`."""
        counts, left = {}, self.items
        for fate, percent in ((FATAL, self.fatal_percent), (FLAKY, self.flaky_percent), (CRASH, self.crash_percent)):
            counts[fate] = min(left, round(self.items * percent / 100))
            left -= counts[fate]
        return counts | {FINE: left}

    def fates(self) -> list[str]:
        """One fate an item, by index: the same for the same plan, spread over the batch."""
        shuffled = sorted(range(self.items), key=lambda index: hashlib.sha256(f"{self.seed}:{index}".encode()).digest())
        fates = [FINE] * self.items
        at = 0
        for fate, count in self.counts().items():
            for index in shuffled[at : at + count]:
                fates[index] = fate
            at += count
        return fates


def item_list(plan: Plan) -> list[JSON]:
    """The list that is mapped: ``{"id", "name"}`` an item."""
    return [{"id": index, "name": f"invoice-{index:04d}"} for index in range(plan.items)]


def process(item: JSON, fate: str, *, try_number: int, heals: str, fixed: bool) -> JSON:
    """The work on one item. heals: ``manual_retry`` (troubles end with the first try after the automatic ones) or
    ``switch`` (they last until `fixed`). Flaky items always come good within the automatic tries."""
    number = item["id"]
    if fate == FLAKY and try_number <= 1 + number % 2 and not fixed:
        raise RecoverableItemError(f"host 10.0.{number % 8}.17:5432 did not answer within {200 + number} ms")
    if fate == FATAL and _lasts(heals, fixed, try_number > 1):
        raise FatalItemError(f"schema mismatch in row {1000 + 7 * number}: column 'amount' is not a number")
    if fate == CRASH and _lasts(heals, fixed, try_number > AUTOMATIC_TRIES):
        if number % 3 == 0:
            raise KeyError(f"customer_{4000 + number}")
        raise ConnectionError(f"host 10.0.{number % 8}.99:5432 refused the connection after {30 + number} ms")
    return {"id": number, "status": "ok", "rows": 40 + number * 13 % 160}


def _lasts(heals: str, fixed: bool, retried: bool) -> bool:
    return not fixed and not (heals == "manual_retry" and retried)


def soft_failure(item: JSON, error: FatalItemError) -> JSON:
    return {"id": item["id"], "status": "failed", "error": str(error)}


def summarize(items: Sequence[JSON], results: Iterable[JSON]) -> JSON:
    """``{"total", "success", "soft_failure", "hard_failure", "hard_percent"}``.

    Counts against the list that was mapped, by id: instances that failed left no result (Airflow hands over only the
    XComs that exist, never None), so "hard" is what is missing.
    """
    expected = {item["id"] for item in items}
    seen = {result["id"]: result["status"] for result in results if result["id"] in expected}
    soft = sum(status == "failed" for status in seen.values())
    hard = len(expected) - len(seen)
    return {
        "total": len(expected),
        "success": len(seen) - soft,
        "soft_failure": soft,
        "hard_failure": hard,
        "hard_percent": round(100 * hard / len(expected), 2) if expected else 0.0,
    }


def require_gate(summary: JSON, *, gate_percent: float) -> None:
    """Raises GateClosed above (not at) `gate_percent` of hard failures."""
    if summary["total"] and 100 * summary["hard_failure"] / summary["total"] > gate_percent:
        raise GateClosed(
            f"{summary['hard_failure']} of {summary['total']} items failed for good "
            f"({summary['hard_percent']:g}%, the gate is {gate_percent:g}%)"
        )
