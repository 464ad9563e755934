"""A retry of 10,000 indices through the panel as its users run it, beside the bare clears of the same size.

Each side has a run of its own, copies of each other; the bare clears are made before and after ours, so that both meet
the same machine. The Dag is paused: what is cleared waits, and Airflow has nothing else to do than clear. The panel has
read all runs before: what it costs to mirror them is measured by `benchmarks.mirroring`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from benchmarks.part import Figure, Order, answer, percentile, read_order, shown
from benchmarks.seeding import DAG, TASK
from benchmarks.served_panel import page_of, served_panel, signed_in, wait_until_complete
from examples.demo.panel import Panel

COUNT, CHUNK = 10_000, 200
COPIES = 3
"""Runs that one round takes: the bare clears, ours, the bare clears again."""
CALM_LOOKS, LOOK_EVERY_SECONDS = 30, 0.5
LONGEST_SECONDS = 1_200.0


def main(order: Order, database: str) -> list[Figure]:
    with psycopg.connect(order.airflow_database, autocommit=True) as airflow:
        order.airflow.patch(f"/dags/{DAG}", json={"is_paused": True}).raise_for_status()
        first, ours, last = _taken(order.copies, database)
        settings = {}
        if database == "postgresql":
            airflow.execute("CREATE DATABASE retries")
            settings["DATABASE_URL"] = order.postgresql.replace("/panel?", "/retries?")
        with served_panel(order, order.base_url, 18390, settings=settings) as panel:
            for run_id in order.copies:
                wait_until_complete(panel, DAG, run_id, TASK)
            bare = bare_clears(order, first)
            wait_until_complete(panel, DAG, first, TASK)  # cleared as a whole, it is read anew
            job = _retry(order, panel, airflow, ours)
            bare = (bare + bare_clears(order, last)) / 2
    section = f"A retry of all indices ({'SQLite' if database == 'sqlite' else 'PostgreSQL'})"
    before, during = (
        f"{shown(percentile(looks, 0.5))}, p95 {shown(percentile(looks, 0.95))}" for looks in (job.calm, job.meanwhile)
    )
    return [
        Figure(section, "preview", COUNT, "", shown(job.preview)),
        Figure(section, "accepted, after a preview", COUNT, "", shown(job.accepted), None, "≤ 0.5 s"),
        Figure(section, "first instance cleared in Airflow, from the request on", COUNT, "", shown(job.first_effect),
               None, "≤ 2 s"),
        Figure(section, f"all cleared and the run started, in chunks of {CHUNK}", COUNT, f"bare clears {shown(bare)}",
               shown(job.all_cleared), job.all_cleared / bare, "≤ 1.3"),
        Figure(section, "the page of the mapped task meanwhile", COUNT, "", f"{during} (before: {before})"),
    ]  # fmt: skip


@dataclass
class Job:
    """Seconds; ``first_effect`` and ``all_cleared`` from the moment the request for the job was sent."""

    preview: float = 0.0
    accepted: float = 0.0
    first_effect: float = 0.0
    all_cleared: float = 0.0
    calm: list[float] = field(default_factory=list)
    meanwhile: list[float] = field(default_factory=list)


def _taken(copies: list[str], database: str) -> list[str]:
    """The runs of this round: what was cleared once is no longer a copy of the others."""
    start = COPIES * ["sqlite", "postgresql"].index(database)
    return copies[start : start + COPIES]


def bare_clears(order: Order, run_id: str) -> float:
    """What a careful script does: all chunks without starting the run, which the last one does (AIRFLOW.md §5)."""
    began = time.perf_counter()
    for start in range(0, COUNT, CHUNK):
        body = {
            "dry_run": False, "dag_run_id": run_id, "only_failed": False, "reset_dag_runs": start + CHUNK >= COUNT,
            "task_ids": [[TASK, index] for index in range(start, start + CHUNK)], "prevent_running_task": True,
            "note": "bare clear",
        }  # fmt: skip
        order.airflow.post(f"/dags/{DAG}/clearTaskInstances", json=body).raise_for_status()
    return time.perf_counter() - began


def _retry(order: Order, panel: Panel, airflow: psycopg.Connection[Any], run_id: str) -> Job:
    job = Job()
    page = page_of(DAG, run_id, TASK)
    browser = signed_in(panel)
    for _ in range(CALM_LOOKS):
        job.calm.append(_look(browser, page))
    headers = {"Authorization": f"Bearer {panel.token}"}
    with httpx.Client(base_url=panel.base_url, headers=headers, timeout=120) as program:
        known = program.get("/api/v1/mapped-tasks/", params={"run_id": run_id, "task_id": TASK}).json()["results"][0]
        ask = {"mapped_task": known["id"], "selection": {"indices": "0-"}, "include_settled": True}
        began = time.perf_counter()
        preview = program.post("/api/v1/retry-jobs/preview/", json=ask)
        preview.raise_for_status()
        job.preview = time.perf_counter() - began
        body = ask | {"plan_token": preview.json()["plan_token"], "reason": "benchmark", "chunk_size": CHUNK}
        began = time.perf_counter()
        with _looking(browser, page, job.meanwhile), _watching(order, run_id, job, began):
            made = program.post("/api/v1/retry-jobs/", json=body)
            job.accepted = time.perf_counter() - began
            made.raise_for_status()
            if made.json()["total"] != COUNT:
                raise SystemExit(f"The job has {made.json()['total']} indices.")
            _wait_until_started(airflow, run_id)
            job.all_cleared = time.perf_counter() - began
    return job


def _look(browser: httpx.Client, page: str) -> float:
    began = time.perf_counter()
    browser.get(page).raise_for_status()
    return time.perf_counter() - began


@contextmanager
def _looking(browser: httpx.Client, page: str, taken: list[float]) -> Iterator[None]:
    """Somebody opens the list again and again meanwhile."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_EVERY_SECONDS):
            taken.append(_look(browser, page))

    with _alongside(look, over):
        yield


@contextmanager
def _watching(order: Order, run_id: str, job: Job, began: float) -> Iterator[None]:
    """When the first instance is cleared, by Airflow's own database: its API has enough to do."""
    over = threading.Event()

    def watch() -> None:
        with psycopg.connect(order.airflow_database, autocommit=True) as database:
            while not over.wait(0.02):
                if _cleared(database, run_id):
                    job.first_effect = time.perf_counter() - began
                    return

    with _alongside(watch, over):
        yield


@contextmanager
def _alongside(work: Any, over: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _wait_until_started(airflow: psycopg.Connection[Any], run_id: str) -> None:
    """All of it is cleared, and the run is no longer finished."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        state = airflow.execute("SELECT state FROM dag_run WHERE dag_id = %s AND run_id = %s", [DAG, run_id]).fetchone()
        if state and state[0] == "queued" and _cleared(airflow, run_id) == COUNT:
            return
        time.sleep(0.1)
    raise SystemExit(f"{_cleared(airflow, run_id)} of {COUNT} instances were cleared in {LONGEST_SECONDS:.0f} s.")


def _cleared(database: psycopg.Connection[Any], run_id: str) -> int:
    row = database.execute(
        "SELECT count(*) FROM task_instance WHERE dag_id = %s AND run_id = %s AND task_id = %s AND state IS NULL",
        [DAG, run_id, TASK],
    ).fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    answer(main(read_order(), sys.argv[1]))
