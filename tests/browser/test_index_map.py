"""The index map in use: pointed at, clicked, dragged over and walked by keys; live without losing one's place."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, PHONE, RUN, refreshed
from tests.browser.test_every_page import serious, settled

TASK = f"/servers/prod/dags/etl.daily/runs/{RUN}/tasks/process_file/"
MAP = re.compile(r"/index-map/(\?|$)")
CELL = 28
"""Pixels of a cell of a small map."""
SHADES = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const shades = new Set();
  for (let at = 0; at < data.length; at += 4) shades.add(data.slice(at, at + 3).join());
  return [...shades];
}"""


def place_of(index):
    return {"x": index * CELL + CELL / 2, "y": CELL / 2}


def said(page, text):
    expect(page.locator("#live-region")).to_contain_text(text)


def of_size(page, outcomes):
    """The page gets a map of these outcomes, a character each, in place of its own."""
    body = {"version": "1.1", "size": len(outcomes), "beyond": False, "cells": outcomes}
    page.route(MAP, lambda route: route.fulfill(json=body))
    page.reload()


@pytest.fixture
def page(opened, olga, task):
    page = opened(olga, TASK)
    expect(page.locator("#map-info")).to_contain_text("A cell is one index")
    return page


def test_pointing_at_a_cell_tells_what_became_of_it(page):
    page.locator("#map-scroll canvas").hover(position=place_of(17))
    expect(page.locator("#map-info")).to_contain_text("17 · hard failure · us-east-1/customer-00017")
    expect(page.locator("#map-info")).to_contain_text("ConnectionError host 10.0.17.7")
    page.locator("#map-scroll canvas").hover(position=place_of(21))
    expect(page.locator("#map-info")).to_contain_text("21 · waiting")


def test_a_click_filters_and_the_map_stays_as_it_is(page):
    page.evaluate("document.querySelector('#map-scroll canvas').dataset.mine = 'yes'")
    page.locator("#map-scroll canvas").click(position=place_of(3))
    expect(page).to_have_url(re.compile(r"\?indices=3$"))
    expect(page.locator("tr[id^=row-]")).to_have_count(1)
    expect(page.locator("#row-3")).to_be_visible()
    expect(page.locator("#map-scroll canvas")).to_have_attribute("data-mine", "yes")
    expect(page.locator("#map-chosen-text")).to_have_text("Indices 3: 1 hard failure")


def test_a_drag_selects_fills_the_filter_and_offers_the_retry_of_what_failed(page):
    box = page.locator("#map-scroll canvas").bounding_box()
    page.mouse.move(box["x"] + 6 * CELL + 9, box["y"] + 9)
    page.mouse.down()
    page.mouse.move(box["x"] + 4 * CELL, box["y"] + 9)
    page.mouse.move(box["x"] + 2 * CELL + 9, box["y"] + 9)
    page.mouse.up()
    expect(page.locator("#map-chosen-text")).to_have_text("Indices 2-6: 1 hard failure, 1 soft failure, 3 success")
    expect(page.locator("#filter-indices")).to_have_value("2-6")
    assert "indices" not in page.url
    page.click("#map-retry")
    expect(page.locator("#retry-panel")).to_contain_text("Retry 2 indices")
    expect(page.locator("#retry-panel")).to_contain_text("3,5")
    page.click("#map-show")
    expect(page).to_have_url(re.compile(r"\?indices=2-6$"))
    expect(page.locator("tr[id^=row-]")).to_have_count(5)
    page.click(".filter-chips .chip")
    expect(page.locator("#map-chosen")).to_be_hidden()


def test_keys_walk_select_filter_and_let_go(page):
    page.focus("#map-scroll")
    page.keyboard.press("n")
    said(page, "3 · hard failure")
    page.keyboard.press("n")
    said(page, "5 · soft failure")
    page.keyboard.press("ArrowRight")
    said(page, "6 · success")
    page.keyboard.press("End")
    said(page, "23 · waiting")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    said(page, "23 · waiting")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    said(page, "Indices 21-23: 3 waiting")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?indices=21-23$"))
    expect(page.locator("tr[id^=row-]")).to_have_count(3)
    expect(page.locator("#map-scroll")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#map-chosen")).to_be_hidden()


def test_the_pages_own_keys_rest_while_the_map_has_the_focus(page):
    page.focus("#map-scroll")
    for key in "jkxfr":
        page.keyboard.press(key)
    expect(page.locator("#map-scroll")).to_be_focused()
    expect(page.locator("#retry-panel")).to_have_count(0)
    assert "outcome" not in page.url


def test_news_change_cells_in_place_and_disturb_nothing(page, task, fake_run):
    page.focus("#map-scroll")
    page.keyboard.press("End")
    page.keyboard.press("Shift+ArrowLeft")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if MAP.search(request.url) else None)
    fake_run.finish("etl.daily", RUN, "process_file", 23, error=("OSError", "disk full"))
    refreshed(task)
    expect(page.locator("#key-hard_failure")).to_contain_text("hard failure 3")
    expect(page.locator("#map-chosen-text")).to_have_text("Indices 22-23: 1 hard failure, 1 waiting")
    expect(page.locator("#map-scroll")).to_be_focused()
    assert asked
    assert all("since=" in url for url in asked)


def test_what_airflow_no_longer_has_leaves_the_map(page, task):
    news = {"version": "9.1", "size": 24, "counts": {"0": 23}, "changes": {}}
    page.route(re.compile(r"since="), lambda route: route.fulfill(json=news))
    whole = {"version": "9.1", "size": 23, "beyond": False, "cells": "0" * 23}
    page.route(re.compile(r"index-map/$"), lambda route: route.fulfill(json=whole))
    type(task).objects.filter(pk=task.pk).update(version=task.version + 1)
    page.focus("#map-scroll")
    expect(page.locator("[data-map-do=next]")).to_be_disabled()
    page.keyboard.press("End")
    said(page, "22 · success")


def test_a_hundred_thousand_cells_are_drawn_and_one_failure_among_them_is_seen(page):
    of_size(page, "0" * 77_777 + "2" + "0" * 22_222)
    expect(page.locator("#map-info")).to_contain_text("A cell is one index, a line is 670.")
    assert len(page.locator("#map-scroll canvas").evaluate(SHADES)) >= 2
    page.click("[data-map-do=next]")
    said(page, "77,777 · hard failure")
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#map-chosen-text")).to_have_text("Indices 77777-77778: 1 hard failure, 1 success")
    assert page.locator("#map-scroll").evaluate("(it) => it.scrollTop > 0 && it.scrollHeight > it.clientHeight")
    page.keyboard.press("0")
    expect(page.locator("[data-map-do=out]")).to_be_disabled()
    assert serious(settled(page)) == []


def test_on_a_phone_a_cell_is_several_indices_and_a_tap_asks_first(opened, olga, task):
    page = opened(olga, TASK, PHONE)
    of_size(page, "0" * 50_000 + "3" + "2" * 49_999)
    expect(page.locator("#map-info")).to_contain_text("A cell is 50 indices")
    page.locator("#map-scroll canvas").tap(position={"x": 3, "y": 3})
    expect(page.locator("#map-chosen-text")).to_have_text("Indices 0-49: 50 success")
    expect(page.locator("#map-retry")).to_be_hidden()
    assert "indices" not in page.url
    page.tap("#map-show")
    expect(page).to_have_url(re.compile(r"\?indices=0-49$"))
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE.width


def test_a_map_that_cannot_be_read_says_so_and_comes_with_the_next_change(page, task):
    page.route(MAP, lambda route: route.fulfill(status=500))
    page.reload()
    expect(page.locator("#map-info")).to_contain_text("could not be read")
    page.unroute(MAP)
    type(task).objects.filter(pk=task.pk).update(version=task.version + 1)
    expect(page.locator("#map-info")).to_contain_text("A cell is one index")


def test_without_javascript_the_failed_indices_are_links(opened, olga, task):
    page = opened(olga, TASK, DESKTOP, java_script_enabled=False)
    expect(page.locator("#map-view")).to_be_hidden()
    page.click(".map-plain a:has-text('17')")
    expect(page.locator("tr[id^=row-]")).to_have_count(1)
    page.click("noscript p a")
    assert page.locator("tbody tr").count() == 24
