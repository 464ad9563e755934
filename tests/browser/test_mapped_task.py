"""The mapped-task page in use: filter by what one reads, select, retry in place, stay put while it is live."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, RUN, refreshed

TASK = f"/servers/prod/dags/etl.daily/runs/{RUN}/tasks/process_file/"


def shown(page):
    return [
        int(row.removeprefix("row-"))
        for row in page.eval_on_selector_all("tr[id^=row-]", "rows => rows.map(r => r.id)")
    ]


@pytest.fixture
def page(opened, olga, task):
    return opened(olga, TASK)


def test_a_count_filters_and_the_back_button_takes_it_back(page):
    page.click("#tile-hard_failure")
    expect(page).to_have_url(re.compile(r"\?outcome=hard_failure$"))
    expect(page.locator("#row-0")).to_have_count(0)
    assert shown(page) == [3, 17]
    page.go_back()
    expect(page.locator("#row-0")).to_be_visible()
    assert "outcome" not in page.url
    page.go_forward()
    expect(page.locator("#row-0")).to_have_count(0)


def test_who_goes_on_before_the_page_has_its_scripts_sees_what_the_address_says(page):
    page.click("#tile-hard_failure")
    expect(page.locator("#row-0")).to_have_count(0)
    held = []

    def hold_the_first(route):
        held.append(route)
        if len(held) > 1:
            route.continue_()

    page.route(re.compile(r"htmx.*\.js"), hold_the_first)
    page.evaluate("history.back()")
    while not held:
        page.wait_for_timeout(50)
    expect(page.locator("#row-0")).to_be_visible()
    page.evaluate("history.forward()")
    expect(page).to_have_url(re.compile(r"\?outcome=hard_failure$"))
    held[0].continue_()
    expect(page.locator("#row-0")).to_have_count(0)


def test_a_link_to_a_filtered_list_shows_that_list_after_a_reload(page):
    page.fill("#filter-indices", "0-5")
    page.click("#filters button")
    expect(page.locator("#row-6")).to_have_count(0)
    page.click("th[aria-sort] a:has-text('index')")
    expect(page.locator("th[aria-sort=descending]")).to_be_visible()
    page.reload()
    assert shown(page) == [5, 4, 3, 2, 1, 0]
    assert page.input_value("#filter-indices") == "0-5"


def test_a_malformed_index_expression_is_answered_beside_its_field(page):
    page.fill("#filter-indices", "3,x")
    page.click("#filters button")
    expect(page.locator("#filter-indices-error")).to_contain_text("is not an index")
    assert page.input_value("#filter-indices") == "3,x"
    assert shown(page) == []


def test_ticked_rows_stay_ticked_over_filters_and_the_retry_panel_gets_exactly_them(page):
    page.check("#pick-3")
    page.click("#tile-hard_failure")
    expect(page.locator("#row-0")).to_have_count(0)
    expect(page.locator("#pick-3")).to_be_checked()
    page.check("#pick-17")
    expect(page.locator("[data-picked-count]")).to_have_text("2")
    page.click("#retry-picked")
    expect(page.locator("#retry-panel")).to_contain_text("Retry 2 indices")
    expect(page.locator("#retry-panel")).to_contain_text("3,17")
    expect(page.locator("#retry-panel")).to_contain_text("summarize_run")
    expect(page.locator("#retry-panel")).to_be_focused()


def test_cancel_closes_the_panel_and_gives_the_focus_back(page):
    page.click("#retry-failures")
    page.click("#retry-panel [data-close]")
    expect(page.locator("#retry-panel")).to_have_count(0)
    expect(page.locator("#retry-failures")).to_be_focused()


def test_one_error_is_retried_from_its_own_line(page):
    page.click(".errors a:has-text('Retry 2…')")
    expect(page.locator("#retry-panel")).to_contain_text("3,17")


def test_shift_ticks_everything_between_and_the_head_ticks_the_page(page):
    page.click("#pick-4")
    page.click("#pick-9", modifiers=["Shift"])
    expect(page.locator("[data-picked-count]")).to_have_text("6")
    page.check("thead [data-pick-page]")
    expect(page.locator("[data-picked-count]")).to_have_text("24")
    page.click("[data-clear-picked]")
    expect(page.locator("[data-picked-count]")).to_be_hidden()


def test_what_is_ticked_is_copied_as_an_index_expression(opened, olga, task):
    page = opened(olga, TASK, permissions=["clipboard-read", "clipboard-write"])
    for index in (3, 4, 5, 9):
        page.check(f"#pick-{index}")
    page.click("[data-copy-picked]")
    expect(page.locator("#live-region")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "3-5,9"
    page.click("#tile-hard_failure")
    expect(page.locator("#row-0")).to_have_count(0)
    page.click("[data-copy-from]")
    expect(page.locator("[data-copy-from]")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "3,17"


def test_live_news_change_numbers_in_place_and_disturb_nothing(page, task, fake_run):
    page.check("#pick-20")
    page.click("#retry-failures")
    page.fill("#retry-panel [name=reason]", "warehouse was read-only")
    page.focus("#retry-panel [name=reason]")
    before = page.locator("#row-20").bounding_box()["y"] - page.locator("#row-19").bounding_box()["y"]
    fake_run.finish("etl.daily", RUN, "process_file", 20, result={"id": 20})
    refreshed(task)
    expect(page.locator("#row-20")).to_contain_text("success")
    expect(page.locator("#tile-success .tile-count")).to_contain_text("18")
    assert page.is_checked("#pick-20")
    assert page.input_value("#retry-panel [name=reason]") == "warehouse was read-only"
    expect(page.locator("#retry-panel [name=reason]")).to_be_focused()
    assert page.locator("#row-20").bounding_box()["y"] - page.locator("#row-19").bounding_box()["y"] == before


def test_a_row_that_did_not_change_is_left_alone(page, task, fake_run):
    page.evaluate("document.getElementById('row-0').dataset.mine = 'yes'")
    fake_run.finish("etl.daily", RUN, "process_file", 21, result={"id": 21})
    refreshed(task)
    expect(page.locator("#row-21")).to_contain_text("success")
    assert page.locator("#row-0").get_attribute("data-mine") == "yes"


def test_the_page_stops_asking_once_all_is_over(page, task, fake_run):
    for index in range(20, 24):
        fake_run.finish("etl.daily", RUN, "process_file", index, result={"id": index})
    fake_run.finish("etl.daily", RUN, "summarize_run", result={})
    fake_run.finish_run("etl.daily", RUN, "failed")
    from panel.mirror import services

    services.sync_run(run_pk=task.run_id)
    refreshed(task)
    expect(page.locator("#poller")).not_to_have_attribute("hx-get", re.compile("."), timeout=20_000)
    expect(page.locator("#tile-waiting .tile-count")).to_contain_text("0")


def test_a_panel_that_is_away_is_told_after_some_tries(page):
    page.route("**/process_file/?*v=*", lambda route: route.abort())
    expect(page.locator("#toasts")).to_contain_text("cannot be reached", timeout=20_000)
    page.unroute("**/process_file/?*v=*")
    expect(page.locator("#toasts .notice")).to_have_count(0, timeout=20_000)


def test_without_javascript_everything_is_a_link_or_a_form(opened, olga, task):
    page = opened(olga, TASK, java_script_enabled=False)
    page.click("#tile-hard_failure")
    assert page.locator("tr[id^=row-]").count() == 2
    page.check("#pick-17")
    page.click("#retry-picked")
    assert page.locator("#retry-panel").inner_text().count("17")
    page.go_back()
    page.fill("#filter-indices", "0-2")
    page.press("#filter-indices", "Enter")
    assert page.locator("tr[id^=row-]").count() == 0


def test_on_a_phone_all_failed_are_retried_in_few_taps(opened, olga, task):
    page = opened(olga, TASK, PHONE)
    page.tap("#retry-failures")
    expect(page.locator("#retry-panel")).to_be_in_viewport()
    expect(page.locator("#retry-panel")).to_contain_text("Retry 3 indices")
