"""`make demo`: everything on this machine's loopback, ready to be clicked through, gone after Ctrl-C."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import uuid
from pathlib import Path
from typing import Any

from examples.demo import sources
from examples.demo.airflow import AirflowFailed, AirflowStandalone
from examples.demo.kubernetes_standin import KubernetesStandin
from examples.demo.panel import REPOSITORY, Panel, PanelFailed
from examples.demo.ports import free_port
from examples.demo.sources import S3Server, SourceFailed

SERVER = "demo"
PEOPLE = {
    "viewer": "sees",
    "operator": "sees and retries",
    "deployer": "sees and launches",
    "admin": "may do everything",
}
RUNS: dict[str, dict[str, Any]] = {
    "multi_region_deploy": {"env": "prod", "version": "1.4.2", "failing_region": "eu-west-1"},
    "s3_prefix_files": {"damaged_files": "3,17", "incomplete_files": "9"},
    "database_shards": {"broken_shards": "2", "empty_shards": "5"},
    "heavy_data": {"silent_segments": "2", "incomplete_segments": "1"},
    "resilient_processing": {},
}
AIRFLOW_SETTINGS = {"MAPBOARD_EXAMPLES_RETRY_SECONDS": "3"}


class StepFailed(Exception):
    pass


class Demo:
    def __init__(self) -> None:
        self.began = time.monotonic()
        self.var = Path(os.environ.get("MAPBOARD_VAR_DIR") or REPOSITORY / "var").absolute()
        self.home = self.var / "demo"
        for directory in (self.var, self.home):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            directory.chmod(0o700)
        self.passwords = kept_passwords(self.home / "logins.json")
        venv = REPOSITORY / "var" / "airflow"
        self.standin = KubernetesStandin()
        self.s3 = S3Server(venv=venv, log=self.home / "s3.log")
        # Both are chosen now: the one is not listening yet when the other looks for its own.
        port = free_port(wanted_port())
        airflow_port = free_port(8080, taken={port})
        self.xcoms = self.home / "xcoms"
        self.panel = Panel(
            var=self.var,
            log=self.home / "panel.log",
            port=port,
            settings={"MAPBOARD_XCOM_STORAGE": json.dumps([{"base": self.xcoms.as_uri()}])},
        )
        self.airflow = AirflowStandalone(
            venv=venv,
            home=self.home / "airflow",
            dags={"examples": REPOSITORY / "examples" / "dags"},
            port=airflow_port,
            environment=self.airflow_settings(),
            databases=sources.DATABASES,
            progress=self.say,
        )

    def airflow_settings(self) -> dict[str, str]:
        return (
            AIRFLOW_SETTINGS
            | {"AIRFLOW_VAR_KUBERNETES_API": self.standin.cluster_url}
            | sources.settings(self.s3, hash_secret=sources.kept_secret(self.home / "email-hash-secret"))
            | sources.xcoms_in(self.xcoms)
        )

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.began:4.0f} s] {text}", flush=True)

    def run(self) -> int:
        try:
            self.start()
            self.say("ready")
            print(self.banner(), flush=True)
            failure = self.watch()
            print(f"\n{failure}", file=sys.stderr)
        except (StepFailed, AirflowFailed, PanelFailed, SourceFailed, OSError) as error:
            print(f"\nThe demo could not start: {error}\n\n{self.advice()}", file=sys.stderr)
        except KeyboardInterrupt:
            print(flush=True)
            self.stop()
            return 0
        self.stop()
        return 1

    def start(self) -> None:
        self.say("preparing Airflow's virtual environment (the first time it is downloaded, about 270 MB)")
        make_environment()
        self.say("starting the stand-in Kubernetes API and the S3 server")
        self.standin.start()
        self.s3.start()
        self.say("starting the panel: database, web, worker, scheduler")
        self.panel.start()
        self.airflow.start()
        self.panel.wait_until_up()
        self.say("adding people and the Airflow server to the panel")
        self.fill_panel()
        self.say("filling the S3 bucket and the customers' databases")
        self.s3.wait_until_ready()
        sources.fill(self.airflow)
        self.say("starting one run of each example")
        runs = self.start_runs()
        self.say("waiting until the panel is ready and shows them")
        self.panel.wait_until_ready()
        for dag_id, run_id in runs.items():
            self.panel.wait_until_mirrored(SERVER, dag_id, run_id)

    def fill_panel(self) -> None:
        self.panel.python(
            *["-m", "examples.demo.fill", SERVER, self.airflow.base_url, "op", *self.passwords],
            secrets=[self.airflow.users["op"], *self.passwords.values()],
        )
        self.panel.token = self.api_token()

    def api_token(self) -> str:
        """The one of the last start, as long as the panel's database still knows it."""
        path = self.home / "api-token"
        if path.exists():
            self.panel.token = path.read_text().strip()
            with contextlib.suppress(PanelFailed):
                self.panel.get("/api/v1/servers/")
                return self.panel.token
        token = self.panel.python("manage.py", "create_api_token", "admin").splitlines()[-1].strip()
        write_private(path, token)
        return token

    def start_runs(self) -> dict[str, str]:
        self.airflow.wait_for_dags(RUNS)
        runs = {dag_id: f"demo-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}" for dag_id in RUNS}
        for dag_id, run_id in runs.items():
            body = {"logical_date": None, "dag_run_id": run_id, "conf": RUNS[dag_id], "note": "Started by make demo"}
            try:
                self.airflow.call("POST", f"/dags/{dag_id}/dagRuns", body)
            except urllib.error.HTTPError as error:
                raise StepFailed(f"Airflow refused a run of {dag_id}: {error.read(2000).decode()}") from None
        return runs

    def banner(self) -> str:
        width = max(map(len, PEOPLE))
        logins = [f"    {name:{width}}  {self.passwords[name]}   {may}" for name, may in PEOPLE.items()]
        line = "─" * 78
        return "\n".join(
            [
                *["", line, f"  Mapboard is ready:  {self.panel.base_url}", "", "  Log in as", *logins, ""],
                f"  Airflow itself:     {self.airflow.base_url}   (admin, {self.airflow.users['admin']})",
                f"  S3 API (moto):      {self.s3.base_url}   (bucket orders)",
                f"  API token (admin):  {self.home / 'api-token'}",
                f"  Logs:               {self.panel.log} and {self.airflow.logs}",
                *["", "  All five runs turn red until you retry what failed. Ctrl-C stops everything.", line, ""],
            ]
        )

    def watch(self) -> str:
        """Why something ended that should not have."""
        while True:
            if failure := self.panel.failure() or self.airflow.failure() or self.s3.failure():
                return failure
            time.sleep(1)

    def stop(self) -> None:
        # A second Ctrl-C must not leave half of it running.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        self.say("stopping everything")
        stops = [threading.Thread(target=stop) for stop in (self.panel.stop, self.airflow.stop)]
        for thread in stops:
            thread.start()
        for thread in stops:
            thread.join()
        self.standin.stop()
        self.s3.stop()
        self.say("stopped; nothing is left running")

    def advice(self) -> str:
        return (
            f"What to do: read the message above (all logs are in {self.home}), then run `make demo` again. It goes on "
            f"where it stopped.\nTo begin afresh, delete {self.home} and {self.var / 'mapboard.sqlite3'} first."
        )


def make_environment() -> None:
    (REPOSITORY / "var").mkdir(exist_ok=True, mode=0o700)
    command = [REPOSITORY / "scripts" / "venv.sh", "var/airflow", "requirements/airflow.txt", "airflow_plugin"]
    process = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)
    try:
        if process.wait() != 0:
            raise StepFailed("Airflow's virtual environment could not be made; the reason stands above.")
    finally:
        with contextlib.suppress(ProcessLookupError):  # Ctrl-C: downloads end too
            os.killpg(process.pid, signal.SIGTERM)


def wanted_port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise SystemExit(f"PORT must be a whole number from 1 to 65535, not {text!r}.")
    return int(text)


def kept_passwords(path: Path) -> dict[str, str]:
    known = json.loads(path.read_text()) if path.exists() else {}
    passwords = {name: known.get(name) or secrets.token_urlsafe(9) for name in PEOPLE}
    write_private(path, json.dumps(passwords, indent=2))
    return passwords


def write_private(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    sys.exit(Demo().run())
