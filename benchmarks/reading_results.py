"""Reading the results of a run, in each of the three ways, beside the bare requests that the way needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from statistics import fmean
from unittest.mock import patch

from benchmarks.environment import set_up
from benchmarks.part import Figure, Order, answer, read_order, shown, timed
from benchmarks.seeding import DAG, TASK

SECTION = "Results"
COUNT = 10_000
ROUNDS = 48
"""An even number: see ``in_turn``."""
SINGLE_COUNT = 1_000
SINGLE_ROUNDS = 24
"""An even number, too, and so many because the endpoint's rate goes up and down by a fifth within a minute."""
CONNECTIONS = (1, 2, 4)
TRIALS = 2


def main(order: Order, reader: str) -> list[Figure]:
    if reader == "plugin":
        bare, taken = in_turn(lambda: read_plugin(order), order, reader)
        return [Figure(SECTION, "by the plug-in", COUNT, f"bare request {shown(bare)}", shown(taken), taken / bare,
                       "≤ 2 s")]  # fmt: skip
    if reader == "wait":
        bare, taken = in_turn(lambda: read_wait(order), order, reader)
        return [Figure(SECTION, "by /wait", COUNT, f"bare request {shown(bare)}", shown(taken), taken / bare, "≤ 1.3")]
    connections = fastest(order)
    bare, taken = in_turn(lambda: read_singly(order, connections), order, reader, SINGLE_COUNT, SINGLE_ROUNDS)
    theirs, ours = (succeeded(SINGLE_COUNT) / seconds for seconds in (bare, taken))
    return [Figure(SECTION, "one by one, a second", SINGLE_COUNT, f"{theirs:.0f} at best", f"{ours:.0f}", ours / theirs,
                   "≥ 0.9")]  # fmt: skip


def in_turn(
    bare: Callable[[], object], order: Order, reader: str, count: int = COUNT, rounds: int = ROUNDS
) -> tuple[float, float]:
    """Mean seconds of each. No medians: about each third of Airflow's answers of this size takes three times as long as
    the others, on both sides. Who comes first changes from round to round: Airflow has then just sent all states."""
    theirs, ours = [], []
    for turn in range(rounds + 1):
        with unread(order, count, reader) as read:
            for ask, seconds in ((bare, theirs), (read, ours))[:: 1 if turn % 2 else -1]:
                seconds.append(timed(ask))
    return fmean(theirs[1:]), fmean(ours[1:])  # the first round is not counted


@contextmanager
def unread(order: Order, count: int, reader: str) -> Iterator[Callable[[], object]]:
    """All states are mirrored and no result is read; what is given reads, judges and stores every result."""
    from benchmarks.panel_side import empty_task
    from panel.airflow.bulk_reads import BulkReadsNamespace
    from panel.airflow.errors import Unsupported
    from panel.airflow.runs import RunsNamespace
    from panel.mirror.claims import claim
    from panel.mirror.sync.instances import read_instances
    from panel.mirror.sync.results import read_results
    from panel.servers.client import open_client

    def without(kind: type, name: str, answers: object) -> AbstractContextManager[object]:
        return patch.object(kind, name, **({"return_value": answers} if answers is False else {"side_effect": answers}))

    plugin = without(BulkReadsNamespace, "available", False)
    wait = without(RunsNamespace, "results", Unsupported("switched off for this measurement"))
    switched_off = {"plugin": [], "wait": [plugin], "single": [plugin, wait]}[reader]
    with ExitStack() as stack:
        for patcher in switched_off:
            stack.enter_context(patcher)
        task = empty_task(order, count)
        airflow = stack.enter_context(open_client(task.run.dag.server))
        held = claim(task)
        assert held is not None
        read_instances(airflow, held, full=True)

        def read() -> None:
            while read_results(airflow, held):
                pass

        yield read
        held.release()
    if held.row.unread_results:
        raise SystemExit(f"{held.row.unread_results} of {count} results were not read")


def read_plugin(order: Order) -> None:
    address = f"{order.base_url}/mapboard{order.task_path(COUNT)}/results"
    order.airflow.get(address, params={"after": -1, "limit": COUNT}).raise_for_status()


def read_wait(order: Order) -> None:
    order.airflow.get(f"{order.run_path(COUNT)}/wait", params={"interval": 1, "result": TASK}).raise_for_status()


def fastest(order: Order) -> int:
    """Over how many connections the endpoint gives single results the fastest."""

    def seconds(connections: int) -> float:
        return fmean(timed(lambda: read_singly(order, connections)) for _ in range(TRIALS))

    return min(CONNECTIONS, key=seconds)


def read_singly(order: Order, connections: int) -> None:
    """As many single results as there are, nothing made of them."""
    address = f"/dags/{DAG}/dagRuns/{order.runs[SINGLE_COUNT]}/taskInstances/{TASK}/xcomEntries/return_value"

    def read(index: int) -> None:
        order.airflow.get(address, params={"map_index": index})

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(read, range(succeeded(SINGLE_COUNT))))


def succeeded(count: int) -> int:
    return sum(index % 40 != 39 and index % 200 != 7 for index in range(count))


if __name__ == "__main__":
    set_up()
    answer(main(read_order(), sys.argv[1]))
