"""A process of its own that uses the slots of one server, as a web process or a worker does.

``python -m tests.servers.slot_user call BASE_URL LIMIT THREADS CALLS``: each thread calls Airflow that many times;
``crowd`` instead of ``call``: handing on slots.
``python -m tests.servers.slot_user hold NAME LIMIT``: takes all slots, says "held", and never gives them back.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial

import django

django.setup()

from panel.airflow import Airflow, BearerToken  # noqa: E402 - after django.setup()
from panel.servers import slots  # noqa: E402 - as above


def call(base_url: str, limit: str, threads: str, calls: str, *, crowd: bool = False) -> None:
    leases = slots.LeasedSlots("shared", limit=int(limit), wait_seconds=60)
    with (
        Airflow(base_url, BearerToken("t"), slots=leases, max_in_flight=8) as airflow,
        airflow.crowd() if crowd else nullcontext(),
        ThreadPoolExecutor(int(threads)) as pool,
    ):
        for version in pool.map(lambda _: airflow.version(), range(int(threads) * int(calls))):
            assert version.version == "3.3.2"


def hold(name: str, limit: str) -> None:
    slots.LEASE_SECONDS, slots.RENEW_SECONDS = 1.0, 0.2
    held = threading.Barrier(int(limit) + 1)

    def keep_one() -> None:
        with slots.LeasedSlots(name, limit=int(limit), wait_seconds=5).hold():
            held.wait()
            time.sleep(600)

    for _ in range(int(limit)):
        threading.Thread(target=keep_one, daemon=True).start()
    held.wait()
    sys.stdout.write("held\n")
    sys.stdout.flush()
    time.sleep(600)


if __name__ == "__main__":
    {"call": call, "crowd": partial(call, crowd=True), "hold": hold}[sys.argv[1]](*sys.argv[2:])
