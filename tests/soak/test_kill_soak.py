"""The kill soak: workers, broker and web die while a chunk is in flight, Airflow fails and loses answers; each index
still runs once, none is forgotten, and what is downstream runs once after all.

Sampled by .ci/run; ``make soak`` runs the full size (``SOAK=full``) with three seeds. Needs a PostgreSQL at
``MAPBOARD_SOAK_POSTGRES_URL`` (by default this machine's), in which it makes and removes a database of its own.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.airflow import RemoteFake
from tests.soak.databases import fresh_database
from tests.soak.panel import ROOT, Panel

pytestmark = [pytest.mark.soak, pytest.mark.enable_socket, pytest.mark.timeout(1_800)]


@dataclass(frozen=True)
class Size:
    """Two jobs: a large one, and a small one whose web process dies between commit and publish."""

    first: int
    second: int
    chunk: int
    workers_killed: int
    brokers_killed: int
    seeds: tuple[int, ...]


FULL = Size(9_000, 1_000, 100, 20, 4, (1, 2, 3))
SAMPLE = Size(1_300, 200, 50, 4, 1, (1,))
SIZE = FULL if os.environ.get("SOAK") == "full" else SAMPLE
SEEDS = [int(seed) for seed in os.environ.get("SOAK_SEEDS", "").split(",") if seed] or SIZE.seeds


@pytest.fixture(params=["sqlite", "postgres"])
def panel(request) -> Iterator[Panel]:
    with tempfile.TemporaryDirectory(prefix="soak-", dir="/tmp") as name:  # short: it holds a Unix socket
        directory = Path(name)
        with fresh_database(request.param, directory) as database:
            panel = Panel(
                directory,
                database,
                RETRY_LEASE_SECONDS="3",
                RETRY_UNSURE_SECONDS="3",
                AIRFLOW_TIMEOUT_SECONDS="5",
                MAPBOARD_API_RATE="100000/min",
            )
            try:
                yield panel
            finally:
                panel.stop()


@contextmanager
def served_airflow(seed: int) -> Iterator[Airflow]:
    runs = ["--run", f"r1={SIZE.first}", "--run", f"r2={SIZE.second}"]
    command = [sys.executable, "-m", "tests.soak.airflow", "--seed", str(seed), *runs]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            word, _, url = process.stdout.readline().strip().partition(" ")
            assert word == "ready"
            yield Airflow(url)
        finally:
            process.stdin.close()


class Airflow(RemoteFake):
    def gate(self, place: str = "", *, let: int = 0) -> None:
        """Whatever is held goes on; ``let`` clears pass, then each waits ``before`` or ``after`` it is carried out."""
        wanted = {"place": place, "let": let}
        httpx.post(f"{self.base_url}/_stage/gate", json=wanted, timeout=60, trust_env=False).raise_for_status()

    @property
    def soak(self) -> dict[str, Any]:
        return dict(httpx.post(f"{self.base_url}/_stage/soak", json={}, timeout=60, trust_env=False).json())


class Soak:
    """What happens to the panel, in an order that the seed decides."""

    def __init__(self, panel: Panel, airflow: Airflow, chance: random.Random) -> None:
        self.panel, self.airflow, self.chance = panel, airflow, chance
        self.tasks: dict[str, str] = {}
        self.jobs: dict[str, str] = {}
        self.killed: list[str] = []

    def prepare(self) -> None:
        panel, airflow = self.panel, self.airflow
        panel.prepare("soak", airflow.base_url, airflow.password("op"))
        panel.start()
        panel.note("started")
        self.tasks = {run_id: self._mirrored(run_id) for run_id in ("r1", "r2")}

    def _mirrored(self, run_id: str) -> str:
        place = {"server": "soak", "dag_id": "etl", "run_id": run_id, "task_id": "work"}

        def read() -> str | None:
            answer = self.panel.call("POST", "mapped-tasks/sync/", place)
            found = answer.json() if answer.status_code == 200 else {}
            failed = sum(found.get("counts", {}).get(name, 0) for name in ("hard_failure", "soft_failure"))
            return found["id"] if found.get("complete") and failed == self._count(run_id) else None

        return str(self.panel.until(read, f"the mirror of {run_id}", seconds=180))

    def _count(self, run_id: str) -> int:
        return {"r1": SIZE.first, "r2": SIZE.second}[run_id]

    # Jobs

    def ask(self, run_id: str) -> httpx.Response:
        body = {
            "mapped_task": self.tasks[run_id],
            "selection": {"outcomes": ["hard_failure", "soft_failure"]},
            "reason": "soak",
            "chunk_size": SIZE.chunk,
            "idempotency_key": f"soak-{run_id}",
        }
        return self.panel.call("POST", "retry-jobs/", body)

    def asked(self, run_id: str) -> None:
        """Again and again, as a person would while Airflow fails: the key makes one job of it."""

        def accepted() -> str | None:
            answer = self.ask(run_id)
            return answer.json()["id"] if answer.status_code in (200, 201) else None

        self.panel.note(f"ask for {run_id}")
        self.jobs[run_id] = self.panel.until(accepted, f"the job of {run_id}", seconds=120)

    def stored_jobs(self) -> int:
        return int(self.panel.database.rows("SELECT count(*) FROM retries_retryjob")[0][0])

    # Kills, each while a chunk is in flight

    def kill(self, what: str) -> None:
        """After up to two chunks that pass. Until the next kill each further chunk waits at the gate."""
        place = "after" if what == "web" else self.chance.choice(["before", "after"])
        self.airflow.gate(place, let=self.chance.randint(0, 2))
        self.panel.until(lambda: self.airflow.soak["held"], "a chunk in flight to kill at", seconds=300)
        name = {"worker": self.panel.worker_that_sends, "broker": lambda: "broker", "web": self._web_that_commits}[
            what
        ]()
        if name in self.panel.processes:
            self.panel.kill(name)
        assert self.airflow.soak["held"], f"the {what} was killed, but no chunk was in flight"
        self.killed.append(what)
        self.panel.note(f"killed {name} ({len(self.killed)}); {self.airflow.soak}")
        self.airflow.gate("after")
        self.panel.start_broker() if what == "broker" else self.panel.start_process(name)
        if what == "web":
            self.panel.fatal.unlink()
            self.panel.wait_for_web()
            self.asked("r2")
            assert self.stored_jobs() == 2, "asked for again with the same key, it is still one job"

    def _web_that_commits(self) -> str:
        """It dies by itself, once the second job is stored and before the worker is woken."""
        self.panel.fatal.touch()

        def died() -> bool:
            try:
                self.ask("r2")
            except httpx.TransportError:
                return True
            return False

        self.panel.until(died, "the end of the web process", seconds=60)
        self.panel.kill("web")
        assert self.stored_jobs() == 2, "it was committed before the process died"
        return "web"

    # The verdict

    def ended(self) -> None:
        for run_id, job_id in self.jobs.items():
            self.panel.until(
                lambda job_id=job_id: self.panel.get(f"retry-jobs/{job_id}/")["finished_at"],
                f"the end of the job of {run_id}",
                seconds=300,
            )

    def verdict(self, run_id: str) -> tuple[list[int], list[int]]:
        """Indices that did not run again, and indices that were cleared or ran more than once."""
        clears = self.airflow.clears("etl", run_id, "work")
        tries = self.airflow.tries_started("etl", run_id, "work")
        indices = range(self._count(run_id))
        missing = [index for index in indices if not tries.get(index)]
        return missing, [index for index in indices if tries.get(index, 0) > 1 or clears.get(index, 0) > 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_nothing_is_doubled(panel, seed, capsys):
    began = time.monotonic()
    chance = random.Random(seed)
    with served_airflow(seed) as airflow:
        soak = Soak(panel, airflow, chance)
        soak.prepare()
        soak.asked("r1")
        kills = ["worker"] * SIZE.workers_killed + ["broker"] * SIZE.brokers_killed + ["web"]
        chance.shuffle(kills)
        for what in kills:
            soak.kill(what)
        airflow.gate()
        soak.ended()
        said = airflow.soak
        verdicts = {run_id: soak.verdict(run_id) for run_id in soak.jobs}
        missing = [index for one, _ in verdicts.values() for index in one]
        doubled = [index for _, two in verdicts.values() for index in two]
        with capsys.disabled():
            sys.stdout.write(
                f"\nsoak on {type(panel.database).__name__}, seed {seed}: {SIZE.first + SIZE.second:,} indices, "
                f"killed {SIZE.workers_killed} workers, {SIZE.brokers_killed} brokers, 1 web process; "
                f"{said['faults'].get('503', 0)} × 503, {said['faults'].get('answer lost', 0)} answers lost, "
                f"at most {said['peak']} requests at once: {len(missing)} missing, {len(doubled)} doubled, "
                f"{time.monotonic() - began:.0f} s\n"
            )
        assert (missing, doubled) == ([], [])
        for run_id, job_id in soak.jobs.items():
            job = panel.get(f"retry-jobs/{job_id}/")
            counts = {state: count for state, count in job["counts"].items() if count}
            assert (job["state"], counts) == ("done", {"recovered": soak._count(run_id)})
            assert set(airflow.states("etl", run_id, "work").values()) == {"success"}
            assert airflow.tries_started("etl", run_id, "report") == {-1: 1}, "the aggregator ran once"
            assert airflow.clears("etl", run_id, "report") == {-1: 1}
        assert sorted(soak.killed) == sorted(kills)
        assert said["faults"].keys() == {"503", "answer lost"}, "Airflow failed in both ways"
