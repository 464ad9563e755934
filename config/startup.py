"""What a process does once, when everything is loaded."""

from __future__ import annotations

import gc
import sys
from typing import Final

YOUNG: Final = 10_000
"""Objects that are made before the collector looks at the youngest: what a request leaves behind. With Python's 700 it
looks several times in each request for a list, for a twentieth of its time."""

SWITCH_SECONDS: Final = 0.001
"""How long a thread waits for another one's Python. With Python's 0.005 each statement of a bulk write ends by waiting
as long as it took, while the next rows are prepared beside it."""


def settle_in() -> None:
    """Take what was loaded out of the garbage collector's sight, as it stays for good, and let threads alternate.

    Without the first each thorough collection looks through all of Django: 0.1 s, several times in a request that makes
    10,000 rows.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
    sys.setswitchinterval(SWITCH_SECONDS)
