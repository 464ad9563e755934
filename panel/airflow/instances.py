"""``airflow.instances``: task instances, their tries, and the calls that change them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from panel.airflow import errors
from panel.airflow.addresses import API, path
from panel.airflow.capabilities import Capabilities
from panel.airflow.models import TaskInstance, Try
from panel.airflow.paging import Page, by_cursor, by_offset, by_post
from panel.airflow.runs import utc
from panel.airflow.transport import Params, Transport

Target = tuple[str, int] | str
"""What to clear: one index of a task, or a whole task by its id."""

_BULK = f"{API}/dags/~/dagRuns/~/taskInstances/list"


class _Instances(Page[TaskInstance], rename={"rows": "task_instances"}):
    rows: list[TaskInstance]


class _Tries(Page[Try], rename={"rows": "task_instances"}):
    rows: list[Try]


class InstancesNamespace:
    def __init__(self, transport: Transport, capabilities: Callable[[], Capabilities]) -> None:
        self._transport = transport
        self._capabilities = capabilities

    def bulk(
        self, dag_id: str, run_id: str, task_ids: Sequence[str] = (), *, states: Sequence[str | None] | None = None
    ) -> list[TaskInstance]:
        """All instances of these tasks (of the whole run when none is named), 10,000 a request.

        The row with map_index -1 is among them. ``states`` may hold ``None`` for "no status". An unknown run or task
        gives an empty list. Ordered by map_index.
        """
        body: dict[str, Any] = {"dag_ids": [dag_id], "dag_run_ids": [run_id], "order_by": "map_index"}
        if task_ids:
            body["task_ids"] = list(task_ids)
        if states is not None:
            body["state"] = list(states)
        return by_post(self._transport, _BULK, _Instances, body, key=_identity)

    def changed_since(self, dag_id: str, run_id: str, task_id: str, since: datetime) -> list[TaskInstance]:
        """The instances of one task that changed at or after ``since``, the row with map_index -1 included.

        Airflow stamps a row before it commits it: subtract a margin (AIRFLOW.md §3). A cleared instance comes with a
        new ``id``. Raises NotFound for an unknown run, ValueError for a time without a zone.
        """
        address = path(API, "dags", dag_id, "dagRuns", run_id, "taskInstances")
        params: Params = [("task_id", task_id), ("updated_at_gte", utc(since)), ("order_by", "map_index")]
        if self._capabilities().cursors:
            return by_cursor(self._transport, address, _Instances, params, key=_identity)
        return by_offset(self._transport, address, _Instances, params, key=_identity)

    def count(self, dag_id: str, run_id: str, task_id: str) -> int:
        """How many mapped instances (map_index >= 0) there are, removed ones included; 0 before expansion."""
        address = path(API, "dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "listMapped")
        total = self._transport.read(address, _Instances, [("limit", 0)]).total_entries
        if total is None:
            raise errors.BadPayload("Airflow did not say how many instances there are.")
        return total

    def get(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> TaskInstance:
        return self._transport.read(_address(dag_id, run_id, task_id, map_index), TaskInstance)

    def tries(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[Try]:
        """All tries, oldest first, the current one included."""
        return self._transport.read(_address(dag_id, run_id, task_id, map_index) + "/tries", _Tries).rows

    def clear(
        self,
        dag_id: str,
        run_id: str,
        targets: Sequence[Target],
        *,
        dry_run: bool,
        include_downstream: bool = False,
        include_upstream: bool = False,
        reset_dag_runs: bool = True,
        note: str = "",
    ) -> list[TaskInstance]:
        """Clear these instances whatever their state, and answer what was (``dry_run``: would be) cleared.

        Rows of a dry run show current states. ``note`` and ``prevent_running_task`` are sent where the server knows
        them; with the latter a running instance among the targets raises Conflict and nothing is cleared. Raises
        Unsupported where the server would clear every index of a task instead of those named (AIRFLOW.md §12),
        ValueError without targets: Airflow would take that for the whole run.
        """
        if not targets:
            raise ValueError("Nothing to clear: no targets were given.")
        capabilities = self._capabilities()
        _refuse_widening(targets, capabilities, relatives=include_downstream or include_upstream)
        body: dict[str, Any] = {
            "dry_run": dry_run,
            "dag_run_id": run_id,
            "task_ids": [target if isinstance(target, str) else list(target) for target in targets],
            "only_failed": False,
            "only_running": False,
            "include_downstream": include_downstream,
            "include_upstream": include_upstream,
            "include_past": False,
            "include_future": False,
            "reset_dag_runs": reset_dag_runs,
        }
        if capabilities.clear_prevent_running:
            body["prevent_running_task"] = True
        if note and capabilities.clear_note:
            body["note"] = note
        address = path(API, "dags", dag_id, "clearTaskInstances")
        if dry_run:
            return self._transport.list_by_post(address, _Instances, body).rows
        return self._transport.write("POST", address, _Instances, body).rows

    def set_state(self, dag_id: str, run_id: str, task_id: str, map_index: int, state: str, note: str = "") -> None:
        """Mark as ``success``, ``failed`` or ``skipped`` without running anything."""
        body = {"new_state": state} | ({"note": note} if note else {})
        self._transport.write("PATCH", _address(dag_id, run_id, task_id, map_index), msgspec.Raw, body)

    def set_note(self, dag_id: str, run_id: str, task_id: str, map_index: int, note: str) -> None:
        self._transport.write("PATCH", _address(dag_id, run_id, task_id, map_index), msgspec.Raw, {"note": note})


def _address(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    index = () if map_index == -1 else (map_index,)
    return path(API, "dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, *index)


def _identity(row: TaskInstance) -> tuple[str, int]:
    """Not the ``id``, which every clear replaces."""
    return row.task_id, row.map_index


def _refuse_widening(targets: Sequence[Target], capabilities: Capabilities, *, relatives: bool) -> None:
    if capabilities.clears_exact_indices or all(isinstance(target, str) for target in targets):
        return
    tasks = {target if isinstance(target, str) else target[0] for target in targets}
    if relatives or len(tasks) > 1:
        raise errors.Unsupported(
            f"Airflow {capabilities.version} would clear every index of these tasks instead of the chosen ones; "
            "3.1.1 or newer is needed. Without other tasks in the same request, one task's indices can be cleared."
        )
