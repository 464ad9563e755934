"""Every kind of param on a real Airflow: what a person types in a real browser, and what a program sends, is what the
task gets, with its type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from examples.demo.airflow import AirflowStandalone
from tests.browser.conftest import DESKTOP, PHONE_DARK, Screen
from tests.live.browsing import logged_in, picture, running_panel
from tests.soak.panel import Panel

DAG = "live_every_kind"
FORM = f"/servers/live/dags/{DAG}/launch/"
VALUES: dict[str, Any] = {
    "text": "007",
    "needed": "  spaced “ü” <b>  ",
    "lines": "first\n\nlast",
    "pattern": "v22",
    "perhaps": "",
    "suggested": "my own",
    "secret": "hunter2 & more",
    "whole": 4,
    "number": 4.0,
    "no_number": None,
    "plain": 6.5,
    "flag": True,
    "open": False,
    "enum": "a",
    "labelled": 1,
    "several": ["two", "three"],
    "day": "2026-11-22",
    "moment": "2026-07-01T10:00:00+02:00",
    "kept_moment": "2026-01-02T00:00:00Z",
    "clock": "14:30:00",
    "mail": "c@d.example",
    "address": "s3://bucket/key",
    "strings": ["x", "007"],
    "numbers": [1, 2.5, -3],
    "objects": [{"b": 1, "a": [None, True]}],
    "free": {"z": 1.0, "a": "1"},
    "size": {"cpu": 8, "spot": False},
    "no_object": None,
    "fixed": "fixed",
    "either": "1",
    "untouched": {"b": [1, 1.0, "1", None], "a": True},
}
AS_JSON = {name: json.dumps(value, sort_keys=True) for name, value in VALUES.items()}


@pytest.fixture(scope="module")
def panel(real_airflow: AirflowStandalone) -> Iterator[Panel]:
    real_airflow.wait_for_dags([DAG])
    with running_panel(real_airflow) as panel:
        yield panel


def received(airflow: AirflowStandalone, panel: Panel, launch_id: str) -> dict[str, str]:
    """What the task of this launch's run got, each value as JSON."""
    ended = panel.until(
        lambda: (launch := panel.get(f"launches/{launch_id}/"))["finished_at"] and launch, "the run", seconds=120
    )
    assert ended["state"] == "success", ended
    path = f"/dags/{DAG}/dagRuns/{ended['dag_run_id']}/taskInstances/received/xcomEntries/return_value"
    found: dict[str, str] = airflow.call("GET", path)["value"]
    return found


def fill_in(page: Page) -> None:
    """As a person does, through the controls that the form offers."""
    for label, typed in {
        "Text": VALUES["text"],
        "Needed": VALUES["needed"],
        "Lines": VALUES["lines"],
        "Pattern": VALUES["pattern"],
        "Suggested": VALUES["suggested"],
        "Secret": VALUES["secret"],
        "Whole": "4",
        "Number": "4.0",
        "No number": "",
        "plain": "6.5",
        "Day": VALUES["day"],
        "Moment": "2026-07-01T10:00",
        "Clock": "14:30",
        "Mail": VALUES["mail"],
        "Address": VALUES["address"],
        "Strings": "x\n\n007\n",
        "Some numbers": "1\n2.5\n-3",
        "Objects": '[{"b": 1, "a": [null, true]}]',
        "Free object": '{"z": 1.0, "a": "1"}',
        "Processors": "8",
        "No object": "",
        "Either": '"1"',
    }.items():
        page.get_by_label(re.compile(rf"^{label}( required)?$")).fill(typed)
    page.get_by_label("No value: Perhaps").uncheck()
    page.get_by_label("Flag").check()
    page.get_by_label("Open").select_option(label="No")
    page.get_by_label("Enum").select_option(label="a")
    page.get_by_label("Labelled").select_option(label="One")
    page.get_by_label("Spot").select_option(label="No")
    several = page.get_by_role("group", name="Several")
    several.get_by_label("one").uncheck()
    several.get_by_label("two").check()
    several.get_by_label("three").check()


@pytest.mark.parametrize("screen", [DESKTOP, PHONE_DARK], ids=["desktop", "phone"])
def test_what_was_typed_in_the_browser_is_what_the_task_gets(
    screen: Screen, browser: Browser, panel: Panel, real_airflow: AirflowStandalone
) -> None:
    with logged_in(browser, panel, "dora", screen) as page:
        page.goto(FORM)
        fill_in(page)
        picture(page, f"every-kind-{screen.width}")
        page.get_by_role("button", name=re.compile("^Launch")).click()
        page.wait_for_url("**/launches/*/")
        launch_id = page.url.rstrip("/").rpartition("/")[2]
        got = received(real_airflow, panel, launch_id)
        assert got == AS_JSON
        page.reload()
        assert "hunter2" not in page.content()


def test_what_a_program_sends_is_what_the_task_gets(panel: Panel, real_airflow: AirflowStandalone) -> None:
    panel.manage("create_user", "robot", "--groups", "deployer", "--password-stdin", given="robot-password-1")
    panel.token = panel.manage("create_api_token", "robot").splitlines()[-1]
    answer = panel.call("POST", f"servers/live/dags/{DAG}/launches/", {"params": VALUES, "note": "by a program"})
    assert answer.status_code == 201, answer.text
    assert received(real_airflow, panel, answer.json()["id"]) == AS_JSON
    assert answer.json()["params"]["secret"] == "••••••"
