"""The error groups of a mapped task, as rows of their own."""

from __future__ import annotations

from collections.abc import Sequence

from panel.mirror.models import Instance, MappedTask


def roll_up(mapped_task: MappedTask, changed: Sequence[Instance], *, dropped: bool) -> None:
    """Bring them up to date where failures came or went."""
