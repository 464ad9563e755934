"""Several processes launch with the same key at the same moment: Airflow holds one run, or backfill, afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.fakes.airflow import RemoteFake

PROCESSES = 3


@pytest.fixture
def served_fake() -> Iterator[RemoteFake]:
    """The fake Airflow as a process; it ends when its standard input closes."""
    command = [sys.executable, "-m", "tests.fakes.airflow", "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield RemoteFake(process.stdout.readline().split()[1])
        process.stdin.close()


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """An install of its own: database file, keys."""
    path = tmp_path / "var"
    path.mkdir(mode=0o700)
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "MAPBOARD_VAR_DIR": str(path),
        "DATABASE_URL": f"sqlite:///{path}/one_run.sqlite3",
        "LOG_LEVEL": "ERROR",
    }


def clicked(served_fake, environment, what) -> list[str]:
    """What each of the processes printed that click at the same moment."""
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"], env=environment, check=True, timeout=60
    )
    clicker = [sys.executable, "-m", "tests.launches.clicker"]
    subprocess.run([*clicker, "prepare", served_fake.base_url], env=environment, check=True, timeout=60)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    clickers = [subprocess.Popen([*clicker, what, "the-form"], env=environment, **pipes) for _ in range(PROCESSES)]
    try:
        for process in clickers:
            assert process.stdout.readline() == "ready\n"
        for process in clickers:
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=60)[0] for process in clickers]
    finally:
        for process in clickers:
            process.kill()
            process.wait()
    assert [process.returncode for process in clickers] == [0] * PROCESSES
    return answers


@pytest.mark.enable_socket
def test_a_double_click_over_several_processes_makes_one_run(served_fake, environment):
    served_fake.add_dag("deploy", params={"n": 1})
    assert len(set(clicked(served_fake, environment, "click"))) == 1, "one launch for all of them"
    made = served_fake.calls("POST", "/dags/deploy/dagRuns")
    assert len({one.body["dag_run_id"] for one in made}) == 1
    assert served_fake.states("deploy", made[0].body["dag_run_id"], "work") == {-1: None}


@pytest.mark.enable_socket
def test_a_double_click_over_several_processes_makes_one_backfill(served_fake, environment):
    served_fake.add_dag("deploy", params={"n": 1}, schedule=86_400)
    assert len(set(clicked(served_fake, environment, "backfill"))) == 1, "one backfill for all of them"
    made = [one for one in served_fake.calls("POST", "/backfills") if not one.path.endswith("dry_run")]
    assert len(made) == 1
    for number in (1, 2, 3):
        assert served_fake.states("deploy", f"backfill__2026-11-0{number}T00:00:00+00:00", "work") == {-1: None}
