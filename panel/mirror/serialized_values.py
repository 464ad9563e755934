"""What Airflow's serialisation makes of values that JSON does not know, shown plainly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def plainly(value: Any) -> Any:
    """The value without ``{"__classname__", "__data__"}`` around its parts: tuples and sets are lists, a time is its
    ISO text, anything else is what it is made of."""
    if isinstance(value, list):
        return [plainly(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "__classname__" not in value or "__data__" not in value:
        return {key: plainly(item) for key, item in value.items()}
    data = value["__data__"]
    if str(value["__classname__"]).endswith("DateTime") or value["__classname__"] == "datetime.datetime":
        return _time(data)
    return plainly(data)


def _time(data: Any) -> Any:
    seconds: Any = data.get("timestamp") if isinstance(data, dict) else data
    try:
        return datetime.fromtimestamp(float(seconds), UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return plainly(data)
