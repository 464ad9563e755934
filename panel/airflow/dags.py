"""``airflow.dags``: Dags, their params and their tasks."""

from __future__ import annotations

import builtins
from collections.abc import Iterator

import msgspec

from panel.airflow import errors
from panel.airflow.addresses import API, path
from panel.airflow.models import Dag, DagDetails, ImportError, Task  # noqa: A004 - Airflow's own name
from panel.airflow.paging import Page, by_offset
from panel.airflow.transport import Transport


class _Dags(Page[Dag], rename={"rows": "dags"}):
    rows: list[Dag]


class _Tasks(Page[Task], rename={"rows": "tasks"}):
    rows: list[Task]


class _ImportErrors(Page[ImportError], rename={"rows": "import_errors"}):
    rows: list[ImportError]


class _Node(msgspec.Struct):
    """A node of the grid's structure: a task, or a group with children."""

    id: str
    is_mapped: bool | None = None
    children: list[_Node] | None = None


class DagsNamespace:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> list[Dag]:
        """All Dags this login may read, without stale ones, ordered by id."""
        return by_offset(self._transport, f"{API}/dags", _Dags, [("order_by", "dag_id")], key=lambda dag: dag.dag_id)

    def details(self, dag_id: str) -> DagDetails:
        """One Dag with its params, in the order of declaration."""
        return self._transport.read(path(API, "dags", dag_id, "details"), DagDetails)

    def tasks(self, dag_id: str) -> builtins.list[Task]:
        """The tasks of the current version. ``is_mapped`` is false for tasks inside a mapped group."""
        return self._transport.read(path(API, "dags", dag_id, "tasks"), _Tasks).rows

    def mapped_task_ids(self, dag_id: str) -> builtins.list[str]:
        """The tasks that expand over map_index, those inside mapped task groups included, upstream first.

        From ``/tasks`` and, for the groups, from the private ``/ui/grid/structure`` (seen in 3.0.6 to 3.3.2); where
        that is missing or not allowed, ``/tasks`` alone.
        """
        tasks = self.tasks(dag_id)
        known = {task.task_id for task in tasks}
        plain = [task.task_id for task in tasks if task.is_mapped]
        try:
            nodes = self._transport.read(path("/ui/grid/structure", dag_id), list[_Node])
        except (errors.BadPayload, errors.Rejected):
            return plain
        # The structure merges older versions of the Dag; tasks that are gone are left out.
        in_order = [task_id for task_id in _mapped_leaves(nodes, inside=False) if task_id in known]
        return list(dict.fromkeys(in_order + plain))

    def import_errors(self) -> builtins.list[ImportError]:
        return by_offset(self._transport, f"{API}/importErrors", _ImportErrors, key=lambda error: error.import_error_id)


def _mapped_leaves(nodes: list[_Node], *, inside: bool) -> Iterator[str]:
    for node in nodes:
        mapped = inside or bool(node.is_mapped)
        if node.children is not None:
            yield from _mapped_leaves(node.children, inside=mapped)
        elif mapped:
            yield node.id
