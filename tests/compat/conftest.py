"""Real Airflows of four series, one after the other: ``airflow`` is the client of one, ``standalone`` the server.

Chosen with ``-m compat`` (`make compat`) and run in one process. Airflow needs Python 3.11 or 3.12 here: 3.0 knows no
newer one.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_socket

from examples.demo.airflow import REPOSITORY, AirflowStandalone
from panel.airflow import Airflow, Password

HERE = Path(__file__).parent
SERIES = {"3.0.6": "airflow-3.0", "3.1.7": "airflow-3.1", "3.2.2": "airflow-3.2", "3.3.2": "airflow"}
DAGS = ["contract_mapped", "contract_values"]
FIRST_PORT = 18440


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.compat)
            item.add_marker(pytest.mark.timeout(600))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line a version."""
    passed: dict[str, int] = defaultdict(int)
    failed: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    for outcome in ("passed", "failed", "error", ""):
        for report in terminalreporter.stats.get(outcome, []):
            version = next((one for one in SERIES if report.nodeid.endswith(f"[{one}]")), None)
            if version is None or "tests/compat/" not in report.nodeid:
                continue
            seconds[version] += report.duration
            passed[version] += outcome == "passed"
            failed[version] += outcome in ("failed", "error")
    for version in SERIES:
        if passed[version] + failed[version]:
            verdict = f"{failed[version]} FAILED, " if failed[version] else ""
            terminalreporter.write_line(
                f"Airflow {version}: {verdict}{passed[version]} passed in {seconds[version]:.0f} s"
            )


@pytest.fixture(scope="session", autouse=True)
def sockets_are_open() -> None:
    """Only connections to this machine: Airflow is here, nothing else is needed."""
    pytest_socket.enable_socket()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in as it is installed elsewhere. uv builds it by itself, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--offline", "--wheel", "--out-dir", folder, REPOSITORY / "airflow_plugin")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session", params=SERIES)
def standalone(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowStandalone]:
    """A healthy Airflow of this version with the plug-in's wheel, on its own PostgreSQL."""
    venv = REPOSITORY / "var" / f"compat-{request.param}"
    script = [REPOSITORY / "scripts" / "venv.sh", venv, f"requirements/{SERIES[request.param]}.txt"]
    subprocess.run(script, cwd=REPOSITORY, check=True, timeout=600)
    uv("pip", "install", "--offline", "--no-deps", "--reinstall", "--python", venv / "bin" / "python", wheel)
    with AirflowStandalone(
        venv=venv,
        home=Path(tmp_path_factory.mktemp("airflow")),
        dags={"contract": REPOSITORY / "tests" / "contract" / "dags"},
        port=FIRST_PORT,
    ) as server:
        server.wait_for_dags(DAGS)
        yield server


@pytest.fixture(scope="session")
def airflow(standalone: AirflowStandalone) -> Iterator[Airflow]:
    with Airflow(standalone.base_url, Password("op", standalone.users["op"])) as client:
        assert client.bulk_reads.available()  # asked now: a test may hide the plug-in from clients to come
        yield client


@pytest.fixture(scope="session")
def start(airflow: Airflow) -> Callable[..., str]:
    """``start("contract_mapped", n=25)``: the id of a run just triggered."""

    def trigger(dag_id: str, **conf: object) -> str:
        return airflow.runs.trigger(dag_id, run_id=f"compat-{uuid4().hex[:8]}+:~", conf=conf).dag_run_id

    return trigger


def uv(*arguments: str | Path) -> None:
    """The uv that made the environments (scripts/venv.sh)."""
    command = shutil.which("uv") or REPOSITORY / ".venv-uv" / "bin" / "uv"
    subprocess.run([command, "--quiet", *arguments], check=True, timeout=300)
