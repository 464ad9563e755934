"""Retrying from where a failure is seen, marking by hand, and the phone: few taps, nothing by accident."""

import re

import pytest
from playwright.sync_api import expect

from panel.mirror.models import MappedTask
from panel.mirror.services import find_or_fetch_run
from panel.retries.models import RetryJob
from tests.browser.conftest import DESKTOP, DESKTOP_DARK, PHONE, PHONE_DARK, RUN, refreshed
from tests.browser.test_every_page import check, settled

DAG = "/servers/prod/dags/etl.daily/"
TASK = f"{DAG}runs/{RUN}/tasks/process_file/"
SCREENS = pytest.mark.parametrize(
    "screen", [DESKTOP, DESKTOP_DARK, PHONE, PHONE_DARK], ids=["desktop", "desktop dark", "phone", "phone dark"]
)


class Thumb:
    """Taps, and counts them."""

    def __init__(self, page):
        self.page = page
        self.taps = 0

    def tap(self, selector):
        self.taps += 1
        self.page.locator(selector).tap()

    def write(self, selector, text):
        """A tap into the field; what the keyboard does is typing."""
        self.tap(selector)
        self.page.keyboard.type(text)


@pytest.fixture
def twelve_failed(task, fake_run):
    """12 of 24 failed, of two errors."""
    for index in range(12):
        error = ("KeyError", f"customer_{index}") if index % 3 else ("TimeoutError", "read timed out")
        fake_run.finish("etl.daily", RUN, "process_file", index, error=error)
    for index in range(12, 24):
        fake_run.finish("etl.daily", RUN, "process_file", index, result={"id": index})
    return refreshed(task)


@pytest.fixture
def second_run(twelve_failed, fake_run, server):
    """Another run of the Dag, in which 2 of 4 failed."""
    fake_run.add_run("etl.daily", "second")
    fake_run.expand("etl.daily", "second", "process_file", 4)
    for index in range(4):
        error = ("KeyError", "x") if index < 2 else None
        fake_run.finish("etl.daily", "second", "process_file", index, error=error)
    run = find_or_fetch_run(server=server, dag_id="etl.daily", run_id="second")
    return refreshed(MappedTask.objects.get(run=run))


@pytest.mark.parametrize("screen", [PHONE, PHONE_DARK], ids=["light", "dark"])
def test_all_12_failed_are_retried_in_at_most_four_taps(screen, opened, olga, twelve_failed):
    page = settled(opened(olga, TASK, screen))
    thumb = Thumb(page)
    thumb.tap("#retry-failures")
    expect(page.locator("#retry-heading")).to_contain_text("Retry 12 indices")
    thumb.write("#retry-panel [name=reason]", "warehouse was read-only")
    check(page, screen)
    thumb.tap("#retry-panel button[type=submit]")
    page.wait_for_url("**/retry-jobs/*/")
    assert thumb.taps <= 4
    job = RetryJob.objects.get()
    assert (job.total, job.reason) == (12, "warehouse was read-only")
    check(settled(page), screen)


def test_from_the_home_page_it_takes_no_more_taps(opened, olga, twelve_failed, fake_run):
    fake_run.finish_run("etl.daily", RUN, "failed")
    refreshed(twelve_failed)
    twelve_failed.run.__class__.objects.update(state="failed")
    page = settled(opened(olga, "/", PHONE))
    thumb = Thumb(page)
    thumb.tap("#attention a.button")
    thumb.write("[name=reason]", "warehouse was read-only")
    thumb.tap("#retry-panel button[type=submit]")
    page.wait_for_url("**/retry-jobs/*/")
    assert thumb.taps <= 4
    assert RetryJob.objects.get().total == 12


def test_an_error_group_is_retried_from_its_own_card(opened, olga, twelve_failed):
    page = settled(opened(olga, TASK, PHONE))
    thumb = Thumb(page)
    thumb.tap(".errors li:has-text('TimeoutError') a[id^=retry-]")
    expect(page.locator("#retry-heading")).to_contain_text("Retry 4 indices")
    thumb.write("#retry-panel [name=reason]", "x")
    thumb.tap("#retry-panel button[type=submit]")
    page.wait_for_url("**/retry-jobs/*/")
    assert thumb.taps <= 4
    assert RetryJob.objects.get().total == 4


@pytest.mark.parametrize(
    ("path", "opener", "heading"),
    [
        (f"{DAG}runs/{RUN}/", "#mapped-tasks a[id^=retry-]", "Retry 12 indices of process_file"),
        (f"{TASK}7/", "#retry-this", "Retry 1 index of process_file"),
        (f"{TASK}index-map/table/", "a[href*='retry/?outcome=hard_failure']", "Retry 12 indices of process_file"),
    ],
)
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_place_that_shows_failures_opens_the_one_panel(
    screen, path, opener, heading, opened, olga, twelve_failed
):
    page = settled(opened(olga, path, screen))
    page.locator(opener).click()
    expect(page.locator("#retry-heading")).to_contain_text(heading)
    check(settled(page), screen)


@SCREENS
def test_ticked_rows_are_marked_after_a_confirmation_that_names_them(screen, opened, olga, twelve_failed):
    page = settled(opened(olga, f"{TASK}?outcome=hard_failure", screen))
    page.check("#pick-3")
    page.check("#pick-5")
    page.click("#mark-picked summary")
    check(page, screen)
    page.click("#mark-picked button[value=mark_skipped]")
    expect(page.locator("#retry-heading")).to_have_text("Mark 2 indices of process_file as skipped")
    expect(page.locator("#mark-indices")).to_have_text("3,5")
    expect(page.locator("#mark-picked .menu-body")).to_be_hidden()
    check(settled(page), screen)
    # Enter in the reason, or the button alone, marks nothing.
    page.fill("#retry-panel [name=reason]", "not needed today")
    page.evaluate("document.querySelector('#retry-panel form').noValidate = true")
    page.press("#retry-panel [name=reason]", "Enter")
    expect(page.locator("#field-confirm")).to_contain_text("Tick this")
    assert not RetryJob.objects.exists()
    page.check("[name=confirm]")
    page.click("#retry-panel button[type=submit]")
    page.wait_for_url("**/retry-jobs/*/")
    job = RetryJob.objects.get()
    assert (job.total, job.action) == (2, "mark_skipped")
    expect(page.locator("h1")).to_have_text("Marking 2 indices as skipped")
    check(settled(page), screen)


def test_all_failed_can_be_marked_from_the_bar_and_one_from_its_own_page(opened, olga, twelve_failed):
    page = settled(opened(olga, TASK))
    page.click("#mark-failures summary")
    page.click("#mark-failures >> text=success")
    expect(page.locator("#retry-heading")).to_have_text("Mark 12 indices of process_file as success")
    page.goto(f"{TASK}4/")
    page.click("#mark-this summary")
    page.click("#mark-this >> text=success")
    expect(page.locator("#retry-heading")).to_have_text("Mark 1 index of process_file as success")


@SCREENS
def test_two_runs_are_retried_from_the_page_of_the_dag(screen, opened, olga, second_run):
    page = settled(opened(olga, DAG, screen))
    page.click("#retry-several")
    page.wait_for_url("**/retry/")
    expect(page.locator("[name=mapped_task]:checked")).to_have_count(2)
    check(settled(page), screen)
    page.click("#retry-chosen-runs")
    expect(page.locator("#retry-heading")).to_contain_text("Retry 14 indices of process_file in 2 runs")
    expect(page.locator("#retry-by-run tbody tr")).to_have_count(2)
    check(settled(page), screen)
    page.fill("#retry-panel [name=reason]", "bucket was full")
    page.click("#retry-panel button[type=submit]")
    page.wait_for_url("**/retry-jobs/*/")
    expect(page.locator("#job-runs tbody tr")).to_have_count(2)
    check(settled(page), screen)


def test_ticking_nothing_is_said_in_place(opened, olga, second_run):
    page = settled(opened(olga, f"{DAG}retry/"))
    for box in page.locator("[name=mapped_task]").all():
        box.uncheck()
    page.click("#retry-chosen-runs")
    expect(page.locator("#retry-slot")).to_contain_text("Tick at least one run.")
    expect(page).to_have_url(re.compile(r"/retry/$"))
