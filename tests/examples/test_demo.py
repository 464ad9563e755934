"""The demo's own pieces that need no Airflow: ports, kept secrets, what Airflow is told, errors that say what to do."""

import json
import os
import socket
from pathlib import Path

import pytest

from examples.demo.__main__ import kept_passwords, wanted_port
from examples.demo.airflow import AirflowFailed, AirflowStandalone, socket_directory
from examples.demo.panel import Panel, PanelFailed
from examples.demo.ports import free_port

pytestmark = pytest.mark.enable_socket


def standalone(tmp_path: Path, **more: object) -> AirflowStandalone:
    arguments = {"venv": tmp_path / "venv", "home": tmp_path / "home", "dags": {"mine": tmp_path / "dags"}} | more
    return AirflowStandalone(**arguments)  # type: ignore[arg-type]  # the test's own mapping


def settings(airflow: AirflowStandalone) -> dict[str, str]:
    return airflow._settings(18199, Path("/sockets"))


def test_a_taken_port_is_stepped_over() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        taken = sock.getsockname()[1]
        assert free_port(taken) > taken


def test_a_port_taken_on_all_addresses_is_stepped_over() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("0.0.0.0", 0))
        sock.listen()
        taken = sock.getsockname()[1]
        assert free_port(taken) > taken


def test_no_free_port_is_an_error_that_names_the_range() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        taken = sock.getsockname()[1]
        with pytest.raises(OSError, match=f"no free port between {taken}"):
            free_port(taken, tries=1)


def test_the_logins_are_made_once_and_only_the_owner_can_read_them(tmp_path: Path) -> None:
    path = tmp_path / "logins.json"
    passwords = kept_passwords(path)
    assert set(passwords) == {"viewer", "operator", "deployer", "admin"}
    assert len(set(passwords.values())) == 4
    assert kept_passwords(path) == passwords
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["0", "99999", "web"])
def test_a_senseless_port_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PORT", text)
    with pytest.raises(SystemExit, match="PORT must be a whole number"):
        wanted_port()


def test_a_missing_environment_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(AirflowFailed, match=r"scripts/venv\.sh .*venv requirements/airflow\.txt"):
        standalone(tmp_path).start()


def test_airflow_is_told_to_stay_on_loopback_with_one_address_everywhere(tmp_path: Path) -> None:
    airflow = standalone(tmp_path)
    airflow.base_url = "http://127.0.0.1:18199"
    told = settings(airflow)
    assert told["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert told["AIRFLOW__API__PORT"] == "18199"
    assert told["AIRFLOW__API__BASE_URL"] == airflow.base_url
    assert told["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"{airflow.base_url}/execution/"
    assert told["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    bundles = json.loads(told["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert [(bundle["name"], bundle["kwargs"]["path"]) for bundle in bundles] == [("mine", str(tmp_path / "dags"))]


def test_nothing_of_the_callers_environment_reaches_airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "DATABASE_URL", "AIRFLOW__CORE__FERNET_KEY", "PYTHONPATH", "DJANGO_SETTINGS_MODULE"):
        monkeypatch.setenv(name, "from-the-caller")
    assert "from-the-caller" not in settings(standalone(tmp_path)).values()


def test_what_the_caller_asks_for_wins(tmp_path: Path) -> None:
    airflow = standalone(tmp_path, environment={"AIRFLOW__CORE__PARALLELISM": "2", "AIRFLOW_VAR_X": "y"})
    assert settings(airflow)["AIRFLOW__CORE__PARALLELISM"] == "2"
    assert settings(airflow)["AIRFLOW_VAR_X"] == "y"


def test_airflows_passwords_are_kept_and_cover_new_users(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    first = standalone(tmp_path, users={"admin": "admin"})._passwords()
    second = standalone(tmp_path, users={"admin": "admin", "op": "op"})._passwords()
    assert second["admin"] == first["admin"] != second["op"]
    assert (home / "passwords.json").stat().st_mode & 0o777 == 0o600


def test_sockets_get_a_private_directory_with_a_short_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    directory = socket_directory()
    try:
        assert len(os.fsencode(directory)) <= 80
        assert directory.stat().st_mode & 0o777 == 0o700
    finally:
        directory.rmdir()


def test_stopping_what_was_never_started_is_harmless(tmp_path: Path) -> None:
    standalone(tmp_path).stop()
    Panel(var=tmp_path, log=tmp_path / "log").stop()


def test_a_panel_that_ended_shows_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    var = tmp_path / "var"
    var.write_text("in the way of the directory")
    panel = Panel(var=var, log=tmp_path / "panel.log")
    panel.start()
    try:
        with pytest.raises(PanelFailed, match=r"(?s)The panel ended .*panel\.log.*FileExistsError|NotADirectoryError"):
            panel.wait_until_up(timeout_seconds=60)
    finally:
        panel.stop()
