"""Single keys: / j k x f r ?, and none of them while one types or when they are switched off."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import RUN

TASK = f"/servers/prod/dags/etl.daily/runs/{RUN}/tasks/process_file/"


@pytest.fixture
def page(opened, olga, task):
    return opened(olga, TASK)


def test_slash_goes_to_the_search_and_typing_is_then_just_typing(page):
    page.keyboard.press("/")
    expect(page.locator("#filter-q")).to_be_focused()
    page.keyboard.type("jxfr?")
    assert page.input_value("#filter-q") == "jxfr?"
    expect(page.locator("#shortcuts")).to_be_hidden()


def test_rows_are_walked_and_ticked(page):
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("x")
    assert page.is_checked("#pick-1")
    expect(page.locator("[data-picked-count]")).to_have_text("1")


def test_f_shows_the_failed_and_r_retries_what_is_selected(page):
    page.keyboard.press("f")
    expect(page).to_have_url(re.compile("outcome=hard_failure"))
    expect(page.locator("#row-0")).to_have_count(0)
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("r")
    expect(page.locator("#retry-panel")).to_contain_text("Retry 1 index")


def test_help_opens_takes_the_focus_and_gives_it_back(page):
    page.focus("#tile-success")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#shortcuts")).to_be_hidden()
    expect(page.locator("#tile-success")).to_be_focused()


def test_they_can_be_switched_off_for_good(page):
    page.keyboard.press("?")
    page.uncheck("#shortcuts-on")
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("f")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_hidden()
    assert "outcome" not in page.url


def test_keys_with_a_modifier_belong_to_the_browser(page):
    page.keyboard.press("Alt+f")
    page.keyboard.press("Control+x")
    assert "outcome" not in page.url


def test_the_first_tab_skips_to_the_content(page):
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
