"""``python -m tests.contract.record_openapi ENVIRONMENT…``: records tests/payloads/<version>/openapi.json.

ENVIRONMENT is a virtual environment with Airflow, as `make compat` makes them (``var/compat-3.0.6``, ``var/airflow``).
Its package holds the OpenAPI document that its server gives out. Kept are the requests of the calls below and what
their parameters and bodies consist of, without descriptions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.contract.answers import PAYLOADS

RUN = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"
INSTANCES = RUN + "/taskInstances"
CALLS = {
    "/api/v2/version": ["get"],
    "/api/v2/dags": ["get"],
    "/api/v2/dags/{dag_id}": ["get", "patch"],
    "/api/v2/dags/{dag_id}/details": ["get"],
    "/api/v2/dags/{dag_id}/tasks": ["get"],
    "/api/v2/dags/{dag_id}/clearTaskInstances": ["post"],
    "/api/v2/dags/{dag_id}/dagRuns": ["get", "post"],
    "/api/v2/backfills": ["get", "post"],
    "/api/v2/backfills/dry_run": ["post"],
    "/api/v2/backfills/{backfill_id}": ["get"],
    "/api/v2/backfills/{backfill_id}/pause": ["put"],
    "/api/v2/backfills/{backfill_id}/unpause": ["put"],
    "/api/v2/backfills/{backfill_id}/cancel": ["put"],
    "/api/v2/eventLogs": ["get"],
    "/api/v2/importErrors": ["get"],
    "/api/v2/pools": ["get"],
    RUN: ["get", "patch"],
    RUN + "/wait": ["get"],
    INSTANCES: ["get", "patch"],
    INSTANCES + "/list": ["post"],
    INSTANCES + "/{task_id}": ["get", "patch"],
    INSTANCES + "/{task_id}/listMapped": ["get"],
    INSTANCES + "/{task_id}/tries": ["get"],
    INSTANCES + "/{task_id}/dry_run": ["patch"],
    INSTANCES + "/{task_id}/{map_index}": ["get", "patch"],
    INSTANCES + "/{task_id}/{map_index}/tries": ["get"],
    INSTANCES + "/{task_id}/{map_index}/dry_run": ["patch"],
    INSTANCES + "/{task_id}/logs/{try_number}": ["get"],
    INSTANCES + "/{task_id}/xcomEntries": ["get"],
    INSTANCES + "/{task_id}/xcomEntries/{xcom_key}": ["get"],
    "/ui/grid/structure/{dag_id}": ["get"],
}
SAYS_NOTHING = {"description", "title", "examples", "example"}
SCHEMAS = "#/components/schemas/"


def record(environment: Path) -> Path:
    """The file written. Raises ValueError where there is no Airflow."""
    (package,) = environment.glob("lib/python3*/site-packages/airflow/api_fastapi/core_api/openapi")
    (installed,) = package.parents[3].glob("apache_airflow_core-*.dist-info")
    version = installed.name.removeprefix("apache_airflow_core-").removesuffix(".dist-info")
    documents = [yaml.safe_load((package / name).read_text()) for name in DOCUMENTS]
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for path, methods in CALLS.items():
        for document in documents:
            known = document["paths"].get(path, {})
            for method in methods:
                if method in known:
                    call = _request(known[method])
                    paths.setdefault(path, {})[method] = call
                    _collect(call, document["components"]["schemas"], schemas)
    found = {"openapi": "3.1.0", "info": {"title": "Airflow API", "version": version}, "paths": paths}
    file = PAYLOADS / version / "openapi.json"
    file.write_text(_in_lines(found | {"components": {"schemas": schemas}}) + "\n")
    return file


DOCUMENTS = ("v2-rest-api-generated.yaml", "_private_ui.yaml")


def _request(call: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {name: _bare(one[name]) for name in ("name", "in", "required", "schema") if name in one}
        for one in call.get("parameters", [])
        if one["in"] in ("query", "path")
    ]
    found: dict[str, Any] = {"parameters": sorted(parameters, key=lambda one: (one["in"], one["name"]))}
    if "requestBody" in call:
        found["requestBody"] = {
            "required": call["requestBody"].get("required", False),
            "content": {kind: _bare(one) for kind, one in call["requestBody"]["content"].items()},
        }
    return found


def _bare(schema: Any) -> Any:
    """Without what only people read. A property may be named "title": those below ``properties`` stay."""
    if isinstance(schema, list):
        return [_bare(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {own: _bare(one) for own, one in value.items()} if name == "properties" else _bare(value)
        for name, value in schema.items()
        if name not in SAYS_NOTHING
    }


def _collect(part: Any, known: dict[str, Any], into: dict[str, Any]) -> None:
    if isinstance(part, list):
        for one in part:
            _collect(one, known, into)
    elif isinstance(part, dict):
        name = str(part.get("$ref", "")).removeprefix(SCHEMAS)
        if name and name not in into:
            into[name] = _bare(known[name])
            _collect(into[name], known, into)
        for one in part.values():
            _collect(one, known, into)


def _in_lines(value: Any, depth: int = 0) -> str:
    """JSON with sorted keys; a parameter or a property has one line, so that a change of it is one in git, too."""
    small = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(small) <= 110 - depth or not isinstance(value, dict | list):
        return small
    indent, ends = "\n" + " " * depth, "{}" if isinstance(value, dict) else "[]"
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {_in_lines(value[name], depth + 1)}" for name in sorted(value)]
    else:
        parts = [_in_lines(one, depth + 1) for one in value]
    return f"{ends[0]}{indent} " + f",{indent} ".join(parts) + f"{indent}{ends[1]}"


if __name__ == "__main__":
    for environment in sys.argv[1:]:
        sys.stdout.write(f"{record(Path(environment))}\n")
