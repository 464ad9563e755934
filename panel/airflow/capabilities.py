"""What one Airflow server can do, from its version and its own OpenAPI document (AIRFLOW.md §12)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from panel.airflow import errors
from panel.airflow.addresses import API
from panel.airflow.bulk_reads import has_plugin
from panel.airflow.models import Version
from panel.airflow.transport import Transport

OLDEST: Final = (3, 0, 0)
_NUMBERS: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_INSTANCES_LIST: Final = f"{API}/dags/{{dag_id}}/dagRuns/{{dag_run_id}}/taskInstances"
_RUNS_LIST: Final = f"{API}/dags/{{dag_id}}/dagRuns"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Read once a client. Where the OpenAPI document cannot be read, the version number decides alone."""

    version: str
    numbers: tuple[int, int, int]
    clear_note: bool
    """Clearing takes a ``note`` (3.3.0+); older servers refuse the field."""
    clear_prevent_running: bool
    """Clearing takes ``prevent_running_task`` (3.2.0+)."""
    cursors: bool
    """Task-instance lists take ``cursor`` (3.2.2+)."""
    run_id_prefix: bool
    """Run lists take ``run_id_prefix_pattern`` (3.2.2+); older servers ignore it silently."""
    clear_latest_version: bool = False
    """Clearing takes ``run_on_latest_version`` (3.1.0+)."""
    bulk_marks: bool = False
    """Many instances are marked in one ``PATCH …/taskInstances`` (3.1.0+)."""
    bulk_reads: bool = False
    """Mapboard's plug-in is installed there: results of a whole mapped task in one request."""

    @property
    def clears_exact_indices(self) -> bool:
        """Clearing ``[task, index]`` together with others clears that index only (3.1.1+, apache/airflow#56346)."""
        return self.numbers >= (3, 1, 1)

    @property
    def lists_indices(self) -> bool:
        """Task-instance lists take ``map_index`` (3.1.0+); older servers ignore it silently."""
        return self.numbers >= (3, 1, 0)

    @property
    def clears_exact_downstream(self) -> bool:
        """… and downstream, inside a mapped group, only the same index (3.2.0+, apache/airflow#64526)."""
        return self.numbers >= (3, 2, 0)

    @property
    def orders_xcoms(self) -> bool:
        """XCom lists take ``order_by`` (3.2.2+); older servers order them by index anyway, and ignore it."""
        return self.numbers >= (3, 2, 2)

    @property
    def ordered_results(self) -> bool:
        """``/wait`` gives the results of a finished run in the order of map_index (3.3.0+)."""
        return self.numbers >= (3, 3, 0)


class _Properties(msgspec.Struct):
    properties: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)


class _Parameter(msgspec.Struct):
    name: str = ""


class _Operation(msgspec.Struct):
    parameters: list[_Parameter] = msgspec.field(default_factory=list)


class _Path(msgspec.Struct):
    get: _Operation = msgspec.field(default_factory=_Operation)
    patch: _Operation | None = None


class _Components(msgspec.Struct):
    schemas: dict[str, _Properties] = msgspec.field(default_factory=dict)


class _OpenApi(msgspec.Struct):
    components: _Components = msgspec.field(default_factory=_Components)
    paths: dict[str, _Path] = msgspec.field(default_factory=dict)

    def clear_fields(self) -> set[str]:
        return set(self.components.schemas.get("ClearTaskInstancesBody", _Properties()).properties)

    def filters(self, path: str) -> set[str]:
        return {parameter.name for parameter in self.paths.get(path, _Path()).get.parameters}


def read_version(transport: Transport) -> Version:
    """``GET /api/v2/version``, which needs no login. Raises Unsupported for anything that is not Airflow 3."""
    try:
        version = transport.read(f"{API}/version", Version, login=False)
    except errors.NotFound:
        raise errors.Unsupported(_no_api(transport)) from None
    if version_numbers(version.version) < OLDEST:
        raise errors.Unsupported(_too_old(version.version))
    return version


def read_capabilities(transport: Transport) -> Capabilities:
    version = read_version(transport).version
    numbers = version_numbers(version)
    try:
        document = transport.read("/openapi.json", _OpenApi, login=False)
    except (errors.Rejected, errors.BadPayload):
        document = _OpenApi()  # switched off, or hidden by a proxy
    fields = document.clear_fields()
    return Capabilities(
        version=version,
        numbers=numbers,
        clear_note="note" in fields if fields else numbers >= (3, 3, 0),
        clear_prevent_running="prevent_running_task" in fields if fields else numbers >= (3, 2, 0),
        clear_latest_version="run_on_latest_version" in fields if fields else numbers >= (3, 1, 0),
        cursors="cursor" in found if (found := document.filters(_INSTANCES_LIST)) else numbers >= (3, 2, 2),
        run_id_prefix=(
            "run_id_prefix_pattern" in found if (found := document.filters(_RUNS_LIST)) else numbers >= (3, 2, 2)
        ),
        bulk_marks=(
            listed.patch is not None if (listed := document.paths.get(_INSTANCES_LIST)) else numbers >= (3, 1, 0)
        ),
        bulk_reads=has_plugin(transport),
    )


def version_numbers(version: str) -> tuple[int, int, int]:
    """``3.3.2`` as numbers; a release candidate counts as its release. Raises BadPayload."""
    match = _NUMBERS.match(version.strip())
    if match is None:
        raise errors.BadPayload(f"Airflow names a version that cannot be read: “{version[:60]}”.")
    return int(match[1]), int(match[2]), int(match[3] or 0)


def _no_api(transport: Transport) -> str:
    """Why there is no API v2: Airflow 2 says so itself at its own address; anything else is a wrong base URL."""
    try:
        return _too_old(transport.read("/api/v1/version", Version, login=False).version)
    except errors.AirflowError:
        return (
            "There is no REST API of Airflow 3 at this address. Check the base URL and its path prefix; "
            "Airflow 2 is not supported."
        )


def _too_old(version: str) -> str:
    return f"This server runs Airflow {version[:60]}. Mapboard needs Airflow 3.0 or newer: Airflow 2 is not supported."
