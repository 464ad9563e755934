"""The page of a mapped task in a real browser, ours and Airflow's, both with a warm cache, by its address: in a tab
that shows the product already (the page of the run), and in a new one."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from shutil import which

from playwright.sync_api import BrowserContext, Playwright, sync_playwright

from benchmarks.part import Figure, Order, answer, read_order, shown
from benchmarks.seeding import DAG, TASK
from benchmarks.served_panel import page_of, served_panel, signed_in, wait_until_complete

SECTION = "In a browser"
IN_A_TAB = "in a tab of the product"
WAYS = (IN_A_TAB, "in a new tab")
ROUNDS, WARM_UP = 4, 2
"""Visits that count, and those before them: the first fills the cache, the second has scripts kept compiled. All within
the minute for which the panel's files are fresh outside production."""
TELL_WHEN_PAINTED = """
(selector) => {
  const painted = () => requestAnimationFrame(() => setTimeout(() => { window.rowsPainted = performance.now() }));
  const watch = new MutationObserver(() => {
    if (document.querySelector(selector)) { watch.disconnect(); painted(); }
  });
  watch.observe(document, { childList: true, subtree: true });
}
"""


@dataclass(frozen=True, slots=True)
class Visit:
    """Seconds from the start of the navigation until rows are painted; what went over the wire until it was quiet."""

    seconds: float
    requests: int
    kilobytes: float


class NothingPaintedError(Exception):
    """A page showed no row in a minute."""


def main(order: Order, counts: tuple[int, ...] = (10_000, 100_000)) -> list[Figure]:
    figures = []
    with served_panel(order, order.base_url, 18391) as panel, sync_playwright() as playwright:
        session = [
            {"name": cookie.name, "value": cookie.value, "url": panel.base_url}
            for cookie in signed_in(panel).cookies.jar
        ]
        token = order.airflow.headers["Authorization"].removeprefix("Bearer ")
        for count in counts:
            wait_until_complete(panel, DAG, order.runs[count], TASK)
            for way in WAYS:
                with _profile(playwright) as their_profile, _profile(playwright) as our_profile:
                    their_profile.add_cookies([{"name": "_token", "value": token, "url": order.base_url}])
                    our_profile.add_cookies(session)  # type: ignore[arg-type]  # url stands for domain and path
                    theirs, ours = [], []
                    for turn in range(WARM_UP + ROUNDS):
                        visits = (
                            _visit_theirs(their_profile, order, order.runs[count], way),
                            _visit_ours(our_profile, panel.base_url, order.runs[count], way),
                        )
                        if turn >= WARM_UP:
                            theirs.append(visits[0])
                            ours.append(visits[1])
                figures += _figures(way, count, theirs, ours)
    return figures


@contextmanager
def _profile(playwright: Playwright) -> Iterator[BrowserContext]:
    """A browser with a profile on disk, as its user has, and nothing in it: no private window."""
    with tempfile.TemporaryDirectory(prefix="mapboard-bench-profile-") as home:
        executable = which("chromium") or which("chromium-browser")
        context = playwright.chromium.launch_persistent_context(home, executable_path=executable)
        try:
            yield context
        finally:
            context.close()


def _visit_theirs(context: BrowserContext, order: Order, run_id: str, way: str) -> Visit:
    run = f"{order.base_url}/dags/{DAG}/runs/{run_id}"
    address, before = f"{run}/tasks/{TASK}/mapped", run if way == IN_A_TAB else ""
    try:
        return visit(context, address, "tbody tr", before=before)
    except NothingPaintedError as error:  # it happens, and the panel's own pages get no second chance
        print(f"{error}; visited once more", file=sys.stderr)
        return visit(context, address, "tbody tr", before=before)


def _visit_ours(context: BrowserContext, base_url: str, run_id: str, way: str) -> Visit:
    address = base_url + page_of(DAG, run_id, TASK)
    run = f"{address.partition('/tasks/')[0]}/"
    return visit(context, address, "tr[id^=row-]", before=run if way == IN_A_TAB else "")


def _figures(way: str, count: int, theirs: list[Visit], ours: list[Visit]) -> list[Figure]:
    taken = [statistics.median(visit.seconds for visit in visits) for visits in (theirs, ours)]
    requests = [str(visits[-1].requests) for visits in (theirs, ours)]
    sizes = [f"{visits[-1].kilobytes:.0f} kB" for visits in (theirs, ours)]
    return [
        Figure(SECTION, f"rows visible, {way}", count, *map(shown, taken), taken[1] / taken[0], "≤ 0.2"),
        Figure(SECTION, f"requests until quiet, {way}", count, *requests, None, "≤ 6"),
        Figure(SECTION, f"over the wire, {way}", count, *sizes, None, "≤ 60 kB"),
    ]


def visit(context: BrowserContext, address: str, row: str, *, before: str) -> Visit:
    """``before``: the address that the tab shows when the visit begins, if any."""
    page = context.new_page()
    if before:
        page.goto(before)
    page.wait_for_timeout(3_000)  # nobody enters an address sooner
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    sent: dict[str, float] = {}
    cached: set[str] = set()
    wire.on("Network.responseReceived", lambda event: _note_cached(event, cached))
    wire.on("Network.requestServedFromCache", lambda event: cached.add(event["requestId"]))
    wire.on("Network.loadingFinished", lambda event: sent.update({event["requestId"]: event["encodedDataLength"]}))
    page.add_init_script(f"({TELL_WHEN_PAINTED})({json.dumps(row)})")
    page.goto(address, wait_until="commit")
    for _ in range(600):  # not wait_for_function: the panel's content policy allows no eval
        if painted := page.evaluate("window.rowsPainted"):
            break
        page.wait_for_timeout(100)
    else:
        page.close()  # else it would go on beside the visits that follow
        raise NothingPaintedError(f"{address}: no row was painted within a minute")
    page.wait_for_timeout(2_000)
    network = {request: size for request, size in sent.items() if request not in cached}
    page.close()
    return Visit(float(painted) / 1000, len(network), sum(network.values()) / 1024)


def _note_cached(event: dict[str, object], cached: set[str]) -> None:
    response = event["response"]
    assert isinstance(response, dict)
    if response.get("fromDiskCache") or response.get("fromPrefetchCache"):
        cached.add(str(event["requestId"]))


if __name__ == "__main__":
    answer(main(read_order()))
