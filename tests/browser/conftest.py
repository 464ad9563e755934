"""A real Chromium, the panel served to it, and a fake Airflow behind the panel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, Page, sync_playwright

from panel.access.actions import GRANTS
from panel.mirror import services
from panel.mirror.models import MappedTask
from tests.fakes.airflow import FakeAirflow, Task

BUSY = ".htmx-request, .htmx-swapping, .htmx-settling"
"""What htmx marks while it works. (``wait_for_function`` would need ``eval``, which the content policy forbids.)"""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PARAMS: dict[str, Any] = {
    "env": {"value": "staging", "schema": {"type": "string", "enum": ["staging", "prod"]}},
    "version": {"value": None, "schema": {"type": "string", "title": "Version"}, "description": "Such as 1.2.3"},
    "replicas": {"value": 3, "schema": {"type": "integer", "minimum": 1, "maximum": 10, "section": "Size"}},
    "force": {"value": False, "schema": {"type": "boolean"}},
    "notes": {"value": "a\nb", "schema": {"type": "string", "format": "multiline"}},
    "day": {"value": "2026-11-22", "schema": {"type": "string", "format": "date"}},
    "at": {"value": None, "schema": {"type": ["null", "string"], "format": "date-time"}},
    "regions": {"value": ["eu"], "schema": {"type": "array", "examples": ["eu", "us"]}},
    "extra": {"value": {"a": 1}, "schema": {"type": "object"}},
}
RUN = "manual__2026-11-22T02:00:00+00:00"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@dataclass(frozen=True)
class Screen:
    """``width`` in CSS pixels."""

    width: int
    height: int
    scheme: str

    @property
    def is_phone(self) -> bool:
        return self.width < 600


DESKTOP = Screen(1440, 900, "light")
DESKTOP_DARK = Screen(1440, 900, "dark")
PHONE = Screen(390, 844, "light")
PHONE_DARK = Screen(390, 844, "dark")


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """A file: the panel's threads and the test would share one connection to a database in memory."""
    settings = connections["default"].settings_dict
    if connections["default"].vendor == "sqlite":
        settings["TEST"]["NAME"] = os.path.join(os.environ["MAPBOARD_VAR_DIR"], "browser.sqlite3")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        missing = "No chromium, chromium-browser or google-chrome is on the PATH."
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    # Playwright's loop runs in this thread; the ORM would refuse to be called from it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def groups(transactional_db) -> None:
    """The groups of the migration: the flush after each of these tests takes them away."""
    for name in GRANTS:
        Group.objects.get_or_create(name=name)


@pytest.fixture
def opened(browser, live_server, groups) -> Iterator[Callable[..., Page]]:
    """``opened(olga, "/", screen=PHONE)``: that person's browser on that page. A script error fails the test."""
    contexts, wrong = [], []

    def visit(user: User | None, path: str, screen: Screen = DESKTOP, **more: Any) -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": screen.width, "height": screen.height},
            color_scheme=screen.scheme,
            has_touch=screen.is_phone,
            is_mobile=screen.is_phone,
            reduced_motion="reduce",
            **more,
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        if user is not None:
            client = Client()
            client.force_login(user)
            name = "mapboard_session"
            context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def olga(person, groups) -> User:
    return person("olga", "operator", "deployer")


@pytest.fixture
def anna(person, groups) -> User:
    return person("anna", "admin")


@pytest.fixture
def fake_run(fake_airflow) -> FakeAirflow:
    """A run of "etl.daily" with 24 indices: 3 and 17 failed, 5 failed softly, 20 and above still wait."""
    fake_airflow.add_dag(
        "etl.daily",
        params=PARAMS,
        tasks=[
            Task("list_files", downstream=["process_file"]),
            Task("process_file", is_mapped=True, expands="list_files", downstream=["summarize_run"]),
            Task("summarize_run", trigger_rule="all_done"),
        ],
    )
    fake_airflow.add_run("etl.daily", RUN, conf={"env": "prod", "note": "<b>bold</b>"}, note="why <i>not</i>")
    labels = [f"us-east-1/customer-{index:05d}/orders/2026/11/22/part-{index:04d}.parquet" for index in range(24)]
    fake_airflow.expand("etl.daily", RUN, "process_file", 24, labels=labels)
    for index in range(20):
        if index in (3, 17):
            error = ("ConnectionError", f"host 10.0.{index}.7:5432 refused the connection <script>alert(1)</script>")
            fake_airflow.finish("etl.daily", RUN, "process_file", index, error=error)
        else:
            result = {"id": index, "status": "failed", "error": f"row {index}"} if index == 5 else {"id": index}
            fake_airflow.finish("etl.daily", RUN, "process_file", index, result=result)
    return fake_airflow


@pytest.fixture
def task(groups, server, fake_run) -> MappedTask:
    """That run's mapped task, as a worker has mirrored it."""
    server.healthy = True
    server.version = "3.3.2"
    server.save()
    services.find_or_fetch_run(server=server, dag_id="etl.daily", run_id=RUN)
    return refreshed(MappedTask.objects.get(task_id="process_file"))


def refreshed(task: MappedTask) -> MappedTask:
    """What a worker would do now."""
    services.sync_mapped_task(mapped_task_id=task.pk, full=True)
    return MappedTask.objects.select_related("run__dag__server").get(pk=task.pk)
