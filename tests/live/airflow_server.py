"""One real Airflow for a whole live session: `real_airflow`, with the example Dags and the contract suite's own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.demo import sources
from examples.demo.airflow import REPOSITORY, AirflowStandalone
from examples.demo.kubernetes_standin import KubernetesStandin
from examples.demo.sources import S3Server

VENV = REPOSITORY / "var" / "airflow"
DAGS = {
    "examples": REPOSITORY / "examples" / "dags",
    "contract": REPOSITORY / "tests" / "contract" / "dags",
    "live": REPOSITORY / "tests" / "live" / "dags",
}
FIRST_PORT = 18150
FIRST_S3_PORT = 18540


@pytest.fixture(scope="session")
def kubernetes_standin() -> Iterator[KubernetesStandin]:
    with KubernetesStandin() as standin:
        yield standin


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    make_environment()
    with S3Server(venv=VENV, log=tmp_path_factory.mktemp("s3") / "s3.log", port=FIRST_S3_PORT) as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="session")
def real_airflow(
    tmp_path_factory: pytest.TempPathFactory, kubernetes_standin: KubernetesStandin, s3_server: S3Server
) -> Iterator[AirflowStandalone]:
    """A healthy Airflow 3.3.2 on its own PostgreSQL: `.base_url`, `.users` (name → password), `.call(…)`.

    The users are admin, op and viewer.
    """
    with AirflowStandalone(
        venv=VENV,
        home=Path(tmp_path_factory.mktemp("airflow")),
        dags={name: folder for name, folder in DAGS.items() if folder.is_dir()},
        port=FIRST_PORT,
        environment={
            "AIRFLOW_VAR_KUBERNETES_API": kubernetes_standin.cluster_url,
            "MAPBOARD_EXAMPLES_RETRY_SECONDS": "1",
            **sources.settings(s3_server, hash_secret="a-secret-of-the-tests"),
        },
        databases=sources.DATABASES,
    ) as airflow:
        sources.fill(airflow)
        yield airflow


def make_environment() -> None:
    """Costs nothing when it is there and unchanged."""
    VENV.parent.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(
        [REPOSITORY / "scripts" / "venv.sh", "var/airflow", "requirements/airflow.txt", "airflow_plugin"],
        cwd=REPOSITORY,
        check=True,
        timeout=600,
    )
