"""Heavy data: a year of each segment, day by day, and the sums over all of them.

A segment's figures are worked out from its name, so that every try of it finds the same.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

JSON = dict[str, Any]

AUTOMATIC_TRIES = 3
SEGMENTS = ("consumer", "small-business", "enterprise", "public-sector")


class SourceUnavailable(Exception):
    """The segment's source did not answer; worth another try."""


class DaysMissing(Exception):
    """The segment's year has gaps: another try would find the same. It becomes a soft failure."""


class SegmentsMissing(Exception):
    """A total without a segment would be wrong."""


def segment_list() -> list[JSON]:
    """The list that is mapped: ``{"segment"}`` each."""
    return [{"segment": name} for name in SEGMENTS]


def year_of(segment: str, year: int, *, days_missing: int = 0) -> JSON:
    """The result of one instance, about 20 kB of JSON: ``{"segment", "status", "rows_processed", "days"}``.

    `days` has ``{"day", "orders", "revenue_cents"}`` for each day. Raises DaysMissing unless all days are there.
    """
    first, last = date(year, 1, 1), date(year, 12, 31)
    wanted = (last - first).days + 1
    days = [_day(segment, first + timedelta(days=number)) for number in range(wanted - days_missing)]
    if len(days) < wanted:
        raise DaysMissing(f"{wanted - len(days)} of {wanted} days are missing, the first is {_after(days, first)}")
    return {"segment": segment, "status": "ok", "rows_processed": sum(day["orders"] for day in days), "days": days}


def incomplete_segment(segment: str, error: DaysMissing) -> JSON:
    return {"segment": segment, "status": "failed", "error": str(error)}


def sum_up(segments: Sequence[JSON], results: Iterable[JSON]) -> JSON:
    """``{"segments", "missing", "orders", "revenue_cents", "best_day", "best_day_revenue_cents"}``, whatever the size
    of the results.

    Takes one result after the other and keeps a sum a day of it: `results` may be a lazy sequence that fetches each
    from the object storage. Counts against the list that was mapped: Airflow hands over only the XComs that exist.
    """
    names = [segment["segment"] for segment in segments]
    seen: set[str] = set()
    orders, revenue = 0, {}
    for result in results:
        if result["segment"] in names and result["status"] == "ok":
            seen.add(result["segment"])
            for day in result["days"]:
                orders += day["orders"]
                revenue[day["day"]] = revenue.get(day["day"], 0) + day["revenue_cents"]
    best = max(revenue, key=lambda day: (revenue[day], day), default=None)
    return {
        "segments": len(names),
        "missing": [name for name in names if name not in seen],
        "orders": orders,
        "revenue_cents": sum(revenue.values()),
        "best_day": best,
        "best_day_revenue_cents": revenue.get(best, 0),
    }


def require_all_segments(summary: JSON) -> None:
    if summary["missing"]:
        raise SegmentsMissing(
            f"{len(summary['missing'])} of {summary['segments']} segments are missing: {', '.join(summary['missing'])}"
        )


def _day(segment: str, day: date) -> JSON:
    drawn = int.from_bytes(hashlib.sha256(f"{segment}:{day}".encode()).digest()[:4], "big")
    orders = 400 + drawn % 1600 - (300 if day.weekday() > 4 else 0)
    return {"day": day.isoformat(), "orders": orders, "revenue_cents": orders * (2_000 + drawn % 997)}


def _after(days: Sequence[JSON], first: date) -> str:
    return (first + timedelta(days=len(days))).isoformat()
