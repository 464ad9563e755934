"""Values that tasks return, as far as they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored of a value: itself, or a preview of it when ``shortened``."""

    value: Any
    shortened: bool = False
