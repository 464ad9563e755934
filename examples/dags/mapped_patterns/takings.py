"""Backfill-conscious mapping: the takings of shops on a day. The same day and shop always give the same figures."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

JSON = dict[str, Any]

AUTOMATIC_TRIES = 3


class TillOffline(Exception):
    """Another try may find it again."""


class ShopsMissing(Exception):
    """The day is not complete; whoever waits for it must not go on."""


def shop_list(count: int) -> list[str]:
    """The list that is mapped, by name."""
    return [f"shop-{number:04d}" for number in range(count)]


def day_of(logical_date: dt.datetime | None) -> dt.date:
    """The day that a run is for; today where it was started by hand without one."""
    return (logical_date or dt.datetime.now(dt.UTC)).astimezone(dt.UTC).date()


def takings_of(shop: str, day: dt.date) -> JSON:
    """``{"shop", "day", "receipts", "cents"}``."""
    drawn = int.from_bytes(hashlib.sha256(f"{shop}:{day.isoformat()}".encode()).digest()[:4])
    receipts = 40 + drawn % 160
    return {"shop": shop, "day": day.isoformat(), "receipts": receipts, "cents": receipts * (500 + drawn % 1500)}


def summarize_day(shops: Sequence[str], results: Iterable[JSON], day: dt.date) -> JSON:
    """``{"day", "shops", "receipts", "cents"}`` over all shops. Raises ShopsMissing where one left no result.

    Counts against the list that was mapped: Airflow hands over only the results that exist.
    """
    by_shop = {result["shop"]: result for result in results}
    missing = [shop for shop in shops if shop not in by_shop]
    if missing:
        named = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise ShopsMissing(f"{len(missing)} of {len(shops)} shops are missing on {day}: {named}")
    found = [by_shop[shop] for shop in shops]
    return {
        "day": day.isoformat(),
        "shops": len(found),
        "receipts": sum(result["receipts"] for result in found),
        "cents": sum(result["cents"] for result in found),
    }
