"""`make run`: what it starts, what it refuses, and that nothing is left when it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config import run
from config.embedded_broker import BrokerUnavailable, embedded_broker

pytestmark = pytest.mark.enable_socket

REPOSITORY = Path(run.__file__).resolve().parents[1]


@contextmanager
def listener() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def unused_port() -> int:
    with listener() as port:
        return port


def ping(url: str) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(5)
        sock.connect(url.removeprefix("unix://"))
        sock.sendall(b"PING\r\n")
        return sock.recv(64)


def test_web_worker_and_scheduler_are_started() -> None:
    assert set(run.commands("127.0.0.1", 8000)) == {"web", "worker", "scheduler"}


def test_a_taken_port_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as port:
        monkeypatch.setenv("PORT", str(port))
        with pytest.raises(run.CannotRun, match=f"port {port} .* PORT={port + 1} make run"):
            run.listening_address()


@pytest.mark.parametrize("text", ["0", "65536", "eighty", "-1", "80.5", ""])
def test_a_senseless_port_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PORT", text)
    with pytest.raises(run.CannotRun, match="PORT must be a whole number"):
        run.listening_address()


def test_outside_of_production_it_listens_on_loopback_whatever_host_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(unused_port()))
    assert run.listening_address()[0] == "127.0.0.1"
    monkeypatch.setenv("HOST", "0.0.0.0")
    with pytest.raises(run.CannotRun, match="HOST is for MAPBOARD_ENV=production"):
        run.listening_address()


def test_the_embedded_broker_answers_on_a_private_socket_and_leaves_nothing(tmp_path: Path) -> None:
    url_file = tmp_path / "redis_url"
    with embedded_broker(url_file) as url:
        assert url_file.read_text() == url
        assert url_file.stat().st_mode & 0o077 == 0
        path = Path(url.removeprefix("unix://"))
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert ping(url) == b"+PONG\r\n"
    assert not url_file.exists()
    assert not path.parent.exists()


def test_two_panels_do_not_share_one_var_directory(tmp_path: Path) -> None:
    with embedded_broker(tmp_path / "redis_url") as url:
        with pytest.raises(BrokerUnavailable, match="another one runs"), embedded_broker(tmp_path / "redis_url"):
            pass
        assert ping(url) == b"+PONG\r\n"


def test_a_stale_address_of_a_killed_run_is_replaced(tmp_path: Path) -> None:
    url_file = tmp_path / "redis_url"
    url_file.write_text("unix:///nowhere/broker.sock")
    with embedded_broker(url_file) as url:
        assert url_file.read_text() == url != "unix:///nowhere/broker.sock"


def test_a_very_long_temporary_directory_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with embedded_broker(tmp_path / "redis_url") as url:
        assert ping(url) == b"+PONG\r\n"


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The real thing on a database of its own."""
    port = unused_port()
    dropped = ("DATABASE_URL", "REDIS_URL")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {"MAPBOARD_VAR_DIR": str(tmp_path / "var"), "PORT": str(port), "TMPDIR": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.run"], cwd=REPOSITORY, env=environment, stdout=log, stderr=log
        )
    yield process, port
    if process.poll() is None:
        process.terminate()
    process.wait(timeout=30)


def wait_for_web(port: int, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 60
    while True:
        try:
            with opener.open(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def processes_below(pid: int) -> set[int]:
    table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = dict(tuple(map(int, line.split())) for line in table.splitlines())
    below = {pid}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return below - {pid}


def running(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


@pytest.mark.parametrize("how", ["Ctrl-C", "a dead worker"])
def test_it_serves_and_leaves_nothing_behind(
    panel: tuple[subprocess.Popen[bytes], int], tmp_path: Path, how: str
) -> None:
    process, port = panel
    log = tmp_path / "log"
    wait_for_web(port, log)
    started = processes_below(process.pid)
    assert len(started) >= 4

    if how == "a dead worker":
        line = next(line for line in log.read_text().splitlines() if "worker started" in line)
        os.kill(int(line.rpartition("=")[2].rstrip(")")), signal.SIGKILL)
    else:
        process.send_signal(signal.SIGINT)
    code = process.wait(timeout=30)

    assert (code == 0) is (how != "a dead worker"), log.read_text()
    deadline = time.monotonic() + 10
    while left := [pid for pid in started if running(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    assert not list(tmp_path.glob("mapboard-*"))
    assert not (tmp_path / "var" / "redis_url").exists()
