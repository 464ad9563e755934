"""The story Mapboard is for, with everything real: a deploy to production that somebody else approves, one region
fails, and exactly that one is retried from the launch's page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from examples.demo.airflow import AirflowStandalone
from examples.demo.kubernetes_standin import KubernetesStandin
from tests.browser.conftest import DESKTOP, PHONE, PHONE_DARK, Screen
from tests.browser.test_every_page import check, settled
from tests.live.browsing import logged_in, picture, running_panel
from tests.soak.panel import Panel

DAG = "multi_region_deploy"
FORM = f"/servers/live/dags/{DAG}/launch/"
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "ap-southeast-1"]
FAILING = "eu-west-1"
WHOLE_RUN = 120_000
"""Milliseconds: four regions two at a time, two retries of the one that fails."""


@pytest.fixture(scope="module")
def panel(real_airflow: AirflowStandalone) -> Iterator[Panel]:
    real_airflow.wait_for_dags([DAG])
    with running_panel(real_airflow) as panel:
        yield panel


@pytest.fixture(scope="module")
def protected(browser: Browser, panel: Panel) -> None:
    """An admin has said that whatever goes to production needs somebody else's yes."""
    with logged_in(browser, panel, "anna", DESKTOP) as page:
        page.goto(FORM)
        page.goto(FORM.replace("/launch/", "/guard-rails/"))
        page.get_by_label("launches with certain values").check()
        page.get_by_label("Values that protect a launch").fill("env = prod")
        page.get_by_role("button", name="Set guard rails").click()
        expect(page.get_by_text("Somebody else has to approve it within 24 hours.")).to_be_visible()


def ask_for_it(page: Page, version: str, screen: Screen) -> str:
    """The address of the launch."""
    page.goto(FORM)
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
    page.get_by_role("region", name="1 launch waits").get_by_role("link", name=DAG).click()
    page.wait_for_url("**/launches/*/")
    expect(page.get_by_text(version).first).to_be_visible()
    check(settled(page), screen)
    picture(page, f"deploy-3-approve-{screen.width}")
    page.get_by_role("button", name="Approve and start").click()
    expect(page.get_by_text("Approved: it is on its way to Airflow.")).to_be_visible()


def region(page: Page, name: str) -> Page:
    return page.get_by_role("row").filter(has_text=name)


@pytest.mark.parametrize(("screen", "phone"), [(DESKTOP, PHONE), (PHONE_DARK, PHONE_DARK)], ids=["desktop", "phone"])
def test_a_region_of_an_approved_deploy_fails_and_is_retried_from_the_launch_page(
    screen: Screen,
    phone: Screen,
    browser: Browser,
    panel: Panel,
    protected: None,
    real_airflow: AirflowStandalone,
    kubernetes_standin: KubernetesStandin,
) -> None:
    version = f"2.7.{screen.width}"
    with logged_in(browser, panel, "dora", screen) as page, logged_in(browser, panel, "dirk", phone) as approver:
        address = ask_for_it(page, version, screen)
        expect(page.get_by_role("button", name="Approve and start")).to_have_count(0)  # not by oneself
        launch_id = address.rstrip("/").rpartition("/")[2]
        assert panel.get(f"launches/{launch_id}/")["state"] == "awaiting_approval"
        approve(approver, version, phone)

        page.goto(address)
        expect(region(page, FAILING)).to_contain_text("RolloutFailed", timeout=WHOLE_RUN)
        retry = region(page, FAILING).get_by_role("link", name=f"Retry… {FAILING}")
        panel.until(lambda: panel.get(f"launches/{launch_id}/")["state"] == "failed", "the end of the run", seconds=60)
        page.reload()
        check(settled(page), screen)
        picture(page, f"deploy-4-failed-{screen.width}")
        for name in REGIONS:
            expect(region(page, name)).to_contain_text("hard failure" if name == FAILING else "success")

        retry.click()
        expect(page.locator("#retry-heading")).to_contain_text("Retry 1 index of deploy_region")
        page.fill("#retry-panel [name=reason]", "the quota was raised")
        check(settled(page), screen)
        picture(page, f"deploy-5-retry-{screen.width}")
        page.click("#retry-panel button[type=submit]")
        page.wait_for_url("**/retry-jobs/*/")
        expect(page.get_by_text("1 recovered").first).to_be_visible(timeout=WHOLE_RUN)
        check(settled(page), screen)
        picture(page, f"deploy-6-job-{screen.width}")

        panel.until(lambda: panel.get(f"launches/{launch_id}/")["state"] == "success", "the run again", seconds=60)
        page.goto(address)
        for name in REGIONS:
            expect(region(page, name)).to_contain_text("success", timeout=WHOLE_RUN)
        check(settled(page), screen)
        picture(page, f"deploy-7-done-{screen.width}")

    run_id = panel.get(f"launches/{launch_id}/")["dag_run_id"]
    body = {"dag_ids": [DAG], "dag_run_ids": [run_id], "task_ids": ["deploy_region"], "page_limit": 100}
    rows = real_airflow.call("POST", "/dags/~/dagRuns/~/taskInstances/list", body)["task_instances"]
    assert {row["rendered_map_index"]: row["try_number"] for row in rows} == dict.fromkeys(REGIONS, 1) | {FAILING: 4}
    for name in REGIONS:
        deployed = kubernetes_standin.clusters.read(name, "payments-prod", "payments-api")
        assert deployed["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f":{version}")
