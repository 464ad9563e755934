"""``airflow.bulk_reads``: the results of a whole mapped task at once, where the server has Mapboard's plug-in.

The plug-in is the package in ``airflow_plugin/``; docs/airflow-plugin.md describes what it serves. A server without it
answers its address with the HTML of Airflow's own pages, so the content type tells.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec import Struct

from panel.airflow import errors
from panel.airflow.addresses import path
from panel.airflow.transport import Params, Transport, decoded

if TYPE_CHECKING:
    from panel.airflow.capabilities import Capabilities

PREFIX: Final = "/mapboard"
CONTENT_TYPE: Final = "application/vnd.mapboard.mapped-results+json"
FORMAT: Final = 1
"""What these structs read. The plug-in counts it up when an older client could misread its answers."""
MOST_ROWS: Final = 10_000


class MappedResult(Struct, frozen=True):
    """One instance of a mapped task, with its result when it has succeeded and returned something.

    ``value`` is the JSON of Airflow's database, as ``xcoms.get`` gives it: with an object-storage backend a reference.
    ``size`` is the length of its text in bytes. A value above the server's limit is ``truncated``: its size comes
    without it, and ``xcoms.get`` reads it. ``timestamp`` says since when the value is there: one older than
    ``start_date`` belongs to an earlier try.
    """

    map_index: int
    state: str | None = None
    try_number: int = 0
    has_value: bool = False
    value: Any = None
    size: int | None = None
    truncated: bool = False
    timestamp: datetime | None = None
    start_date: datetime | None = None


class ResultsPage(Struct, frozen=True):
    """Rows in the order of map_index; ``next_after`` is where to go on, ``None`` after the last row."""

    rows: list[MappedResult]
    next_after: int | None = None


class _Format(Struct, frozen=True):
    format: int = 0


class _Answer(ResultsPage, frozen=True):
    format: int = 0


T = TypeVar("T", _Format, _Answer)


class BulkReadsNamespace:
    def __init__(self, transport: Transport, capabilities: Callable[[], Capabilities]) -> None:
        self._transport = transport
        self._capabilities = capabilities

    def available(self) -> bool:
        """Whether the server has the plug-in. Asked once, with the other capabilities, and kept with them."""
        return self._capabilities().bulk_reads

    def results(
        self, dag_id: str, run_id: str, task_id: str, *, after: int = -1, limit: int = MOST_ROWS
    ) -> ResultsPage:
        """Instances with map_index above ``after``, at most ``limit`` (1 to 10,000) of them, one request.

        A page may end before ``limit``, so that no answer grows without bound: go on with ``next_after`` until it is
        ``None``. Raises Unsupported without the plug-in, NotFound for a task that has no instance in this run (an
        unknown run, for one), Forbidden without read access to the Dag's task instances and XComs.
        """
        if not self.available():
            raise errors.Unsupported("This server has no plug-in for reading all results at once.")
        if after < -1 or not 1 <= limit <= MOST_ROWS:
            raise ValueError(f"Pages begin after -1 or later, and have 1 to {MOST_ROWS} rows.")
        address = path(PREFIX, "dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "results")
        return _read(self._transport, address, _Answer, [("after", after), ("limit", limit)])


def has_plugin(transport: Transport) -> bool:
    """Whether the server answers bulk reads in the format known here. It says so without a login, as ``/version``.

    Whatever else stands at that address means no: Airflow's pages, a proxy that lets only ``/api`` through, a later
    format. Raises only what says nothing about the plug-in: Unreachable, RateLimited, ServerFault.
    """
    try:
        _read(transport, f"{PREFIX}/format", _Format, login=False)
    except (errors.RateLimited, errors.ServerFault):
        raise
    except (errors.Rejected, errors.BadPayload, errors.Unsupported):
        return False
    return True


def _read(transport: Transport, address: str, kind: type[T], params: Params = (), *, login: bool = True) -> T:
    answer = transport.request("GET", address, params=params, accept=CONTENT_TYPE, login=login)
    if not answer.content_type.startswith(CONTENT_TYPE):
        raise errors.Unsupported("This server has no plug-in for reading all results at once (any more).")
    read = decoded(answer, kind)
    if read.format != FORMAT:
        raise errors.Unsupported(f"This server's plug-in answers in format {read.format}, which is not known here.")
    return read
