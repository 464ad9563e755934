"""What the parts of `make bench` share. A part is a process of its own: it reads what it needs as JSON on standard
input, gets a database of its own, and answers with figures as the last line of its output.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from urllib.parse import quote

import httpx

from benchmarks.seeding import DAG, TASK


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. ``theirs`` and ``ours`` as they are to be read; ``ratio`` ours ÷ theirs where that is
    what counts; ``target`` what the issue asks for."""

    section: str
    what: str
    indices: int
    theirs: str
    ours: str
    ratio: float | None = None
    target: str = ""


@dataclass(frozen=True)
class Order:
    """Where Airflow is, and which of its runs has how many instances: ``{10000: run_id}``."""

    base_url: str
    username: str
    password: str
    runs: dict[int, str]
    postgresql: str = ""
    """An empty database for the panel."""
    copies: list[str] = field(default_factory=list)
    """Further runs of 10,000 instances, to be changed."""
    airflow_database: str = ""
    """Airflow's own, to look without asking its API."""

    @cached_property
    def airflow(self) -> httpx.Client:
        """A bare client, logged in: what any program that asks Airflow would pay."""
        login = httpx.post(f"{self.base_url}/auth/token", json={"username": self.username, "password": self.password})
        login.raise_for_status()
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        return httpx.Client(base_url=f"{self.base_url}/api/v2", headers=headers, timeout=300)

    def task_path(self, count: int) -> str:
        return f"/dags/{DAG}/dagRuns/{quote(self.runs[count], safe='')}/taskInstances/{TASK}"

    def run_path(self, count: int) -> str:
        return f"/dags/{DAG}/dagRuns/{quote(self.runs[count], safe='')}"


def read_order() -> Order:
    order = json.load(sys.stdin)
    order["runs"] = {int(count): run_id for count, run_id in order["runs"].items()}
    return Order(**order)


def answer(figures: Iterable[Figure]) -> None:
    print(json.dumps([asdict(figure) for figure in figures]))


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def shown(taken: float) -> str:
    return f"{taken * 1000:.0f} ms" if taken < 1 else f"{taken:.2f} s"
