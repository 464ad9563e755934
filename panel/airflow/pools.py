"""``airflow.pools``: how many task instances may hold a slot of a pool at once, of all Dags together."""

from __future__ import annotations

import builtins

from panel.airflow.addresses import API
from panel.airflow.models import Pool
from panel.airflow.paging import Page, by_offset
from panel.airflow.transport import Transport


class _Pools(Page[Pool], rename={"rows": "pools"}):
    rows: list[Pool]


class PoolsNamespace:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> builtins.list[Pool]:
        return by_offset(self._transport, f"{API}/pools", _Pools, key=lambda pool: pool.name)
