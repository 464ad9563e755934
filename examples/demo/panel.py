"""The panel as the demo runs it: `config.run` as a process, filled through manage.py, asked through its API."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from examples.demo.ports import LOOPBACK, free_port

REPOSITORY = Path(__file__).resolve().parents[2]
# The demo is SQLite and the embedded broker, whatever the caller's shell says about an install of their own.
NOT_PASSED_ON = ("DATABASE_URL", "REDIS_URL", "MAPBOARD_ENV", "SECRET_KEY", "ALLOWED_HOSTS", "MAPBOARD_ENCRYPTION_KEYS")
STOP_SECONDS = 20
TAIL_LINES = 25


class PanelFailed(Exception):
    """What the panel did not do, with the end of its log."""


class Panel:
    """var: where everything of the panel is kept. port: the first one tried; a taken one is stepped over.
    settings: more of the panel's own (docs/settings.md)."""

    def __init__(self, *, var: Path, log: Path, port: int = 8000, settings: Mapping[str, str] | None = None) -> None:
        self.log = log
        self.base_url = ""
        self.token = ""
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        kept = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in NOT_PASSED_ON}
        self._environment = kept | {"MAPBOARD_VAR_DIR": str(var)} | dict(settings or {})

    def start(self) -> None:
        """Returns at once; `wait_until_up` waits."""
        port = free_port(self._port)
        self.base_url = f"http://{LOOPBACK}:{port}"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "config.run", "--until-stdin-closes"],
                cwd=REPOSITORY,
                env=self._environment | {"PORT": str(port)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demo only, which stops things in order
            )

    def wait_until_up(self, *, timeout_seconds: float = 90) -> None:
        self._poll(lambda: self._status("/healthz") == 200, "answer", timeout_seconds)

    def wait_until_ready(self, *, timeout_seconds: float = 90) -> None:
        """Database, broker and worker all work."""
        self._poll(lambda: self._status("/readyz") == 200, "become ready", timeout_seconds)

    def wait_until_mirrored(self, server: str, dag_id: str, run_id: str, *, timeout_seconds: float = 90) -> None:
        """The run's mapped task is in the panel, with its instances."""
        where = f"?server={quote(server)}&dag_id={quote(dag_id)}&run_id={quote(run_id)}"

        def mirrored() -> bool:
            return any(task["total"] > 0 for task in self.get(f"/api/v1/mapped-tasks/{where}")["results"])

        self._poll(mirrored, f"mirror the run {run_id} of {dag_id}", timeout_seconds)

    def python(self, *arguments: str, secrets: Sequence[str] = ()) -> str:
        """One command in the panel's environment, its secrets on standard input, one a line; what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            input="".join(f"{secret}\n" for secret in secrets),
            env=self._environment,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise PanelFailed(f"`python {' '.join(arguments)}` failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def get(self, path: str) -> Any:
        """A JSON answer of the REST API, or PanelFailed with its message."""
        try:
            with self._open(path) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read(2000).decode(errors="replace")
            raise PanelFailed(f"the panel answered {error.code} to {path}: {text}") from None
        except (OSError, ValueError) as error:
            raise PanelFailed(f"the panel did not answer {path}: {error}") from None

    def failure(self) -> str:
        """Why the panel is not running (any more), or "" while it runs."""
        if self._process is None:
            return "The panel was not started."
        if self._process.poll() is not None:
            return f"The panel ended (exit code {self._process.returncode}).\n{self._end_of_log()}"
        return ""

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stdin is not None
        process.stdin.close()

    def _poll(self, done: Any, what: str, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        last = ""
        while True:
            if failure := self.failure():
                raise PanelFailed(failure)
            try:
                if done():
                    return
            except PanelFailed as error:
                last = f"{error}\n"
            if time.monotonic() > deadline:
                raise PanelFailed(
                    f"the panel did not {what} within {timeout_seconds:.0f} s.\n{last}{self._end_of_log()}"
                )
            time.sleep(0.3)

    def _status(self, path: str) -> int:
        try:
            with self._open(path) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            raise PanelFailed(f"{path} answered {error.code}: {error.read(500).decode(errors='replace')}") from None
        except OSError as error:
            raise PanelFailed(f"{path}: {error}") from None

    def _open(self, path: str) -> Any:
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(urllib.request.Request(self.base_url + path, headers=headers), timeout=30)

    def _end_of_log(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:] if self.log.exists() else []
        return "\n".join([f"The end of {self.log}:", *(f"  {line}" for line in lines)])
