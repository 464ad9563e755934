"""A task log as a page shows it: Airflow's groups folded, levels told apart, tracebacks under their line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from panel.airflow import LogEntry

GROUP_START: Final = "::group::"
GROUP_END: Final = "::endgroup::"
FRAMES_SHOWN: Final = 40
LINES_SHOWN: Final = 5_000

_SEVERITY: Final = {"debug": 0, "info": 1, "warning": 2, "warn": 2, "error": 3, "exception": 3, "critical": 4}
LEVELS: Final = {"info": 1, "warning": 2, "error": 3}
"""What a reader may ask for: this level and worse."""


@dataclass(frozen=True, slots=True)
class Line:
    """``kind`` is ``error``, ``warning`` or ``plain``; ``detail`` an exception with its frames, as text."""

    text: str
    at: datetime | None = None
    level: str = ""
    logger: str = ""
    detail: str = ""

    is_group: bool = field(default=False, init=False)

    @property
    def severity(self) -> int:
        return 3 if self.detail else _SEVERITY.get(self.level.lower(), 1)

    @property
    def kind(self) -> str:
        return "error" if self.severity >= 3 else "warning" if self.severity == 2 else "plain"

    @property
    def failing(self) -> bool:
        return self.kind == "error"


@dataclass(frozen=True, slots=True)
class Group:
    """Lines between ``::group::`` and ``::endgroup::``; one with an error inside is shown open."""

    title: str
    lines: list[Line]

    is_group: bool = field(default=True, init=False)

    @property
    def failing(self) -> bool:
        return any(line.failing for line in self.lines)


def newest(entries: Sequence[LogEntry]) -> tuple[Sequence[LogEntry], int]:
    """As many of the last entries as a page can show, and how many there are before them."""
    before = max(0, len(entries) - LINES_SHOWN)
    return entries[before:], before


def fold(entries: Iterable[LogEntry], *, level: str = "") -> list[Line | Group]:
    """Lines and groups in order. With a ``level`` only lines of that level and worse; no empty groups."""
    least = LEVELS.get(level, 0)
    folded: list[Line | Group] = []
    group: Group | None = None
    for line in _lines(entries):
        if line.text.startswith(GROUP_START):
            group = Group(line.text.removeprefix(GROUP_START).strip() or "…", [])
            folded.append(group)
        elif line.text.startswith(GROUP_END):
            group = None
        elif line.severity >= least:
            (group.lines if group is not None else folded).append(line)
    return [entry for entry in folded if not isinstance(entry, Group) or entry.lines]


def text_lines(entries: Iterable[LogEntry]) -> Iterator[str]:
    """The log as plain text, for a file."""
    for line in _lines(entries):
        head = [line.at.isoformat() if line.at else "", f"[{line.level.upper()}]" if line.level else "", line.logger]
        yield " ".join([*filter(None, head), line.text])
        if line.detail:
            yield line.detail


def _lines(entries: Iterable[LogEntry]) -> Iterator[Line]:
    for entry in entries:
        yield Line(
            text=entry.event,
            at=entry.timestamp,
            level=entry.level or "",
            logger=entry.logger or "",
            detail=_traceback(entry),
        )


def _traceback(entry: LogEntry) -> str:
    parts = []
    for error in entry.error_detail or []:
        head = f"{error.exc_type}: {error.exc_value}" if error.exc_value else error.exc_type
        frames = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in error.frames[-FRAMES_SHOWN:]]
        parts.append("\n".join([head, *frames]))
    return "\n\n".join(parts)
