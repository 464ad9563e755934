"""The hosts that options of launch forms may be read from, as the settings name them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_HOST: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
PRIVATE: Final = "private"


class MalformedHost(ValueError):
    """What is wrong with an entry."""


@dataclass(frozen=True, slots=True)
class OptionHost:
    """``port`` is ``None`` for the usual one of the scheme. ``is_private``: its address may be a private one."""

    name: str
    port: int | None
    is_private: bool


def option_hosts_from(text: str) -> list[OptionHost]:
    """``inventory.example.com, cmdb.example.lan:8443 private``. Raises MalformedHost."""
    return [_host(part.split()) for part in text.split(",") if part.strip()]


def _host(words: list[str]) -> OptionHost:
    if len(words) > 2 or (len(words) == 2 and words[1] != PRIVATE) or not _HOST.fullmatch(words[0]):
        raise MalformedHost(f"“{' '.join(words)[:80]}” is not of the form: host, host:port, or either and “{PRIVATE}”")
    name, colon, port = words[0].rpartition(":") if not words[0].endswith("]") else (words[0], "", "")
    if not colon:
        name, port = words[0], ""
    if port and not 0 < int(port) < 65_536:
        raise MalformedHost(f"“{words[0][:80]}” has no such port")
    return OptionHost(name.strip("[]").lower(), int(port) if port else None, len(words) == 2)
