"""``airflow.instances``: task instances, their tries, and the calls that change them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final

import msgspec

from panel.airflow import errors
from panel.airflow.addresses import API, path
from panel.airflow.capabilities import Capabilities
from panel.airflow.models import ClearedInstance, TaskInstance, TaskInstanceDetails, Try
from panel.airflow.ordered_pages import in_order, read_ahead
from panel.airflow.paging import BULK_PAGE, PAGE, Page, by_offset, by_post, cursor_pages
from panel.airflow.runs import utc
from panel.airflow.transport import Params, Patience, Transport

Target = tuple[str, int] | str
"""What to clear: one index of a task, or a whole task by its id."""

FIRST_PAGES: Final = 2_600
"""Rows of a page among the first 10,000. Airflow needs as long for four of them as for one of 10,000, and each is
worked on while it makes the next. Further on a page costs Airflow half a second before its first row, for it sorts them
all: there fewer pages are cheaper. (The 600 spare 10,000 and 100,000 rows a last page of almost none.)"""

INDICES_A_LOOK: Final = 100
"""As many rows as most servers give in a page, and an address that every proxy takes."""
SHORTEST_STRETCH: Final = 20
DEEPEST_STRETCH: Final = 10_000
"""Airflow walks over what comes before a stretch: from about here on single indices cost it less."""

_BULK = f"{API}/dags/~/dagRuns/~/taskInstances/list"


class _Instances(Page[TaskInstance], rename={"rows": "task_instances"}):
    rows: list[TaskInstance]


class _Cleared(Page[ClearedInstance], rename={"rows": "task_instances"}):
    rows: list[ClearedInstance]


class _Tries(Page[Try], rename={"rows": "task_instances"}):
    rows: list[Try]


class _Refused(msgspec.Struct):
    error: str = ""


class _Updated(msgspec.Struct):
    errors: list[_Refused] = msgspec.field(default_factory=list)


class _Bulk(msgspec.Struct):
    update: _Updated | None = None


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

    def all_pages(self, dag_id: str, run_id: str, task_id: str) -> Generator[list[TaskInstance]]:
        """All instances of one task by map_index, at most 10,000 a page, the next page read while one is at work.

        Each page holds every row between its first and its last, as they were at one moment; whatever is there from the
        first request to the last is in some page, the row with map_index -1 included. An unknown run or task gives one
        empty page.
        """
        body = {"dag_ids": [dag_id], "dag_run_ids": [run_id], "task_ids": [task_id], "order_by": "map_index"}

        def read(offset: int) -> Page[TaskInstance]:
            limit = FIRST_PAGES if offset < BULK_PAGE else BULK_PAGE
            return self._transport.list_by_post(_BULK, _Instances, {**body, "page_limit": limit, "page_offset": offset})

        return read_ahead(in_order(read, _map_index))

    def at(self, dag_id: str, run_id: str, task_id: str, indices: Sequence[int]) -> list[TaskInstance]:
        """These indices of one task, a stretch in one request, others a hundred a request: an eighth and a quarter of
        what a dry run costs Airflow. What is not there is left out. Raises NotFound for an unknown run, Unsupported
        before 3.1, which lists all of them.
        """
        capabilities = self._capabilities()
        if not capabilities.lists_indices:
            raise errors.Unsupported(
                f"Airflow {capabilities.version} cannot list single indices; 3.1 or newer is needed."
            )
        if (stretch := self._stretch(dag_id, run_id, task_id, indices)) is not None:
            return stretch
        address = path(API, "dags", dag_id, "dagRuns", run_id, "taskInstances")
        rows: list[TaskInstance] = []
        for start in range(0, len(indices), INDICES_A_LOOK):
            wanted: Params = [("map_index", index) for index in indices[start : start + INDICES_A_LOOK]]
            rows += by_offset(self._transport, address, _Instances, [("task_id", task_id), *wanted], key=_identity)
        return rows

    def _stretch(self, dag_id: str, run_id: str, task_id: str, indices: Sequence[int]) -> list[TaskInstance] | None:
        """Indices that follow each other, found at the place that their numbers say; ``None`` where they do not, or are
        not there: an index may be missing before them."""
        first = indices[0] if indices else DEEPEST_STRETCH + 1
        wanted = list(range(first, first + len(indices)))
        if list(indices) != wanted or not (SHORTEST_STRETCH <= len(wanted) <= BULK_PAGE and first <= DEEPEST_STRETCH):
            return None
        body = {
            "dag_ids": [dag_id], "dag_run_ids": [run_id], "task_ids": [task_id], "order_by": "map_index",
            "page_limit": len(wanted), "page_offset": first,
        }  # fmt: skip
        rows = self._transport.list_by_post(_BULK, _Instances, body).rows
        return rows if [row.map_index for row in rows] == wanted else None

    def changed_since(self, dag_id: str, run_id: str, task_id: str, since: datetime) -> Iterator[TaskInstance]:
        """The instances of one task that changed at or after ``since``, by map_index, the row with -1 included; a page
        as large as the server gives it (100 rows, mostly) at a time.

        Airflow stamps a row before it commits it: subtract a margin (AIRFLOW.md §3). A cleared instance comes with a
        new ``id``. What changed before the first request comes, while others come and go. Raises NotFound for an
        unknown run, ValueError for a time without a zone.
        """
        address = path(API, "dags", dag_id, "dagRuns", run_id, "taskInstances")
        params: Params = [("task_id", task_id), ("updated_at_gte", utc(since)), ("order_by", "map_index")]
        if self._capabilities().cursors:
            return chain.from_iterable(cursor_pages(self._transport, address, _Instances, params))

        def read(offset: int) -> Page[TaskInstance]:
            return self._transport.read(address, _Instances, [*params, ("limit", PAGE), ("offset", offset)])

        return _each_once(in_order(read, _map_index))

    def count(self, dag_id: str, run_id: str, task_id: str) -> int:
        """How many mapped instances (map_index >= 0) there are, removed ones included; 0 before expansion."""
        address = path(API, "dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "listMapped")
        return self._counted(address, [])

    def count_changed_since(self, dag_id: str, run_id: str, since: datetime, *, task_id: str = "") -> int:
        """How many instances of this task, or of the whole run, changed at or after ``since``: one light request.

        Each heartbeat of a running instance is a change (AIRFLOW.md §3); a note alone, or a row that vanished, is none.
        The margin is the caller's, as in ``changed_since``. Raises NotFound for an unknown run.
        """
        address = path(API, "dags", dag_id, "dagRuns", run_id, "taskInstances")
        task: Params = [("task_id", task_id)] if task_id else []
        return self._counted(address, [*task, ("updated_at_gte", utc(since))])

    def _counted(self, address: str, params: Params) -> int:
        total = self._transport.read(address, _Instances, [*params, ("limit", 0)]).total_entries
        if total is None:
            raise errors.BadPayload("Airflow did not say how many instances there are.")
        return total

    def get(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> TaskInstanceDetails:
        return self._transport.read(_address(dag_id, run_id, task_id, map_index), TaskInstanceDetails)

    def tries(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[Try]:
        """All tries, oldest first, the current one included."""
        return self._transport.read(_address(dag_id, run_id, task_id, map_index) + "/tries", _Tries).rows

    def clear(  # noqa: PLR0913 - all but one of what is told to Airflow are keywords
        self,
        dag_id: str,
        run_id: str,
        targets: Sequence[Target],
        *,
        dry_run: bool,
        include_downstream: bool = False,
        include_upstream: bool = False,
        reset_dag_runs: bool = True,
        run_on_latest_version: bool = False,
        note: str = "",
        patience: Patience | None = None,
    ) -> list[ClearedInstance]:
        """Clear these instances whatever their state, and answer what was (``dry_run``: would be) cleared.

        Rows of a dry run show current states. ``patience`` is for the real clear: Airflow needs a while for many
        (AIRFLOW.md §5). ``note`` and ``prevent_running_task`` are sent where the server knows them; with the latter a
        running instance among the targets raises Conflict and nothing is cleared. ``run_on_latest_version`` moves
        instances and run to the Dag's latest version. Raises Unsupported where the server does not know that, or
        would clear every index of a task instead of those named (AIRFLOW.md §12), ValueError without targets: Airflow
        would take that for the whole run.
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
        if run_on_latest_version:
            if not capabilities.clear_latest_version:
                raise errors.Unsupported(
                    f"Airflow {capabilities.version} cannot run cleared instances on the latest version of their Dag; "
                    "3.1 or newer is needed."
                )
            body["run_on_latest_version"] = True
        if note and capabilities.clear_note:
            body["note"] = note
        address = path(API, "dags", dag_id, "clearTaskInstances")
        if dry_run:
            return self._transport.list_by_post(address, _Cleared, body).rows
        return self._transport.write("POST", address, _Cleared, body, patience=patience).rows

    def mark(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        indices: Sequence[int],
        state: str,
        note: str = "",
        *,
        patience: Patience | None = None,
    ) -> list[str]:
        """Mark these indices of one task, as ``set_state`` does; what Airflow says about those it did not mark.

        One request where the server has it, else one an index. Airflow stops at the first that it cannot mark and keeps
        those before it, in no order that can be relied on, and names what it did only from 3.2.0 on: read the instances
        afterwards. What is not there is passed over. -1 stands for a task that is not mapped. ``patience`` holds for
        each request.
        """
        if not self._capabilities().bulk_marks:
            addresses = [_address(dag_id, run_id, task_id, index) for index in indices]
            return [said for address in addresses if (said := self._mark_one(address, state, note, patience))]
        more = {"note": note} if note else {}
        entities = [{"task_id": task_id, "map_index": index, "new_state": state, **more} for index in indices]
        action = {"action": "update", "entities": entities, "action_on_non_existence": "skip"}
        address = path(API, "dags", dag_id, "dagRuns", run_id, "taskInstances")
        answer = self._transport.write("PATCH", address, _Bulk, {"actions": [action]}, patience=patience)
        return [one.error for one in answer.update.errors] if answer.update else []

    def _mark_one(self, address: str, state: str, note: str, patience: Patience | None) -> str:
        body = {"new_state": state} | ({"note": note} if note else {})
        try:
            self._transport.write("PATCH", address, msgspec.Raw, body, patience=patience)
        except (errors.Conflict, errors.NotFound) as error:
            return error.detail
        return ""

    def set_state(self, dag_id: str, run_id: str, task_id: str, map_index: int, state: str, note: str = "") -> None:
        """Mark as ``success``, ``failed`` or ``skipped``; Conflict when it is already.

        Nothing of it runs again, but Airflow clears every failed and upstream_failed instance downstream, of whatever
        index, and restarts a finished run for them (AIRFLOW.md §5). A process that runs is ended at its next heartbeat.
        """
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


def _each_once(pages: Iterator[list[TaskInstance]]) -> Iterator[TaskInstance]:
    last = -sys.maxsize
    for page in pages:
        for row in page:
            if row.map_index > last:
                last = row.map_index
                yield row


def _map_index(row: TaskInstance) -> int:
    return row.map_index


def _refuse_widening(targets: Sequence[Target], capabilities: Capabilities, *, relatives: bool) -> None:
    if capabilities.clears_exact_indices or all(isinstance(target, str) for target in targets):
        return
    tasks = {target if isinstance(target, str) else target[0] for target in targets}
    if relatives or len(tasks) > 1:
        raise errors.Unsupported(
            f"Airflow {capabilities.version} would clear every index of these tasks instead of the chosen ones; "
            "3.1.1 or newer is needed. Without other tasks in the same request, one task's indices can be cleared."
        )
