"""The page of a mapped task in a real browser, ours and Airflow's, both with a warm cache."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from shutil import which

from playwright.sync_api import BrowserContext, sync_playwright

from benchmarks.part import Figure, Order, answer, read_order, shown
from benchmarks.seeding import DAG, TASK
from benchmarks.served_panel import page_of, served_panel, signed_in, wait_until_complete

SECTION = "In a browser"
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


def main(order: Order, counts: tuple[int, ...] = (10_000, 100_000)) -> list[Figure]:
    figures = []
    with served_panel(order, order.base_url, 18391) as panel, sync_playwright() as playwright:
        cookies = [
            {"name": cookie.name, "value": cookie.value, "url": panel.base_url}
            for cookie in signed_in(panel).cookies.jar
        ]
        token = order.airflow.headers["Authorization"].removeprefix("Bearer ")
        browser = playwright.chromium.launch(executable_path=which("chromium") or which("chromium-browser"))
        for count in counts:
            wait_until_complete(panel, DAG, order.runs[count], TASK)
            ours_context, theirs_context = browser.new_context(), browser.new_context()
            ours_context.add_cookies(cookies)  # type: ignore[arg-type]  # url stands for domain and path
            theirs_context.add_cookies([{"name": "_token", "value": token, "url": order.base_url}])
            ours_at = panel.base_url + page_of(DAG, order.runs[count], TASK)
            theirs_at = f"{order.base_url}/dags/{DAG}/runs/{order.runs[count]}/tasks/{TASK}/mapped"
            theirs, ours = [], []
            for turn in range(WARM_UP + ROUNDS):
                visits = visit(theirs_context, theirs_at, "tbody tr"), visit(ours_context, ours_at, "tr[id^=row-]")
                if turn >= WARM_UP:
                    theirs.append(visits[0])
                    ours.append(visits[1])
            figures += _figures(count, theirs, ours)
        browser.close()
    return figures


def _figures(count: int, theirs: list[Visit], ours: list[Visit]) -> list[Figure]:
    their_seconds, our_seconds = (statistics.median(visit.seconds for visit in visits) for visits in (theirs, ours))
    return [
        Figure(SECTION, "rows visible", count, shown(their_seconds), shown(our_seconds), our_seconds / their_seconds,
               "≤ 0.2"),
        Figure(SECTION, "requests until quiet, warm cache", count, str(theirs[-1].requests), str(ours[-1].requests),
               None, "≤ 6"),
        Figure(SECTION, "over the wire, warm cache", count, f"{theirs[-1].kilobytes:.0f} kB",
               f"{ours[-1].kilobytes:.0f} kB", None, "≤ 60 kB"),
    ]  # fmt: skip


def visit(context: BrowserContext, address: str, row: str) -> Visit:
    page = context.new_page()
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
        raise SystemExit(f"{address}: no row was painted within a minute")
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
