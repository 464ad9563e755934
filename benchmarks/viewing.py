"""One viewer and 200 viewers of the same run: what Airflow is asked, and what an unchanged poll costs."""

from __future__ import annotations

import re
import sys
import threading
import time
from html import unescape

import httpx

from benchmarks.counting_proxy import CountingProxy
from benchmarks.part import Figure, Order, answer, percentile, read_order, shown
from benchmarks.seeding import DAG as BIG_DAG
from benchmarks.seeding import TASK as BIG_TASK
from benchmarks.served_panel import page_of, served_panel, signed_in, wait_until_complete

SECTION = "Viewers"
DAG, TASK = "long_map", "wait"
VIEWERS, WINDOW_SECONDS, POLL_SECONDS = 200, 300.0, 3.0
"""The window is as long as the slowest rhythm there is, a Dag's of five minutes: else one of the two may hold it."""
STRETCH_SECONDS = 30.0
"""A multiple of the rhythms there are: the watched map, the sweeps, the health check."""


def main(order: Order) -> list[Figure]:
    run_id = order.airflow.post(f"/dags/{DAG}/dagRuns", json={"logical_date": None}).json()["dag_run_id"]
    with CountingProxy(order.base_url) as proxy, served_panel(order, proxy.base_url, 18390) as panel:
        for known in order.runs.values():  # while a panel reads the other runs it asks Airflow evenly, too
            wait_until_complete(panel, BIG_DAG, known, BIG_TASK)
        page = page_of(DAG, run_id, TASK)
        browser = signed_in(panel)
        poll = _poll_address(browser, page)
        _wait_until_steady(proxy)
        one, _ = _watch(proxy, browser, poll, 1)
        many, taken = _watch(proxy, browser, poll, VIEWERS)
    return [
        Figure(SECTION, f"requests to Airflow in {WINDOW_SECONDS:.0f} s, 1 and {VIEWERS} viewers", 6,
               f"{one} (one viewer)", f"{many} ({VIEWERS} viewers)", many / one, "1 ± 0.05"),
        Figure(SECTION, "a poll while 200 look, p50 / p99", 6, "",
               f"{shown(percentile(taken, 0.5))} / {shown(percentile(taken, 0.99))}"),
    ]  # fmt: skip


def _poll_address(browser: httpx.Client, page: str) -> str:
    for _ in range(60):
        found = re.search(r'data-poll hx-get="([^"]+)"', browser.get(page).text)
        if found:
            return unescape(found[1])
        time.sleep(1)
    raise SystemExit("The page never polled.")


def _wait_until_steady(proxy: CountingProxy) -> None:
    """Until what was there before is mirrored: two stretches alike."""
    last = 0
    for _ in range(12):
        before = proxy.count
        time.sleep(STRETCH_SECONDS)
        found = proxy.count - before
        if last and abs(found - last) <= 0.1 * last:
            return
        last = found
    raise SystemExit("The panel never came to rest.")


def _watch(proxy: CountingProxy, browser: httpx.Client, poll: str, viewers: int) -> tuple[int, list[float]]:
    """So many pages that poll as the real one does; how often Airflow was asked meanwhile, how long each poll took."""
    taken: list[float] = []
    ends = time.monotonic() + WINDOW_SECONDS
    before = proxy.asked.copy()

    def look(place: int) -> None:
        address = poll
        time.sleep(POLL_SECONDS * place / viewers)
        while time.monotonic() < ends:
            began = time.perf_counter()
            news = browser.get(address, headers={"HX-Request": "true"})
            taken.append(time.perf_counter() - began)
            news.raise_for_status()
            if found := re.search(r'data-poll hx-get="([^"]+)"', news.text):
                address = unescape(found[1])
            time.sleep(max(0.0, POLL_SECONDS - taken[-1]))

    threads = [threading.Thread(target=look, args=(place,)) for place in range(viewers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = proxy.asked - before
    sys.stderr.write(f"{viewers} looking: {dict(asked.most_common())}\n")
    return asked.total(), taken


if __name__ == "__main__":
    answer(main(read_order()))
