"""What a launch form makes of a Dag's params: which are shown, fixed or hidden, and what their options depend on. Pure.

Stored and sent as ``{"name", "mode", "value", "title", "help", "options"}``, in the order of the form. ``value`` is the
fixed value, or of a shown param the form's own default; it is left out where there is none. ``options`` are
``{"on": param, "table": {value: [options]}}`` or ``{"on": param or "", "url": "https://host/list?env={param}"}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from panel.launches.fields import Field, Kind

PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
DEPENDING: Final = frozenset({Kind.STRING, Kind.ENUM, Kind.MULTI_SELECT, Kind.STRINGS})
"""Kinds whose options may depend on another param."""
DECIDING: Final = frozenset({Kind.STRING, Kind.ENUM, Kind.BOOLEAN, Kind.INTEGER, Kind.NUMBER, Kind.DATE, Kind.CONST})
"""Kinds that others may depend on: their value is one word."""


class Mode(StrEnum):
    """``hidden``: not asked for and not sent, so that the Dag's own default holds, whatever it is by then."""

    SHOWN = "shown"
    FIXED = "fixed"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Options:
    """Where the options of a param come from: ``table`` by the value of the param ``on``, or ``url``."""

    on: str
    table: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    url: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """One param in a form. ``has_value``: there is a fixed value, or an own default."""

    name: str
    mode: Mode = Mode.SHOWN
    has_value: bool = False
    value: Any = None
    title: str = ""
    help: str = ""
    options: Options | None = None


def shapes_of(stored: Sequence[Mapping[str, Any]]) -> list[Shape]:
    """From what is stored, or was sent and checked."""
    return [
        Shape(
            name=one["name"],
            mode=Mode(one["mode"]),
            has_value="value" in one,
            value=one.get("value"),
            title=one.get("title", ""),
            help=one.get("help", ""),
            options=_options(one.get("options")),
        )
        for one in stored
    ]


def stored_shapes(shapes: Sequence[Shape]) -> list[dict[str, Any]]:
    return [_stored(shape) for shape in shapes]


def word_of(value: Any) -> str:
    """A deciding value as it stands in a table: a text as it is, anything else as JSON; ``""`` for none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def placeholders(words: str) -> list[str]:
    """The params that words such as ``Deploy {version}`` name, in order."""
    return [name.strip() for name in PLACEHOLDER.findall(words)]


def may_depend(one: Field) -> bool:
    return one.kind in DEPENDING and not one.is_secret


def may_decide(one: Field) -> bool:
    return one.kind in DECIDING and not one.is_secret


def _options(stored: Mapping[str, Any] | None) -> Options | None:
    if not stored:
        return None
    return Options(stored.get("on", ""), stored.get("table") or {}, stored.get("url", ""))


def _stored(shape: Shape) -> dict[str, Any]:
    stored: dict[str, Any] = {"name": shape.name, "mode": shape.mode.value}
    if shape.has_value:
        stored["value"] = shape.value
    if shape.title:
        stored["title"] = shape.title
    if shape.help:
        stored["help"] = shape.help
    if shape.options is not None:
        source = {"url": shape.options.url} if shape.options.url else {"table": dict(shape.options.table)}
        stored["options"] = {"on": shape.options.on, **source}
    return stored
