"""The Dags of ``dags/contract.py`` for the fake: the same names, params, shapes and behaviour."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.fakes.airflow import FakeAirflow, Instance, KeepRunning, Task

VALUES = [
    {"id": 1, "nested": {"numbers": [1, 2.5], "none": None}},
    "grün “quoted” \\ and\nlines",
    7,
    False,
    {},
    {"__classname__": "builtins.tuple", "__version__": 1, "__data__": [1, "a"]},
    {
        "__classname__": "datetime.datetime",
        "__version__": 2,
        "__data__": {
            "timestamp": 1767323045.0,
            "tz": {
                "__classname__": "builtins.tuple",
                "__version__": 1,
                "__data__": ["UTC", "pendulum.tz.timezone.FixedTimezone", 1, True],
            },
        },
    },
    "ä" * 40_000,
    None,
]
"""What ``contract_values`` returns, as it stands in Airflow's database."""


def set_stage(fake: FakeAirflow) -> None:
    fake.add_dag(
        "contract_params",
        tags=["contract"],
        tasks=["echo"],
        params={
            "name": {"schema": {"type": "string", "title": "Name"}, "description": "Who"},
            "n": {"value": 3, "schema": {"type": "integer", "minimum": 1, "maximum": 10}},
            "kind": {"value": "b", "schema": {"enum": ["a", "b"], "values_display": {"a": "Kind A", "b": "Kind B"}}},
            "day": {"value": "2026-01-02", "schema": {"type": "string", "format": "date"}},
            "maybe": {"value": None, "schema": {"type": ["null", "string"]}},
            "plain": 5,
        },
        work=lambda row: _conf(fake, row).get("n", 3),
    )
    fake.add_dag(
        "contract_mapped",
        tags=["contract"],
        params={"n": {"value": 6, "schema": {"type": "integer", "minimum": 0, "maximum": 50}}},
        tasks=[
            Task("items", downstream=["work"]),
            Task("work", is_mapped=True, expands="items", downstream=["summary"]),
            Task("summary", trigger_rule="all_done"),
        ],
        work=lambda row: _mapped(fake, row),
    )
    fake.add_dag(
        "contract_group",
        tags=["contract"],
        tasks=[
            Task("each.first", group="each", group_is_mapped=True, expands=3, downstream=["each.second"]),
            Task("each.second", group="each", group_is_mapped=True, expands=3, downstream=["after"]),
            Task("after", trigger_rule="all_done"),
        ],
        work=lambda row: _group(fake, row),
    )
    fake.add_dag(
        "contract_daily",
        tags=["contract"],
        schedule=timedelta(days=1),
        max_active_tasks=8,
        max_active_runs=1,
        has_task_concurrency_limits=True,
        params={"n": {"value": 2, "schema": {"type": "integer", "minimum": 1, "maximum": 5}}},
        tasks=[Task("work", is_mapped=True, expands=2)],
        work=lambda row: row.map_index,
    )
    fake.add_dag("contract_paused", tags=["contract"], is_paused=True)
    fake.add_dag(
        "contract_values",
        tags=["contract"],
        tasks=[Task("work", is_mapped=True, expands=len(VALUES))],
        work=lambda row: VALUES[row.map_index],
    )
    fake.add_dag("contract_slow", tags=["contract"], tasks=[Task("work", is_mapped=True, expands=2)], work=_slow)


def _conf(fake: FakeAirflow, row: Instance) -> dict[str, Any]:
    return fake.world.runs[row.dag_id, row.run_id].conf


def _mapped(fake: FakeAirflow, row: Instance) -> Any:
    if row.task_id == "items":
        return list(range(_conf(fake, row).get("n", 6)))
    if row.task_id == "summary":
        place = (row.dag_id, row.run_id, "work")
        return {"seen": sum(key[:3] == place for key in fake.world.xcoms)}
    item = row.item
    row.label = f"item-{item}"
    first = row.try_number == 1
    if item % 5 == 1 and first:
        raise RuntimeError(f"item {item} crashed")
    if item % 5 == 2:
        raise ValueError(f"item {item} never works") from KeyError("missing")
    if item % 5 == 3 and first:
        return {"id": item, "status": "failed", "error": "soft"}
    return None if item % 5 == 4 else {"id": item, "status": "ok"}


def _group(fake: FakeAirflow, row: Instance) -> Any:
    if row.task_id == "each.first":
        if row.map_index == 1 and row.try_number == 1:
            raise RuntimeError("first crashed")
        return row.map_index
    if row.task_id != "each.second":
        return "after"
    if (row.dag_id, row.run_id, "each.first", row.map_index, "return_value") not in fake.world.xcoms:
        raise TypeError("unsupported operand type(s) for *: 'NoneType' and 'int'")
    return row.map_index * 10


def _slow(row: Instance) -> Any:
    if row.map_index == 0:
        raise KeepRunning
    return row.map_index
