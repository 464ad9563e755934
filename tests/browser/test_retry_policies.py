"""How carefully to retry, in a real browser: folded away until wanted, in the viewer's own zone, readable."""

import re

import pytest
from playwright.sync_api import expect

from panel.retries.models import RetryJob
from tests.browser.conftest import PHONE
from tests.browser.test_every_page import BOTH_WIDTHS, check, settled

FOLDED = ("retry-careful", "retry-pace", "retry-again", "retry-later")
IN_TOKYO = {"timezone_id": "Asia/Tokyo"}


@pytest.fixture
def panel(opened, olga, task):
    def visit(screen=PHONE):
        return settled(opened(olga, f"/mapped-tasks/{task.pk}/retry/?outcome=hard_failure", screen, **IN_TOKYO))

    return visit


@BOTH_WIDTHS
def test_every_part_can_be_unfolded_read_and_used(screen, panel):
    page = panel(screen)
    for name in FOLDED:
        assert page.locator(f"#{name}").get_attribute("open") is None
        page.click(f"#{name} summary")
    check(page, screen)
    page.fill("[name=wave_pause_minutes]", "5")
    page.fill("[name=reason]", "disk was full")
    page.click("#retry-panel button[type=submit]")
    expect(page.locator("#field-wave_size, #field-wave_pause_minutes").last).to_have_class(re.compile("field-wrong"))
    check(settled(page), screen)


@BOTH_WIDTHS
def test_put_off_to_two_o_clock_where_the_person_is(screen, panel):
    page = panel(screen)
    page.fill("[name=reason]", "after the backup")
    page.click("#retry-later summary")
    expect(page.locator("#retry-later")).to_contain_text("Times of day in Asia/Tokyo")
    page.fill("[name=after]", "02:00")
    page.click("#retry-panel button[type=submit]")
    page.wait_for_url("**/retry-jobs/*/")
    expect(page.locator("#job-controls")).to_contain_text("scheduled")
    expect(page.locator("#job-status")).to_contain_text(re.compile(r"\d\d 02:00:00"))
    assert RetryJob.objects.get().not_before.hour == 17, "two o'clock in Tokyo"
    check(settled(page), screen)
    page.click("#job-start")
    expect(page.locator("#job-controls")).not_to_contain_text("scheduled")


@BOTH_WIDTHS
def test_the_estimate_follows_what_is_typed_and_the_cursor_stays(screen, panel):
    page = panel(screen)
    load = page.locator("#retry-load")
    expect(load).to_contain_text("4 requests to Airflow")
    page.click("#retry-pace summary")
    page.locator("[name=chunk_size]").press_sequentially("1")
    expect(load).to_contain_text("6 requests to Airflow")
    expect(page.locator("[name=chunk_size]")).to_be_focused()
    page.locator("[name=chunk_size]").press_sequentially("00000")
    expect(load).to_contain_text("Indices in one request: Ensure this value is less than or equal to 500.")
    check(settled(page), screen)
    page.fill("[name=chunk_size]", "")
    expect(load).to_contain_text("4 requests to Airflow")


def test_what_was_filled_in_stays_when_an_option_changes_the_preview(panel):
    page = panel()
    page.click("#retry-again summary")
    page.fill("[name=rounds]", "3")
    with page.expect_response(re.compile("include_settled=on")):
        page.check("[name=include_settled]")
    settled(page)
    expect(page.locator("[name=rounds]")).to_have_value("3")
    expect(page.locator("#retry-again")).to_have_attribute("open", "")
    expect(page.locator("[data-time-zone]")).to_have_value("Asia/Tokyo")
