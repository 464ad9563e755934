"""The whole panel in processes of its own against the real Airflow, and people who use it with a real Chromium."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

from examples.demo.airflow import AirflowStandalone
from tests.browser.conftest import Screen
from tests.soak.databases import Sqlite
from tests.soak.panel import Panel

PASSWORD = "a-password-of-the-tests-1"
PEOPLE = {"anna": "admin", "dora": "deployer,operator", "dirk": "deployer"}


@contextmanager
def running_panel(airflow: AirflowStandalone) -> Iterator[Panel]:
    """Web, scheduler, workers and broker, with the server "live"; each of PEOPLE can log in."""
    with tempfile.TemporaryDirectory(prefix="live-", dir="/tmp") as name:  # short: it holds a Unix socket
        panel = Panel(Path(name), Sqlite(Path(name) / "panel.sqlite3"))
        try:
            panel.prepare("live", airflow.base_url, airflow.users["op"])
            for person, groups in PEOPLE.items():
                panel.manage("create_user", person, "--groups", groups, "--password-stdin", given=PASSWORD)
            panel.start()
            yield panel
        finally:
            panel.stop()


@contextmanager
def logged_in(browser: Browser, panel: Panel, person: str, screen: Screen) -> Iterator[Page]:
    """That person's browser, on the first page. A script error in any page fails the test."""
    wrong: list[str] = []
    context = browser.new_context(
        base_url=panel.url,
        viewport={"width": screen.width, "height": screen.height},
        color_scheme=screen.scheme,
        has_touch=screen.is_phone,
        is_mobile=screen.is_phone,
        reduced_motion="reduce",
        timezone_id="Europe/Berlin",
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto("/login/")
    page.get_by_label("Name").fill(person)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
    yield page
    context.close()
    assert wrong == []


def picture(page: Page, name: str) -> None:
    """Kept where LOOK names a directory, for people who look at the pages."""
    if folder := os.environ.get("LOOK"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
