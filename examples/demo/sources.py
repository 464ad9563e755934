"""What the example Dags read and write besides Kubernetes: an S3 API, two databases, a pool, an object storage.

All of it on this machine's loopback or in private directories, with data that is made here.
"""

import contextlib
import json
import os
import secrets
import subprocess
import urllib.error
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from examples.demo.airflow import PASSED_ON, REPOSITORY, AirflowStandalone
from examples.demo.ports import LOOPBACK, free_port

DATABASES = ("customer_shards", "warehouse")
SHARDS, ROWS_A_SHARD = 8, 15_000
POOL = {"name": "db_etl", "slots": 3, "description": "Sessions in the customers' databases", "include_deferred": False}
XCOM_THRESHOLD_BYTES = 4_096
CONFLICT = 409


class SourceFailed(Exception):
    """What did not start, and where its log is."""


class S3Server:
    """`examples.demo.s3_server` as a process that ends with this one. port: the first one tried."""

    def __init__(self, *, venv: Path, log: Path, port: int = 9000) -> None:
        self.log = log
        self.port = free_port(port)
        self._python = venv.absolute() / "bin" / "python"
        self._process: subprocess.Popen[str] | None = None

    @property
    def base_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def connection(self) -> str:
        """An Airflow connection as JSON."""
        keys = {"login": "demo", "password": secrets.token_urlsafe(12)}
        extra = {"endpoint_url": self.base_url, "region_name": "us-east-1"}
        return json.dumps({"conn_type": "aws", **keys, "extra": extra})

    def start(self) -> None:
        """Returns at once; `wait_until_ready` waits."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._python, "-m", "examples.demo.s3_server", str(self.port)],
                cwd=REPOSITORY,
                env={name: value for name, value in os.environ.items() if name in PASSED_ON | {"PATH"}},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C reaches the demo only, which stops things in order
            )

    def wait_until_ready(self) -> None:
        """Its files are there; it says so itself, or ends."""
        if self._process is None or self._process.stdout is None or not self._process.stdout.readline():
            raise SourceFailed(f"The S3 server ended while starting. Its log is {self.log}.")

    def failure(self) -> str:
        """Why it is not running (any more), or "" while it runs."""
        if self._process is None:
            return "The S3 server was not started."
        if self._process.poll() is not None:
            return f"The S3 server ended (exit code {self._process.returncode}). Its log is {self.log}."
        return ""

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(BrokenPipeError):
            process.communicate(timeout=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def settings(s3: S3Server, *, hash_secret: str) -> dict[str, str]:
    """Of an Airflow whose Dags are to find all this; its `databases` must be DATABASES."""
    return {"AIRFLOW_CONN_S3_FILES": s3.connection, "AIRFLOW_VAR_EMAIL_HASH_SECRET": hash_secret}


def xcoms_in(directory: Path) -> dict[str, str]:
    """Settings of an Airflow that keeps large results as files in this directory. They hold for all of its Dags."""
    return {
        "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": directory.absolute().as_uri(),
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": str(XCOM_THRESHOLD_BYTES),
    }


def fill(airflow: AirflowStandalone) -> None:
    """The pool and the shards' tables, of an Airflow that runs; what is there already stays."""
    try:
        airflow.call("POST", "/pools", POOL)
    except urllib.error.HTTPError as error:
        if error.code != CONFLICT:
            raise SourceFailed(f"Airflow refused the pool: {error.read(2000).decode(errors='replace')}") from None
    with psycopg.connect(airflow.url_of("customer_shards")) as database:
        for number in range(SHARDS):
            database.execute(customers(number))


def customers(number: int) -> sql.Composed:
    """One shard's table, by generate_series: the same for the same number."""
    return sql.SQL(
        "CREATE TABLE IF NOT EXISTS {} AS SELECT {} + i AS customer_id, 'Customer.' || i || '@Example.com' AS email,"
        " '+1555' || lpad(i::text, 7, '0') AS phone, (ARRAY['DE', 'FR', 'IT', 'PL'])[1 + i % 4] AS country,"
        " date '2020-01-01' + i % 2000 AS signed_up_on FROM generate_series(1, {}) AS i"
    ).format(sql.Identifier(f"customers_{number:02d}"), number * ROWS_A_SHARD, ROWS_A_SHARD)


def kept_secret(path: Path) -> str:
    """Made once; only the owner can read it."""
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path.read_text()
