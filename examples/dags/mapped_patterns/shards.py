"""Database shards: which there are, what leaves a shard and what does not, how the whole is judged."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Any

JSON = dict[str, Any]
Row = tuple[Any, ...]

AUTOMATIC_TRIES = 3
TABLE_PREFIX = "customers_"
READ_COLUMNS = ("customer_id", "email", "country", "signed_up_on")
"""Of the source. Its column `phone` is never read, so it cannot leak."""
KEPT_COLUMNS = ("shard", "customer_id", "email_hash", "country", "signed_up_on")


class NoShards(Exception):
    """The source database has no table of customers."""


class TooFewRows(Exception):
    """So many rows are missing that the target must not be used."""


class EmptyShard(Exception):
    """A shard without rows is a mistake upstream: what was loaded from it before stays. It becomes a soft failure."""


def shards_from(tables: Iterable[str]) -> list[JSON]:
    """The list that is mapped, ``{"shard", "source_table"}`` each: keyword arguments of the task that loads one."""
    found = sorted(table for table in tables if table.startswith(TABLE_PREFIX))
    if not found:
        raise NoShards(f"the source has no table whose name begins with {TABLE_PREFIX}")
    return [{"shard": table.removeprefix(TABLE_PREFIX), "source_table": table} for table in found]


def email_hash(email: str | None, secret: str) -> str | None:
    """A keyed SHA-256 as 64 hex digits: equal for equal addresses, and without the secret not found by trying
    addresses. Case and blanks around do not matter."""
    if email is None:
        return None
    return hmac.new(secret.encode(), email.strip().lower().encode(), hashlib.sha256).hexdigest()


def kept_row(row: Row, shard: str, secret: str) -> Row:
    """READ_COLUMNS → KEPT_COLUMNS."""
    customer_id, email, country, signed_up_on = row
    return shard, customer_id, email_hash(email, secret), country, signed_up_on


def empty_shard(shard: str, error: EmptyShard) -> JSON:
    return {"shard": shard, "status": "failed", "error": str(error)}


def summarize_shards(shards: Sequence[JSON], results: Iterable[JSON]) -> JSON:
    """``{"shards", "loaded", "missing", "rows_loaded"}``; `missing` are names.

    Counts against the list that was mapped: a failed instance leaves no result (Airflow hands over only the XComs that
    exist), so a shard without one is missing, as is one that was empty.
    """
    names = [shard["shard"] for shard in shards]
    rows = {result["shard"]: result["rows_loaded"] for result in results if result["status"] == "ok"}
    return {
        "shards": len(names),
        "loaded": sum(name in rows for name in names),
        "missing": [name for name in names if name not in rows],
        "rows_loaded": sum(rows.get(name, 0) for name in names),
    }


def require_volume(summary: JSON, *, least_rows: int) -> None:
    """Raises TooFewRows below (not at) `least_rows`."""
    if summary["rows_loaded"] < least_rows:
        missing = f"; missing: {', '.join(summary['missing'])}" if summary["missing"] else ""
        raise TooFewRows(f"{summary['rows_loaded']:,} rows were loaded, {least_rows:,} are the least{missing}")
