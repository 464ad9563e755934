"""A real Airflow for the demo and the live tests: own virtual environment, own PostgreSQL, loopback only.

Runs in the panel's Python and needs the standard library only. The work is done by `examples.demo.keeper`, a process
in Airflow's virtual environment that stops everything as soon as this process closes its pipe or dies.
"""

import atexit
import contextlib
import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from examples.demo.ports import LOOPBACK, free_port
from examples.demo.postgres import SUPERUSER

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_USERS = {"admin": "admin", "op": "op", "viewer": "viewer"}
# Nothing else of the caller's environment reaches Airflow: no secret of the panel, no AIRFLOW__… of somebody else's.
PASSED_ON = {"HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}
SOCKET_DIRECTORY_BYTES = 80


class AirflowFailed(Exception):
    """Airflow did not start or did not do what was asked; the text says what happened, where the log is, what to do."""


class AirflowStandalone:
    """One Airflow with its database.

    venv: made by `scripts/venv.sh VENV requirements/airflow.txt`.
    home: kept between starts (database, logs, passwords; mode 0700).
    dags: bundle name → folder.
    port: the first one tried; a taken port is stepped over.
    users: name → role of Airflow's simple auth manager; their passwords are generated once per home.
    environment: more variables for Airflow (AIRFLOW_VAR_…, AIRFLOW__…).
    databases: more of them on Airflow's PostgreSQL, each an Airflow connection of the same name.
    """

    def __init__(
        self,
        *,
        venv: Path,
        home: Path,
        dags: Mapping[str, Path],
        port: int = 8080,
        users: Mapping[str, str] = DEFAULT_USERS,
        environment: Mapping[str, str] | None = None,
        databases: Sequence[str] = (),
        progress: Callable[[str], None] = print,
    ) -> None:
        self.venv = venv.absolute()
        self.home = home.absolute()
        self.logs = self.home / "component-logs"
        self.dags = {name: folder.absolute() for name, folder in dags.items()}
        self.roles = dict(users)
        self.users: dict[str, str] = {}  # name → password, known after start()
        self.base_url = ""
        self._port = port
        self._environment = dict(environment or {})
        self._databases = databases
        self._progress = progress
        self._keeper: subprocess.Popen[str] | None = None
        self._sockets: Path | None = None
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, timeout_seconds: float = 240) -> None:
        """Returns when all components are healthy; raises AirflowFailed (after stopping everything) otherwise."""
        if self._keeper is not None:
            raise AirflowFailed("This Airflow was started already.")
        python = self.venv / "bin" / "python"
        if not python.exists():
            raise AirflowFailed(
                f"{python} is missing. Make it with: scripts/venv.sh {self.venv} requirements/airflow.txt"
            )
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.home.chmod(0o700)
        self.users = self._passwords()
        port = free_port(self._port)
        self.base_url = f"http://{LOOPBACK}:{port}"
        sockets = self._sockets = socket_directory()
        order = {
            "home": str(self.home),
            "sockets": str(sockets),
            "base_url": self.base_url,
            "environment": self._settings(port, sockets),
            "databases": ["airflow", *self._databases],
            "start_seconds": timeout_seconds,
        }
        self._keeper = subprocess.Popen(
            [python, "-m", "examples.demo.keeper"],
            cwd=REPOSITORY,
            env={name: value for name, value in os.environ.items() if name in PASSED_ON | {"PATH"}},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches us only; we decide when Airflow goes
        )
        atexit.register(self.stop)
        try:
            threading.Thread(target=self._listen, args=(self._keeper,), daemon=True).start()
            assert self._keeper.stdin is not None
            self._keeper.stdin.write(json.dumps(order) + "\n")
            self._keeper.stdin.flush()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops everything this start began. May be called twice, and after a failed start."""
        keeper, self._keeper = self._keeper, None
        atexit.unregister(self.stop)
        if keeper is None:
            return
        assert keeper.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it had ended before
            keeper.stdin.close()
        try:
            keeper.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(keeper.pid, signal.SIGKILL)
            keeper.wait()
        if self._sockets:  # the keeper removes it, unless it was killed
            shutil.rmtree(self._sockets, ignore_errors=True)

    @property
    def database_url(self) -> str:
        """Airflow's own database while it runs, for benchmarks that write into it: libpq's form, a Unix socket."""
        return self.url_of("airflow")

    def url_of(self, database: str) -> str:
        """One of the databases while Airflow runs, in libpq's form."""
        if self._sockets is None:
            raise AirflowFailed("Airflow was not started.")
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self._sockets), safe='')}"

    def failure(self) -> str:
        """Why Airflow is not running (any more), or "" while it runs."""
        if self._keeper is None:
            return "Airflow was not started."
        while not self._lines.empty():
            word, text = self._lines.get()
            if word == "failed":
                return text
        if self._keeper.poll() is not None:
            return f"Airflow's keeper ended (exit code {self._keeper.returncode}). Its logs are in {self.logs}."
        return ""

    def call(
        self, method: str, path: str, body: Any = None, *, user: str = "admin", timeout_seconds: float = 60
    ) -> Any:
        """One request to Airflow's REST API, `path` below /api/v2; the JSON answer. Raises urllib.error.HTTPError."""
        return self._request(
            method, f"/api/v2{path}", body, {"Authorization": f"Bearer {self.token(user)}"}, timeout_seconds
        )

    def token(self, user: str = "admin") -> str:
        login = {"username": user, "password": self.users[user]}
        token: str = self._request("POST", "/auth/token", login, {}, 30)["access_token"]
        return token

    def wait_for_dags(self, dag_ids: Iterable[str], *, timeout_seconds: float = 90) -> None:
        """Waits until the Dags were parsed and can be triggered; an import error ends the wait with its text."""
        missing = set(dag_ids)
        deadline = time.monotonic() + timeout_seconds
        while missing:
            missing -= {dag_id for dag_id in missing if self._knows(dag_id)}
            errors = self.call("GET", "/importErrors")["import_errors"] if missing else []
            if errors:
                raise AirflowFailed(f"Airflow could not import {errors[0]['filename']}:\n{errors[0]['stack_trace']}")
            if missing and time.monotonic() > deadline:
                log = self.logs / "dag-processor.log"
                raise AirflowFailed(f"Airflow did not find the Dags {', '.join(sorted(missing))} in time. See {log}.")
            if missing:
                time.sleep(0.5)

    def _knows(self, dag_id: str) -> bool:
        try:
            return not self.call("GET", f"/dags/{quote(dag_id, safe='')}")["is_stale"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise

    def _request(self, method: str, path: str, body: Any, headers: dict[str, str], timeout_seconds: float) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data=data, method=method, headers=headers)
        request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=timeout_seconds) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def _listen(self, keeper: "subprocess.Popen[str]") -> None:
        assert keeper.stdout is not None
        for line in keeper.stdout:
            word, _, text = line.partition(" ")
            self._lines.put((word, json.loads(text)))
        self._lines.put(("ended", ""))

    def _wait_until_ready(self) -> None:
        while True:
            word, text = self._lines.get()
            if word == "ready":
                return
            if word == "progress":
                self._progress(text)
            elif word == "failed":
                raise AirflowFailed(text)
            else:
                raise AirflowFailed(f"Airflow's keeper ended while starting. Its logs are in {self.logs}.")

    def _passwords(self) -> dict[str, str]:
        """The file is the one Airflow's simple auth manager reads; it keeps passwords that are there."""
        path = self.home / "passwords.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        passwords = {name: known.get(name) or secrets.token_urlsafe(12) for name in self.roles}
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(passwords, file)
        return passwords

    def _settings(self, port: int, sockets: Path) -> dict[str, str]:
        bundles = [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder)},
            }
            for name, folder in self.dags.items()
        ]
        database = f"postgresql+%s://{SUPERUSER}@/airflow?host={quote(str(sockets), safe='/')}"
        own = {name: value for name, value in os.environ.items() if name in PASSED_ON}
        return (
            own
            | {
                "PATH": os.pathsep.join([str(self.venv / "bin"), os.environ.get("PATH", os.defpath)]),
                "NO_PROXY": f"{LOOPBACK},localhost",
                "AIRFLOW_HOME": str(self.home),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__DAGS_FOLDER": str(next(iter(self.dags.values()))),
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
                "AIRFLOW__CORE__PARALLELISM": "8",
                "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                    f"{name}:{role}" for name, role in self.roles.items()
                ),
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.base_url}/execution/",
                "AIRFLOW__API__HOST": LOOPBACK,
                "AIRFLOW__API__PORT": str(port),
                "AIRFLOW__API__BASE_URL": self.base_url,
                "AIRFLOW__API__WORKERS": "1",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database % "psycopg2",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database % "asyncpg",
                "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
                "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
                "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
                "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "32",
                "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
                "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
                "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            }
            | {f"AIRFLOW_CONN_{name.upper()}": connection_to(name, sockets) for name in self._databases}
            | self._environment
        )


def connection_to(database: str, sockets: Path) -> str:
    """An Airflow connection as JSON."""
    return json.dumps({"conn_type": "postgres", "host": str(sockets), "login": SUPERUSER, "schema": database})


def socket_directory() -> Path:
    """A private directory whose path leaves room for a socket's name (the kernel allows about 100 bytes in all)."""
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > SOCKET_DIRECTORY_BYTES - len("/mapboard-12345678"):
        parent = "/tmp"  # always there on POSIX, and mkdtemp keeps others out
    return Path(tempfile.mkdtemp(prefix="mapboard-", dir=parent))
