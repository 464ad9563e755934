"""What has to run again above an upstream_failed index: cleared alone it would fail again at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from panel.domain import states
from panel.retries.structure import Structure

States = Mapping[str, Mapping[int, str | None]]
"""``{task_id: {map_index: state}}`` of the tasks above."""

_FAILED = frozenset({states.FAILED, states.UPSTREAM_FAILED})


def failed_above(structure: Structure, task_id: str, indices: frozenset[int], above: States) -> dict[str, set[int]]:
    """The failed instances that made these indices upstream_failed, with what failed for them in turn.

    Inside a mapped group that is the same index; outside it, every failed instance of the upstream task.
    """
    needed: dict[str, set[int]] = {}
    waiting = [(task_id, indices)]
    while waiting:
        task, wanted = waiting.pop()
        for other in structure.upstream.get(task, ()):
            failed = _related(structure, other, task, wanted, above, _FAILED)
            fresh = failed - needed.setdefault(other, set())
            needed[other] |= fresh
            blocked = frozenset(index for index in fresh if above[other][index] == states.UPSTREAM_FAILED)
            if blocked:
                waiting.append((other, blocked))
    return {task: found for task, found in needed.items() if found}


def unfinished_above(
    structure: Structure, task_id: str, indices: frozenset[int], above: States
) -> dict[str, frozenset[int]]:
    """Direct upstream tasks that still run, and which of the indices wait for them."""
    found = {}
    for other in structure.upstream.get(task_id, ()):
        unfinished = frozenset(state for state in above.get(other, {}).values() if state not in states.FINISHED)
        running = _related(structure, other, task_id, indices, above, unfinished)
        if running:
            found[other] = indices & running if structure.same_group(other, task_id) else indices
    return found


def _related(
    structure: Structure,
    other: str,
    task_id: str,
    indices: frozenset[int],
    above: States,
    wanted: frozenset[str | None],
) -> frozenset[int]:
    together = structure.same_group(other, task_id)
    return frozenset(
        index for index, state in above.get(other, {}).items() if state in wanted and (not together or index in indices)
    )
