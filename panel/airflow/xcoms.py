"""``airflow.xcoms``: the values tasks return and push."""

from __future__ import annotations

from collections.abc import Callable

from panel.airflow.addresses import API, path
from panel.airflow.capabilities import Capabilities
from panel.airflow.models import XCom, XComRef
from panel.airflow.paging import Page, by_offset
from panel.airflow.transport import Transport


class _XComs(Page[XComRef], rename={"rows": "xcom_entries"}):
    rows: list[XComRef]


class XComsNamespace:
    def __init__(self, transport: Transport, capabilities: Callable[[], Capabilities]) -> None:
        self._transport = transport
        self._capabilities = capabilities

    def get(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, key: str = "return_value") -> XCom:
        """One value as it stands in Airflow's database: with an object-storage backend, only its reference.

        A cleared instance keeps its old value until the new try starts. Raises NotFound when there is none (returning
        ``None`` writes none, and an unknown run, task or index answers the same), Forbidden without XCom access.
        """
        address = path(API, "dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "xcomEntries", key)
        return self._transport.read(address, XCom, [("map_index", map_index)])

    def indices(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> list[XComRef]:
        """Which indices have a value under ``key``, and since when; values are not read. Ordered by map_index."""
        address = path(API, "dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "xcomEntries")
        params = [("xcom_key", key), *([("order_by", "map_index")] if self._capabilities().orders_xcoms else [])]
        rows = by_offset(self._transport, address, _XComs, params, key=lambda row: (row.key, row.map_index))
        return sorted((row for row in rows if row.key == key), key=lambda row: row.map_index)
