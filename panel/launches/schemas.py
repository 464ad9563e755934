"""Reading JSON schemas that anybody may have written: whatever has an odd shape counts as absent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def types_of(schema: Schema) -> set[str]:
    given = schema.get("type")
    names = given if isinstance(given, list) else [given]
    return {name for name in names if isinstance(name, str)}


def list_of(schema: Schema, name: str) -> list[Any]:
    value = schema.get(name)
    return value if isinstance(value, list) else []


def text_of(schema: Schema, name: str) -> str:
    value = schema.get(name)
    return value.strip() if isinstance(value, str) else ""


def properties_of(schema: Schema) -> dict[str, Schema]:
    """The properties of an object's schema, as far as they are schemas."""
    given = schema.get("properties")
    found = given if isinstance(given, Mapping) else {}
    return {name: one for name, one in found.items() if isinstance(name, str) and isinstance(one, Mapping)}


def holds_secret(schema: Schema) -> bool:
    """Whether values of this schema are never shown: ``format: password`` or ``writeOnly`` anywhere in it."""
    pending: list[Any] = [schema]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, Mapping):
            if part.get("format") == "password" or part.get("writeOnly") is True:
                return True
            pending.extend(part.values())
    return False
