"""`make bench`: Mapboard beside Airflow 3.3.2 on PostgreSQL, on the same machine and in the same run.

The runs of 10,000 and 100,000 instances are written into Airflow's database by `benchmarks.seeding`. Each part is a
process of its own with an empty mirror. Nothing fails for being slow: the table says what was measured, as a ratio
where Airflow does the same work, and what was asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from benchmarks.part import Figure
from benchmarks.retrying import COPIES
from benchmarks.seeding import DAG, seed
from examples.demo.airflow import REPOSITORY, AirflowStandalone

PARTS = {
    "mirroring": [["benchmarks.mirroring", "10000"], ["benchmarks.mirroring", "100000"]],
    "results": [["benchmarks.reading_results", "plugin"], ["benchmarks.reading_results", "wait"],
                ["benchmarks.reading_results", "single"]],
    "pages": [["benchmarks.paging", "sqlite"], ["benchmarks.paging", "postgresql"]],
    "browser": [["benchmarks.browsing"]],
    "viewers": [["benchmarks.viewing"]],
    "retries": [["benchmarks.retrying", "sqlite"], ["benchmarks.retrying", "postgresql"]],
}  # fmt: skip
LONGEST_SECONDS = 1_800
"""Of a part."""
COUNTS = (1_000, 10_000, 100_000)
TABLE = REPOSITORY / "docs" / "benchmarks.md"
MARK = "<!-- the last table of `make bench` follows -->"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=list(PARTS), nargs="*", help="these parts (all of them unless named)")
    parser.add_argument("--write", action="store_true", help=f"put the table into {TABLE.relative_to(REPOSITORY)}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mapboard-bench-") as home:
        airflow = AirflowStandalone(
            venv=REPOSITORY / "var" / "airflow",
            home=Path(home),
            dags={"benchmarks": REPOSITORY / "benchmarks" / "dags"},
            port=18300,
        )
        with airflow:
            order = prepared(airflow, options.only or list(PARTS))
            figures: list[Figure] = []
            failed = []
            for part in options.only or PARTS:
                for command in PARTS[part]:
                    try:
                        figures += run_part(command, order)
                    except PartFailed as error:
                        print(error, flush=True)
                        failed.append(" ".join(command))
    table = markdown(figures)
    print(f"\n{table}")
    if failed:
        raise SystemExit(f"Not measured, see above: {', '.join(failed)}")
    if options.write:
        head, _mark, _old = TABLE.read_text().partition(MARK)
        TABLE.write_text(f"{head}{MARK}\n\n{stamp()}\n\n{table}\n")


def prepared(airflow: AirflowStandalone, parts: list[str]) -> dict[str, Any]:
    """The runs that these parts need, and a database for the panel on Airflow's own PostgreSQL."""
    airflow.wait_for_dags([DAG, "long_map"])
    runs = {}
    for count in COUNTS if set(parts) - {"retries"} else ():
        print(f"Writing a run of {count:,} instances …", flush=True)
        runs[count] = finished_run(airflow)
        seed(airflow, runs[count], count)
    copies = [finished_run(airflow) for _ in range(len(PARTS["retries"]) * COPIES if "retries" in parts else 0)]
    for run_id in copies:
        print("Writing a run of 10,000 instances to be retried …", flush=True)
        seed(airflow, run_id, 10_000)
    with psycopg.connect(airflow.database_url, autocommit=True) as database:
        database.execute("CREATE DATABASE panel")
    return {
        "base_url": airflow.base_url,
        "username": "admin",
        "password": airflow.users["admin"],
        "runs": runs,
        "copies": copies,
        "airflow_database": airflow.database_url,
        "postgresql": airflow.database_url.replace("/airflow?", "/panel?"),
    }


def finished_run(airflow: AirflowStandalone) -> str:
    run = airflow.call("POST", f"/dags/{DAG}/dagRuns", {"logical_date": None, "conf": {}})
    path = f"/dags/{DAG}/dagRuns/{quote(run['dag_run_id'], safe='')}"
    while airflow.call("GET", path)["state"] not in {"success", "failed"}:
        time.sleep(0.5)
    return str(run["dag_run_id"])


class PartFailed(Exception):
    """A part did not come to figures; what it said."""


def run_part(command: list[str], order: dict[str, Any]) -> list[Figure]:
    """Raises PartFailed; the other parts are measured all the same."""
    print(f"{' '.join(command)} …", flush=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            check=False,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise PartFailed(f"{' '.join(command)} took more than {LONGEST_SECONDS} s") from error
    if done.returncode:
        raise PartFailed(f"{' '.join(command)} failed:\n{done.stdout[-2_000:]}{done.stderr[-4_000:]}")
    sys.stderr.write(done.stderr)
    figures = [Figure(**figure) for figure in json.loads(done.stdout.strip().splitlines()[-1])]
    print(markdown(figures), flush=True)
    return figures


def markdown(figures: list[Figure]) -> str:
    lines = [
        "| | what | indices | Airflow | Mapboard | ratio | asked for |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    section = ""
    for figure in figures:
        name, section = ("" if figure.section == section else figure.section), figure.section
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        lines.append(
            f"| {name} | {figure.what} | {figure.indices:,} | {figure.theirs} | {figure.ours} | {ratio} "
            f"| {figure.target} |"
        )
    return "\n".join(lines)


def stamp() -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, commit {commit}. Ratio: Mapboard ÷ Airflow; below 1 Mapboard is faster."
    )


if __name__ == "__main__":
    main()
