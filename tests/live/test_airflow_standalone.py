"""Whoever starts the demo's Airflow may die as they like: nothing is left running."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from examples.demo.airflow import REPOSITORY, AirflowFailed, AirflowStandalone
from tests.live.airflow_server import DAGS, VENV, make_environment
from tests.live.processes import assert_all_gone, processes_below

PORT = 18170
STARTS_AND_WAITS = """
import sys, time
from pathlib import Path
from examples.demo.airflow import AirflowStandalone
airflow = AirflowStandalone(
    venv=Path(sys.argv[1]), home=Path(sys.argv[2]), dags={"examples": Path(sys.argv[3])}, port=int(sys.argv[4])
)
airflow.start()
print("READY", airflow.base_url, flush=True)
time.sleep(600)
"""


def start_in_a_process(home: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", STARTS_AND_WAITS, VENV, home, DAGS["examples"], str(PORT)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def wait_for_line(process: "subprocess.Popen[str]", beginning: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return line
    raise AssertionError(f"it ended without {beginning!r}")


@pytest.fixture(autouse=True)
def _environment() -> None:
    make_environment()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_its_parent_dies(tmp_path: Path, number: signal.Signals) -> None:
    parent = start_in_a_process(tmp_path / "home")
    wait_for_line(parent, "READY")
    started = processes_below(parent.pid)
    assert len(started) > 6
    parent.send_signal(number)
    parent.wait(60)
    assert_all_gone(started)


def test_nothing_is_left_when_its_parent_dies_during_the_start(tmp_path: Path) -> None:
    parent = start_in_a_process(tmp_path / "home")
    wait_for_line(parent, "starting Airflow's")
    started = processes_below(parent.pid)
    parent.kill()
    parent.wait(60)
    assert_all_gone(started)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_nothing_is_left_when_the_keeper_itself_is_killed(tmp_path: Path) -> None:
    parent = start_in_a_process(tmp_path / "home")
    wait_for_line(parent, "READY")
    started = processes_below(parent.pid)
    keeper = max(started, key=lambda pid: len(processes_below(pid)))  # everything else is below it
    os.kill(keeper, signal.SIGKILL)
    assert_all_gone(started)
    parent.kill()
    parent.wait(60)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_what_does_not_stop_when_asked_is_ended_when_the_keeper_is_killed() -> None:
    """A scheduler whose database went first may ignore it for ever."""
    code = (
        "import os, subprocess; from examples.demo import keeper; os.setpgid(0, 0); keeper.GRACE_SECONDS = 0.2; "
        "watcher = keeper.watch_over_this_group(); child = subprocess.Popen(['sleep', '600']); "
        "print(child.pid, flush=True); child.wait()"
    )
    keeper = subprocess.Popen([VENV / "bin" / "python", "-c", code], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert keeper.stdout is not None
    child = int(keeper.stdout.readline())
    keeper.kill()
    keeper.wait(60)
    assert_all_gone({child})


def test_a_taken_port_is_stepped_over_and_a_second_start_on_one_home_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        taken = sock.getsockname()[1]
        arguments = {"venv": VENV, "home": tmp_path / "home", "dags": {"examples": DAGS["examples"]}, "port": taken}
        with AirflowStandalone(**arguments) as airflow:
            assert airflow.base_url != f"http://127.0.0.1:{taken}"
            assert airflow.call("GET", "/version", user="viewer")["version"] == "3.3.2"
            second = AirflowStandalone(**arguments)
            with pytest.raises(AirflowFailed, match="Another start is using"):
                second.start()
            assert airflow.failure() == ""
    assert airflow.failure() != ""


def test_a_component_that_cannot_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    airflow = AirflowStandalone(
        venv=VENV,
        home=tmp_path / "home",
        dags={"examples": DAGS["examples"]},
        port=PORT,
        environment={"AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor"},
    )
    with pytest.raises(AirflowFailed, match=r"(?s)`airflow db migrate` failed|ended \(exit code .*NoSuchExecutor"):
        airflow.start()
    assert airflow.failure() == "Airflow was not started."
