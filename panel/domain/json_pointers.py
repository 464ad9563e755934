"""JSON pointers (RFC 6901).

Resolved here, in a few lines that answer MISSING to any value: the packages for it raise in many ways, and this room
has no dependency.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

POINTER_LENGTH: Final = 200

_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


class MalformedPointer(ValueError):
    """What is wrong with the text of a pointer."""


class Missing:
    """What a pointer finds where there is nothing; ``None`` is a value of its own."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


def parts_of(pointer: str) -> tuple[str, ...]:
    """The reference tokens of a pointer, unescaped; none for the whole value. Raises MalformedPointer."""
    if not pointer:
        return ()
    if not pointer.startswith("/"):
        raise MalformedPointer(f"A pointer starts with a slash: /{pointer[:60]}")
    if _BAD_ESCAPE.search(pointer):
        raise MalformedPointer("In a pointer ~ stands only in ~0 (for ~) and ~1 (for /).")
    if len(pointer) > POINTER_LENGTH:
        raise MalformedPointer(f"A pointer has at most {POINTER_LENGTH} characters.")
    if "\x00" in pointer or any("\ud800" <= sign <= "\udfff" for sign in pointer):
        raise MalformedPointer("A pointer holds neither NUL nor half a character.")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))


def pointer_of(parts: Iterable[str]) -> str:
    """The pointer with these reference tokens."""
    return "".join("/" + escaped(part) for part in parts)


def escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def found_at(value: Any, parts: Iterable[str]) -> Any:
    """What is at this place of the value, or MISSING."""
    for part in parts:
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list) and _INDEX.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value
