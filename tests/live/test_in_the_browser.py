"""Everything real: Chromium, the panel in processes of its own, Airflow.

Every kind of param, typed and sent, arrives in a task as it was. And the story Mapboard is for: a deploy to production
that somebody else approves, one region fails, and exactly that one is retried from the launch's page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from examples.demo.airflow import AirflowStandalone
from examples.demo.kubernetes_standin import KubernetesStandin
from tests.browser.conftest import DESKTOP, PHONE, PHONE_DARK, Screen
from tests.browser.test_every_page import check, settled
from tests.live.browsing import logged_in, picture, running_panel
from tests.soak.panel import Panel

DEPLOY = "multi_region_deploy"
DEPLOY_FORM = f"/servers/live/dags/{DEPLOY}/launch/"
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "ap-southeast-1"]
FAILING = "eu-west-1"
WHOLE_RUN = 120_000
"""Milliseconds: four regions two at a time, two retries of the one that fails."""
KINDS = "live_every_kind"
KINDS_FORM = f"/servers/live/dags/{KINDS}/launch/"
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
    real_airflow.wait_for_dags([DEPLOY, KINDS])
    with running_panel(real_airflow) as panel:
        yield panel


@pytest.fixture(scope="module")
def protected(browser: Browser, panel: Panel) -> None:
    """An admin has said that whatever goes to production needs somebody else's yes."""
    with logged_in(browser, panel, "anna", DESKTOP) as page:
        page.goto(DEPLOY_FORM)
        page.goto(DEPLOY_FORM.replace("/launch/", "/guard-rails/"))
        page.get_by_label("launches with certain values").check()
        page.get_by_label("Values that protect a launch").fill("env = prod")
        page.get_by_role("button", name="Set guard rails").click()
        expect(page.get_by_text("Somebody else has to approve it within 24 hours.")).to_be_visible()


def ask_for_it(page: Page, version: str, screen: Screen) -> str:
    """The address of the launch."""
    page.goto(DEPLOY_FORM)
    page.get_by_label("Environment").select_option(label="Production (four regions)")
    page.get_by_label("Version").fill(version)
    page.get_by_label("Region that fails").select_option(label=FAILING)
    page.get_by_label("It fails until").select_option(label="A retry by hand")
    page.get_by_label("Note", exact=True).fill("CHG-1021")
    page.get_by_role("button", name=re.compile("^Launch")).click()
    page.get_by_label("Type prod to confirm").fill("prod")
    check(settled(page), screen)
    picture(page, f"deploy-1-confirm-{screen.width}")
    page.get_by_role("button", name="Ask for approval").click()
    page.wait_for_url("**/launches/*/")
    expect(page.get_by_text("approved by somebody else")).to_be_visible()
    check(settled(page), screen)
    picture(page, f"deploy-2-waits-{screen.width}")
    return page.url


def approve(page: Page, version: str, screen: Screen) -> None:
    page.goto("/launches/")
    page.get_by_role("region", name="1 launch waits").get_by_role("link", name=DEPLOY).click()
    page.wait_for_url("**/launches/*/")
    expect(page.get_by_text(version).first).to_be_visible()
    check(settled(page), screen)
    picture(page, f"deploy-3-approve-{screen.width}")
    page.get_by_role("button", name="Approve and start").click()
    expect(page.get_by_text("Approved: it is on its way to Airflow.")).to_be_visible()


def region(page: Page, name: str) -> Page:
    return page.get_by_role("row").filter(has_text=name)


def test_a_region_of_an_approved_deploy_fails_and_is_retried_from_the_launch_page(
    browser: Browser,
    panel: Panel,
    protected: None,
    real_airflow: AirflowStandalone,
    kubernetes_standin: KubernetesStandin,
) -> None:
    """Asked for at a desk, approved on a phone, and retried on another one."""
    version = "2.7.4"
    with logged_in(browser, panel, "dora", DESKTOP) as page, logged_in(browser, panel, "dirk", PHONE) as approver:
        address = ask_for_it(page, version, DESKTOP)
        expect(page.get_by_role("button", name="Approve and start")).to_have_count(0)  # not by oneself
        launch_id = address.rstrip("/").rpartition("/")[2]
        assert panel.get(f"launches/{launch_id}/")["state"] == "awaiting_approval"
        approve(approver, version, PHONE)

        page.goto(address)
        expect(region(page, FAILING)).to_contain_text("RolloutFailed", timeout=WHOLE_RUN)
        panel.until(lambda: panel.get(f"launches/{launch_id}/")["state"] == "failed", "the end of the run", seconds=60)
        page.reload()
        check(settled(page), DESKTOP)
        picture(page, "deploy-4-failed-desktop")
        for name in REGIONS:
            expect(region(page, name)).to_contain_text("hard failure" if name == FAILING else "success")

    with logged_in(browser, panel, "dora", PHONE_DARK) as phone:
        phone.goto(address)
        check(settled(phone), PHONE_DARK)
        picture(phone, "deploy-4-failed-phone")
        region(phone, FAILING).get_by_role("link", name=f"Retry… {FAILING}").click()
        expect(phone.locator("#retry-heading")).to_contain_text("Retry 1 index of deploy_region")
        phone.fill("#retry-panel [name=reason]", "the quota was raised")
        check(settled(phone), PHONE_DARK)
        picture(phone, "deploy-5-retry-phone")
        phone.click("#retry-panel button[type=submit]")
        phone.wait_for_url("**/retry-jobs/*/")
        expect(phone.get_by_text("1 recovered").first).to_be_visible(timeout=WHOLE_RUN)
        check(settled(phone), PHONE_DARK)
        picture(phone, "deploy-6-job-phone")

        panel.until(lambda: panel.get(f"launches/{launch_id}/")["state"] == "success", "the run again", seconds=60)
        phone.goto(address)
        for name in REGIONS:
            expect(region(phone, name)).to_contain_text("success", timeout=WHOLE_RUN)
        check(settled(phone), PHONE_DARK)
        picture(phone, "deploy-7-done-phone")

    run_id = panel.get(f"launches/{launch_id}/")["dag_run_id"]
    body = {"dag_ids": [DEPLOY], "dag_run_ids": [run_id], "task_ids": ["deploy_region"], "page_limit": 100}
    rows = real_airflow.call("POST", "/dags/~/dagRuns/~/taskInstances/list", body)["task_instances"]
    assert {row["rendered_map_index"]: row["try_number"] for row in rows} == dict.fromkeys(REGIONS, 1) | {FAILING: 4}
    for name in REGIONS:
        deployed = kubernetes_standin.clusters.read(name, "payments-prod", "payments-api")
        assert deployed["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f":{version}")


def received(airflow: AirflowStandalone, panel: Panel, launch_id: str) -> dict[str, str]:
    """What the task of this launch's run got, each value as JSON."""
    ended = panel.until(
        lambda: (launch := panel.get(f"launches/{launch_id}/"))["finished_at"] and launch, "the run", seconds=120
    )
    assert ended["state"] == "success", ended
    path = f"/dags/{KINDS}/dagRuns/{ended['dag_run_id']}/taskInstances/received/xcomEntries/return_value"
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
        page.goto(KINDS_FORM)
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
    answer = panel.call("POST", f"servers/live/dags/{KINDS}/launches/", {"params": VALUES, "note": "by a program"})
    assert answer.status_code == 201, answer.text
    assert received(real_airflow, panel, answer.json()["id"]) == AS_JSON
    assert answer.json()["params"]["secret"] == "••••••"
