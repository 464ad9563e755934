"""``GET /api/v2/pools``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.airflow import lists
from tests.fakes.airflow.wire import Answer, Request, Routes

if TYPE_CHECKING:
    from tests.fakes.airflow.app import FakeAirflow

COUNTED = ("occupied_slots", "running_slots", "queued_slots", "scheduled_slots", "deferred_slots")


def add_routes(routes: Routes, fake: FakeAirflow) -> None:
    def pools(request: Request) -> Answer:
        return lists.page(request, "pools", sorted(fake.world.pools.items()), _row, fake.clamp)

    routes.add("GET", "/api/v2/pools", pools, "pools")


def _row(pool: tuple[str, int]) -> dict[str, Any]:
    name, slots = pool
    more = {"description": None, "include_deferred": False, "team_name": None}
    return {"name": name, "slots": slots, "open_slots": slots, **dict.fromkeys(COUNTED, 0), **more}
