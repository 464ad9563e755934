"""``airflow.runs``: Dag runs."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from panel.airflow import errors
from panel.airflow.addresses import API, path
from panel.airflow.capabilities import Capabilities
from panel.airflow.models import DagRun
from panel.airflow.paging import Page, by_offset
from panel.airflow.transport import Transport, decoded

_FINISHED = frozenset({"success", "failed"})


class _Runs(Page[DagRun], rename={"rows": "dag_runs"}):
    rows: list[DagRun]


class _Waited(msgspec.Struct):
    state: str
    results: dict[str, Any] = msgspec.field(default_factory=dict)


def utc(moment: datetime) -> str:
    """A time as Airflow's filters take it; one without a zone would be answered with a 500. Raises ValueError."""
    if moment.tzinfo is None:
        raise ValueError("A time for Airflow needs a time zone.")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class RunsNamespace:
    def __init__(self, transport: Transport, capabilities: Callable[[], Capabilities]) -> None:
        self._transport = transport
        self._capabilities = capabilities

    def list(
        self,
        dag_id: str = "~",
        *,
        states: Sequence[str] = (),
        updated_after: datetime | None = None,
        dates: tuple[datetime, datetime] | None = None,
        run_type: str = "",
        limit: int = 100,
        order_by: str = "-run_after",
    ) -> builtins.list[DagRun]:
        """Up to ``limit`` runs of one Dag, or of all (``~``), newest first unless ordered otherwise.

        ``updated_after`` and ``dates`` (a range of logical dates) are inclusive. Raises NotFound for an unknown Dag.
        """
        params: builtins.list[tuple[str, str | int]] = [("order_by", order_by), *(("state", state) for state in states)]
        if updated_after is not None:
            params.append(("updated_at_gte", utc(updated_after)))
        if dates is not None:
            params += [("logical_date_gte", utc(dates[0])), ("logical_date_lte", utc(dates[1]))]
        if run_type:
            params.append(("run_type", run_type))
        return by_offset(
            self._transport, path(API, "dags", dag_id, "dagRuns"), _Runs, params, key=_identity, most=limit
        )

    def find(self, dag_id: str, run_id: str) -> DagRun:
        """One run, by the list: reading the run itself makes Airflow load all its task instances (AIRFLOW.md §0.1).

        Below 3.2.2 lists know no prefix, and the run itself is read. Raises NotFound.
        """
        if not self._capabilities().run_id_prefix:
            return self._transport.read(path(API, "dags", dag_id, "dagRuns", run_id), DagRun)
        # The prefix matches generously (punctuation and a last "9" or "z" are dropped), hence order and exact choice.
        params = [("run_id_prefix_pattern", run_id), ("order_by", "run_id")]
        runs = by_offset(
            self._transport,
            path(API, "dags", dag_id, "dagRuns"),
            _Runs,
            params,
            key=_identity,
            until=lambda run: run.dag_run_id == run_id,
        )
        for run in runs:
            if run.dag_run_id == run_id:
                return run
        raise errors.NotFound(404, f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found")

    def trigger(self, dag_id: str, *, run_id: str, conf: Mapping[str, Any], note: str = "") -> DagRun:
        """Start a run under an id of ours, so that a repeat cannot make a second one.

        Raises Conflict when the id exists, Invalid (with ``fields`` by param) when ``conf`` breaks a param's schema,
        NotFound for an unknown Dag.
        """
        body: dict[str, Any] = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        if note:
            body["note"] = note
        return self._transport.write("POST", path(API, "dags", dag_id, "dagRuns"), DagRun, body)

    def mark_failed(self, dag_id: str, run_id: str, *, note: str) -> DagRun:
        """End a run: what runs in it is marked failed, what waits is skipped, in one transaction of Airflow's.

        Of a mapped task of which an index runs, Airflow marks every index failed, those that succeeded too
        (tests/contract/test_hands.py). ``note`` takes the place of the run's, in the same transaction. A second time
        it does the same; a run that somebody restarted meanwhile is ended again. Raises NotFound.
        """
        body = {"state": "failed", "note": note}
        return self._transport.write("PATCH", path(API, "dags", dag_id, "dagRuns", run_id), DagRun, body)

    def results(self, dag_id: str, run_id: str, task_ids: Sequence[str]) -> dict[str, Any]:
        """All ``return_value``s of these tasks in a finished run, in one call (``/wait``, AIRFLOW.md §4).

        A mapped task gives the list of its values in the order of map_index, without indices: instances without a
        value are left out, not marked, so count before mapping back. An unmapped task gives its bare value; a task
        without any value is absent. Raises Unsupported below 3.3, NotFinished, and Forbidden without XCom access.
        """
        if not self._capabilities().ordered_results:
            raise errors.Unsupported("Reading all results at once needs Airflow 3.3 or newer.")
        if not task_ids:
            return {}
        answer = self._transport.request(
            "GET",
            path(API, "dags", dag_id, "dagRuns", run_id, "wait"),
            # An unfinished run would go on sending a line an interval; the first line says so and is all we read.
            params=[("interval", 60), *(("result", task_id) for task_id in task_ids)],
            accept="*/*",
            first_line=True,
        )
        waited = decoded(answer, _Waited)
        if waited.state not in _FINISHED:
            raise errors.NotFinished("The run has not finished: its results can be read one by one.")
        return waited.results


def _identity(run: DagRun) -> tuple[str, str]:
    return run.dag_id, run.dag_run_id
