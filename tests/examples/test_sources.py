"""What the data examples are given: connections, settings, secrets."""

import json
from pathlib import Path

import pytest

from examples.demo.airflow import AirflowStandalone
from examples.demo.sources import DATABASES, S3Server, SourceFailed, kept_secret, settings, xcoms_in


@pytest.fixture
def s3(tmp_path: Path) -> S3Server:
    return S3Server(venv=tmp_path / "venv", log=tmp_path / "s3.log", port=18545)


@pytest.mark.enable_socket
def test_airflow_is_told_where_the_s3_api_is_and_that_is_loopback(s3: S3Server) -> None:
    told = json.loads(settings(s3, hash_secret="secret")["AIRFLOW_CONN_S3_FILES"])
    assert told["conn_type"] == "aws"
    assert told["extra"]["endpoint_url"] == s3.base_url
    assert s3.base_url.startswith("http://127.0.0.1:")


@pytest.mark.enable_socket
def test_a_server_that_ends_while_starting_names_its_log(s3: S3Server, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o700)
    with s3, pytest.raises(SourceFailed, match=r"s3\.log"):
        s3.wait_until_ready()


@pytest.mark.enable_socket
def test_stopping_what_was_never_started_is_harmless(s3: S3Server) -> None:
    s3.stop()
    assert s3.failure() == "The S3 server was not started."


def test_each_database_is_a_connection_of_its_name(tmp_path: Path) -> None:
    airflow = AirflowStandalone(venv=tmp_path, home=tmp_path, dags={"mine": tmp_path}, databases=DATABASES)
    told = airflow._settings(18199, Path("/sockets"))
    shards = json.loads(told["AIRFLOW_CONN_CUSTOMER_SHARDS"])
    assert (shards["conn_type"], shards["host"], shards["schema"]) == ("postgres", "/sockets", "customer_shards")
    assert json.loads(told["AIRFLOW_CONN_WAREHOUSE"])["schema"] == "warehouse"


def test_large_results_are_kept_as_files_from_4096_bytes(tmp_path: Path) -> None:
    told = xcoms_in(tmp_path / "x y")
    assert told["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] == f"file://{tmp_path}/x%20y"
    assert told["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"] == "4096"
    assert told["AIRFLOW__CORE__XCOM_BACKEND"].endswith(".XComObjectStorageBackend")


def test_a_secret_is_made_once_and_only_the_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    made = kept_secret(path)
    assert len(made) >= 32
    assert kept_secret(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
