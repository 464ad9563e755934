"""A Dag's structure as far as retries need it: what stands above a task, and which tasks share a mapped group. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Structure:
    """``upstream`` are the direct upstream task ids by task id; ``grouped`` the tasks inside mapped task groups.

    ``order`` is the declared order, which puts a task after its upstream tasks.
    """

    upstream: Mapping[str, frozenset[str]]
    downstream: Mapping[str, frozenset[str]]
    grouped: frozenset[str]
    order: Mapping[str, int]

    @classmethod
    def of(cls, tasks: Sequence[Mapping[str, Any]]) -> Structure:
        """From the mirror's ``Dag.tasks``."""
        downstream = {task["task_id"]: frozenset(task.get("downstream", ())) for task in tasks}
        upstream: dict[str, set[str]] = {task_id: set() for task_id in downstream}
        for task_id, below in downstream.items():
            for other in below:
                upstream.setdefault(other, set()).add(task_id)
        return cls(
            upstream={task_id: frozenset(above) for task_id, above in upstream.items()},
            downstream=downstream,
            grouped=frozenset(task["task_id"] for task in tasks if task.get("in_group")),
            order=_ordered(downstream, upstream),
        )

    def above(self, task_id: str) -> frozenset[str]:
        """Every task upstream of it, near and far."""
        return _reachable(task_id, self.upstream)

    def below(self, task_id: str) -> frozenset[str]:
        """Every task downstream of it, near and far."""
        return _reachable(task_id, self.downstream)

    def same_group(self, one: str, other: str) -> bool:
        """Whether index i of one task goes with index i of the other.

        Both must be inside a mapped group and share the outermost name of their ids (``deploy.build``,
        ``deploy.verify``). Two mapped groups inside one plain group look alike; Airflow's dry run, which is compared
        with the plan, tells them apart.
        """
        if one not in self.grouped or other not in self.grouped:
            return False
        group, dot, _ = one.partition(".")
        return bool(dot) and other.startswith(f"{group}.")

    def position(self, task_id: str) -> int:
        return self.order.get(task_id, len(self.order))


def _reachable(start: str, edges: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = list(edges.get(start, ()))
    while waiting:
        task_id = waiting.pop()
        if task_id not in found:
            found.add(task_id)
            waiting.extend(edges.get(task_id, ()))
    return frozenset(found)


def _ordered(downstream: Mapping[str, Iterable[str]], upstream: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Upstream before downstream; ties as declared."""
    open_above = {task_id: len(set(above)) for task_id, above in upstream.items()}
    ready = [task_id for task_id in downstream if not open_above.get(task_id)]
    order: dict[str, int] = {}
    while ready:
        task_id = ready.pop(0)
        order[task_id] = len(order)
        for other in sorted(downstream.get(task_id, ())):
            open_above[other] -= 1
            if not open_above[other]:
                ready.append(other)
    return order
