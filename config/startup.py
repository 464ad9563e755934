"""What a process does once, when everything is loaded."""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 10_000
"""Objects that are made before the collector looks at the youngest: what a request leaves behind. With Python's 700 it
looks several times in each request for a list, for a twentieth of its time."""


def keep_what_is_loaded() -> None:
    """Take what was loaded out of the garbage collector's sight: it stays for good.

    Without it each thorough collection looks through all of Django: 0.1 s, several times in a request that makes
    10,000 rows.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
