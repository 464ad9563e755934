"""``airflow.audit``: what people (and programs) changed in Airflow, by its own audit log."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from panel.airflow.addresses import API, path
from panel.airflow.models import AuditEntry
from panel.airflow.paging import Page, by_offset
from panel.airflow.runs import utc
from panel.airflow.transport import Params, Transport

MOST_ENTRIES: Final = 1_000


class _Entries(Page[AuditEntry], rename={"rows": "event_logs"}):
    rows: list[AuditEntry]


class AuditNamespace:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, dag_id: str, run_id: str, *, events: Sequence[str], since: datetime) -> builtins.list[AuditEntry]:
        """Entries of these kinds about one run (a deleted one too), the latest first, at most MOST_ENTRIES.

        ``events`` are the names of Airflow's API functions: ``patch_dag_run``, ``patch_task_instance`` … Raises
        Forbidden where the login may not read the audit log (simple auth manager: every role may).
        """
        params: Params = [
            ("dag_id", dag_id),
            ("run_id", run_id),
            ("after", utc(since)),
            ("order_by", "-when"),
            *(("included_events", event) for event in events),
        ]
        address = path(API, "eventLogs")
        return by_offset(self._transport, address, _Entries, params, key=_identity, most=MOST_ENTRIES)


def _identity(entry: AuditEntry) -> Any:
    return entry.event_log_id


def details(entry: AuditEntry) -> dict[str, Any]:
    """The request's body as Airflow kept it (its secrets masked); empty where that is no JSON object."""
    try:
        found = msgspec.json.decode(entry.extra or "{}")
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
