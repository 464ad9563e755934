"""What a mapped task's row says of its instances.

Each module has one verb, ``rolled_up``, that gives columns of the mapped task. Counts and error groups are brought up
to date with every write of rows, in its transaction, so that they always equal the rows. What reads every row is done
once a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from panel.mirror.models import Instance, MappedTask
from panel.mirror.sync.rollups import counts, error_groups, metrics, result_fields
from panel.mirror.sync.unread import Unread


def at_each_write(mapped_task: MappedTask, changed: Sequence[Instance | Unread]) -> dict[str, Any]:
    """Columns after these rows were written (and others dropped, perhaps); in the transaction of the write."""
    error_groups.roll_up(mapped_task, changed)
    return counts.rolled_up(mapped_task)


def after_pass(mapped_task: MappedTask) -> dict[str, Any]:
    """Columns once the rows are as the pass leaves them."""
    return metrics.rolled_up(mapped_task) | result_fields.rolled_up(mapped_task)
