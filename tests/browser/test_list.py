"""The list of a mapped task: what one adds to it stays in its address, and a warm browser asks for next to nothing."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import RUN

TASK = f"/servers/prod/dags/etl.daily/runs/{RUN}/tasks/process_file/"


@pytest.fixture
def page(opened, olga, task):
    return opened(olga, TASK)


def test_columns_are_added_by_ticking_them_and_stay_with_filters_and_reloads(page):
    page.click("#columns summary")
    page.check("#columns input[value=state]")
    page.click("#columns button")
    expect(page.locator("thead")).to_contain_text("state in Airflow")
    page.click("#tile-hard_failure")
    expect(page).to_have_url(re.compile("outcome=hard_failure&columns=state"))
    page.reload()
    expect(page.locator("#row-3")).to_contain_text("failed")


def test_filters_that_are_set_are_seen_others_wait_behind_a_word(page):
    expect(page.locator("#filter-duration_gte")).to_be_hidden()
    page.click("#more-filters summary")
    page.fill("#filter-duration_gte", "0m 1s")
    page.click("#filters button")
    expect(page).to_have_url(re.compile("duration_gte=0m"))
    expect(page.locator("#filter-duration_gte")).to_have_value("0m 1s")
    expect(page.locator(".filter-chips")).to_contain_text("at least")


def test_a_warm_browser_sends_few_requests_and_reads_few_bytes(page):
    page.reload()
    again = page.context.new_page()
    wire = again.context.new_cdp_session(again)
    wire.send("Network.enable")
    sent, cached = {}, set()
    wire.on("Network.requestServedFromCache", lambda event: cached.add(event["requestId"]))
    wire.on(
        "Network.responseReceived",
        lambda event: cached.add(event["requestId"]) if event["response"].get("fromDiskCache") else None,
    )
    wire.on("Network.loadingFinished", lambda event: sent.update({event["requestId"]: event["encodedDataLength"]}))
    again.goto(page.url)
    expect(again.locator("#row-0")).to_be_visible()
    again.wait_for_load_state("networkidle")
    over_the_wire = {request: size for request, size in sent.items() if request not in cached}
    assert 1 <= len(over_the_wire) <= 6
    assert sum(over_the_wire.values()) <= 60 * 1024
