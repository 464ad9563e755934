"""The answers whose fields the contract pins, and what of an answer is pinned: the names of its fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.contract.site import Site

PAYLOADS = Path(__file__).parents[1] / "payloads"
RUN = "/api/v2/dags/contract_mapped/dagRuns/{mapped}"
CALLS = {
    "version": "/api/v2/version",
    "dags": "/api/v2/dags?limit=1&order_by=dag_id",
    "dag_details": "/api/v2/dags/contract_params/details",
    "tasks": "/api/v2/dags/contract_mapped/tasks",
    "structure": "/ui/grid/structure/contract_group",
    "import_errors": "/api/v2/importErrors",
    "runs": "/api/v2/dags/contract_mapped/dagRuns?run_id_prefix_pattern={mapped}&limit=1",
    "run": RUN,
    "instances": RUN + "/taskInstances?task_id=work&limit=2",
    "instances_by_cursor": RUN + "/taskInstances?task_id=work&limit=2&cursor=",
    "instances_mapped": RUN + "/taskInstances/work/listMapped?limit=2",
    "instance": RUN + "/taskInstances/work/1",
    "tries": RUN + "/taskInstances/work/1/tries",
    "xcoms": RUN + "/taskInstances/work/xcomEntries?limit=2",
    "xcom": RUN + "/taskInstances/work/xcomEntries/return_value?map_index=3",
    "wait": RUN + "/wait?interval=1&result=work&result=summary",
    "log": RUN + "/taskInstances/work/logs/1?map_index=2",
}
OPEN = {"op_kwargs", "params", "conf", "value", "results", "schema", "content"}
"""Fields whose inside is the Dag's own affair."""


def ask(site: Site, name: str, mapped: str, user: str = "op") -> Any:
    answer = site.raw("GET", CALLS[name].format(mapped=mapped), user=user)
    assert answer.status_code == 200, answer.text
    return answer.json()


def recorded(version: str, name: str) -> Any:
    return json.loads((PAYLOADS / version / f"{name}.json").read_text())


def field_names(answer: Any, place: str = "") -> set[str]:
    """``{"a": [{"b": 1}]}`` has the fields ``a`` and ``a.b``."""
    if isinstance(answer, list):
        return set().union(*(field_names(one, place) for one in answer))
    if not isinstance(answer, dict):
        return set()
    names: set[str] = set()
    for name, value in answer.items():
        names.add(place + name)
        if name not in OPEN:
            names |= field_names(value, f"{place}{name}.")
    return names
