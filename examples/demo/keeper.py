"""Keeps one Airflow alive, and never longer than whoever asked for it. Runs in Airflow's virtual environment.

`python -m examples.demo.keeper` reads one JSON line from standard input ({"home", "sockets", "base_url",
"environment", "databases", "start_seconds"}), starts PostgreSQL with these databases and Airflow's components, and
answers with lines on standard output: `progress TEXT`, `ready`, `failed TEXT` (JSON strings). When standard input ends
(the parent closed it, or died, however it died) or a signal comes, everything that was started stops. On Linux orphans
are adopted, so tasks that left their process group are found too.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from examples.demo.postgres import Postgres, PostgresError

COMPONENTS = {
    "api-server": ["api-server"],
    # Their log servers would listen on all addresses; the api-server reads the log files of this machine directly.
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
GRACE_SECONDS = 6.0
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded before any fork needs it
TAIL_LINES = 25


class StartFailed(Exception):
    pass


class Keeper:
    def __init__(self, order: dict[str, Any]) -> None:
        self.home = Path(order["home"])
        self.sockets = Path(order["sockets"])
        self.base_url = order["base_url"]
        self.environment: dict[str, str] = order["environment"]
        self.databases: list[str] = order["databases"]
        self.start_seconds: float = order["start_seconds"]
        self.logs = self.home / "component-logs"
        self.stopping = threading.Event()
        self.components: dict[str, subprocess.Popen[bytes]] = {}
        self.postgres: Postgres | None = None

    def start(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        for log in self.logs.glob("*.log"):
            log.unlink()
        say("progress", "starting PostgreSQL for Airflow")
        self.postgres = Postgres(
            data=self.home / "postgres",
            sockets=self.sockets,
            log=self.logs / "postgres.log",
            before_exec=die_with_parent,
        )
        try:
            self.postgres.start()
            for name in self.databases:
                self.postgres.create_database(name)
        except PostgresError as error:
            raise StartFailed(f"{error}\n{tail(self.logs / 'postgres.log')}") from error
        self._migrate()
        say("progress", "starting Airflow's api-server, scheduler, dag processor and triggerer")
        for name, arguments in COMPONENTS.items():
            self.components[name] = self._run(name, arguments)
        self._wait_until_healthy()

    def watch(self) -> None:
        """Returns when asked to stop; a component that ends by itself is a failure."""
        while not self.stopping.wait(1.0):
            self._check_components()

    def stop(self) -> None:
        """Everything goes, tasks included: politely first, by force after `GRACE_SECONDS`; PostgreSQL goes last."""
        postgres = self.postgres.process.pid if self.postgres and self.postgres.process else None
        for process in self.components.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        while (left := descendants(without=postgres)) and time.monotonic() < deadline:
            psutil.wait_procs(left, timeout=0.1)
        for _ in range(50):  # a dying parent may still have forked
            left = descendants(without=postgres)
            for process in left:
                send(process, signal.SIGKILL)
            if not left:
                break
            psutil.wait_procs(left, timeout=0.2)
        if self.postgres:
            self.postgres.stop()
        shutil.rmtree(self.sockets, ignore_errors=True)

    def _migrate(self) -> None:
        made_by = self.home / "postgres" / "airflow-version.txt"
        now = version("apache-airflow")
        if made_by.exists() and made_by.read_text() == now:
            return
        say("progress", "making Airflow's tables")
        process = self._run("db-migrate", ["db", "migrate"])
        log = self.logs / "db-migrate.log"
        deadline = time.monotonic() + self.start_seconds
        while process.poll() is None:
            if self.stopping.wait(0.1):
                raise StartFailed("stopped while starting")
            if time.monotonic() > deadline:
                raise StartFailed(f"Airflow's tables were not made within {self.start_seconds:.0f} s.\n{tail(log)}")
        if process.returncode != 0:
            raise StartFailed(f"`airflow db migrate` failed.\n{tail(log)}")
        made_by.write_text(now)

    def _run(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        with (self.logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "airflow", *arguments],
                env=self.environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 (no thread of ours holds a lock while forking)
            )

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + self.start_seconds
        waiting_for = ""
        while True:
            self._check_components()
            sick = unhealthy(self.base_url)
            if not sick:
                return
            if sick != waiting_for:
                waiting_for = sick
                say("progress", f"waiting for Airflow's {sick}")
            if time.monotonic() > deadline:
                log = self.logs / f"{sick}.log"
                raise StartFailed(f"Airflow's {sick} was not healthy within {self.start_seconds:.0f} s.\n{tail(log)}")
            if self.stopping.wait(0.3):
                raise StartFailed("stopped while starting")

    def _check_components(self) -> None:
        for name, process in self.components.items():
            if process.poll() is not None:
                raise StartFailed(
                    f"Airflow's {name} ended (exit code {process.returncode}).\n{tail(self.logs / f'{name}.log')}"
                )


def say(word: str, text: str = "") -> None:
    with contextlib.suppress(OSError):  # nobody listens any more; standard input tells the same
        print(word, json.dumps(text), flush=True)


def tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join([f"The end of {log}:", *(f"  {line}" for line in lines[-TAIL_LINES:])])


def unhealthy(base_url: str) -> str:
    """The first component that is not up yet, or ""."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{base_url}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except (OSError, ValueError):
        return "api-server"
    parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
    sick = next((part for part in parts if (health.get(part) or {}).get("status") != "healthy"), "")
    return sick.replace("_", "-")


def descendants(*, without: int | None) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        if child.pid != without:
            found.append(child)
            try:
                found += child.children(recursive=True)
            except psutil.NoSuchProcess:
                continue
    return [process for process in found if alive(process)]


def alive(process: psutil.Process) -> bool:
    """An adopted orphan that ended is reaped here: nobody else would."""
    try:
        if process.status() != psutil.STATUS_ZOMBIE:
            return True
        if process.ppid() == os.getpid():
            os.waitpid(process.pid, os.WNOHANG)
    except (psutil.NoSuchProcess, ChildProcessError):
        pass
    return False


def send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def prctl(option: int, value: int) -> None:
    if LIBC is not None:
        LIBC.prctl(option, value, 0, 0, 0)


def die_with_parent() -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def watch_over_this_group() -> "subprocess.Popen[bytes]":
    """Ends our process group should we be killed: a scheduler whose database went first may ignore SIGTERM for ever.

    The watcher waits for the end of a pipe that only we hold.
    """
    command = f"read _; sleep {GRACE_SECONDS}; kill -s KILL -- -{os.getpgid(0)}"
    return subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, start_new_session=True)


def lock(home: Path) -> Any:
    """Held as long as this process lives; two Airflows on one home would ruin each other."""
    handle = (home / "keeper.lock").open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartFailed(
            f"Another start is using {home} already. Stop that one first (Ctrl-C where it runs)."
        ) from None
    return handle


def main() -> int:
    order = json.loads(sys.stdin.readline())
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    keeper = Keeper(order)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: keeper.stopping.set())

    def parent_gone() -> None:
        sys.stdin.read()
        keeper.stopping.set()

    threading.Thread(target=parent_gone, daemon=True).start()
    watcher = watch_over_this_group()
    try:
        held = lock(keeper.home)
        keeper.start()
        say("ready")
        keeper.watch()
    except StartFailed as error:
        say("failed", str(error))
        return 1
    finally:
        keeper.stop()
        watcher.terminate()
        watcher.wait()
    held.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
