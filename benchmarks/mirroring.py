"""Mirroring a whole map, beside the bare bulk request that it needs."""

from __future__ import annotations

import resource
import sys
import time
from statistics import fmean

from benchmarks.environment import set_up
from benchmarks.part import Figure, Order, answer, read_order, shown, timed
from benchmarks.seeding import DAG, TASK

SECTION = "Mirroring"
MOST_ROWS = 10_000
ROUNDS = 12
"""Of 10,000. Single ones differ by a third, on both sides."""


def main(order: Order, count: int) -> list[Figure]:
    from benchmarks.panel_side import empty_task, mirrored_task
    from panel.mirror.claims import claim
    from panel.mirror.sync.instances import read_instances
    from panel.servers.client import open_client

    def mirror() -> float:
        task = empty_task(order, count)
        with open_client(task.run.dag.server) as airflow:
            airflow.version()
            held = claim(task)
            assert held is not None
            began = time.perf_counter()
            read_instances(airflow, held, full=True)
            taken = time.perf_counter() - began
            held.release()
        if held.row.total != count:
            raise SystemExit(f"{held.row.total} of {count} instances were mirrored")
        return taken

    rounds = ROUNDS if count <= MOST_ROWS else 1
    theirs, ours = [], []
    bulk(order, min(count, MOST_ROWS))  # Airflow's first answer takes longer
    for _ in range(rounds):  # in turn, so that both meet the same machine
        theirs.append(timed(lambda: bulk(order, count)))
        ours.append(mirror())
    bare, taken = fmean(theirs), fmean(ours)
    before = time.perf_counter()
    mirrored_task(order, count)
    everything = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        Figure(SECTION, "every state, from nothing", count, f"bare bulk request {shown(bare)}", shown(taken),
               taken / bare, "≤ 1.25 at 10,000; linear"),
        Figure(SECTION, "states, results and errors, from nothing", count, "", shown(everything)),
        Figure(SECTION, "peak memory of the process that did it", count, "", f"{peak:.0f} MB", None, "≤ 300 MB"),
    ]  # fmt: skip


def bulk(order: Order, count: int) -> None:
    """The body is read, nothing is made of it."""
    for offset in range(0, count, MOST_ROWS):
        body = {
            "dag_ids": [DAG], "dag_run_ids": [order.runs[count]], "task_ids": [TASK],
            "page_limit": MOST_ROWS, "page_offset": offset, "order_by": "map_index",
        }  # fmt: skip
        order.airflow.post("/dags/~/dagRuns/~/taskInstances/list", json=body).raise_for_status()


if __name__ == "__main__":
    set_up()
    answer(main(read_order(), int(sys.argv[1])))
