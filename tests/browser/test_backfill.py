"""A backfill in a real browser: entered, looked at, started, followed, paused and cancelled; at both widths."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import expect

from panel.launches.guard_rails_changing import set_guard_rails
from panel.launches.models import Backfill
from panel.mirror.models import Dag
from tests.browser.test_every_page import SCREENS, check, settled
from tests.fakes.airflow import KeepRunning, Task
from tests.launches.backfilling import DAG, past_runs, watched, worked

URL = f"/servers/prod/dags/{DAG}/"
PARAMS = {
    "region": {"value": "eu", "schema": {"type": "string", "enum": ["eu", "us"], "title": "Region"}},
    "depth": {"value": 2, "schema": {"type": "integer", "minimum": 1, "maximum": 5, "title": "Depth"}},
}


@pytest.fixture
def dora(groups):
    user = User.objects.create_user("dora")
    user.groups.set([Group.objects.get(name="deployer")])
    return user


@pytest.fixture
def reports(groups, server, fake_airflow):
    """A daily Dag over four shops, with two runs of the past."""
    server.healthy = True
    server.save()
    tasks = [Task("report_shop", is_mapped=True, expands=4, downstream=["send"]), Task("send", trigger_rule="all_done")]
    fake_airflow.add_dag(DAG, params=PARAMS, tasks=tasks, schedule=timedelta(days=1), has_task_concurrency_limits=True)
    past_runs(fake_airflow, server, [(400, 340), (300, 240)])
    return Dag.objects.get(dag_id=DAG)


def shot(page, screen, name):
    """A picture for whoever wants to look: ``MAPBOARD_TEST_SHOTS`` names a folder."""
    if folder := os.environ.get("MAPBOARD_TEST_SHOTS"):
        kind = f"{'phone' if screen.is_phone else 'desktop'}-{screen.scheme}"
        page.screenshot(path=Path(folder) / f"{name}-{kind}.png", full_page=True)
    check(page, screen)


def keep_running(row):
    raise KeepRunning


@SCREENS
def test_from_the_dags_page_to_the_end_of_a_backfill(screen, opened, dora, reports, fake_airflow):
    page = opened(dora, URL, screen)
    shot(settled(page), screen, "dag")
    page.get_by_role("link", name="Backfill…").click()
    page.get_by_label("From (UTC)").fill("2026-11-05T00:00")
    page.get_by_label("To, inclusive (UTC)").fill("2026-11-01T00:00")
    page.get_by_label("Depth").fill("9")
    page.get_by_role("button", name="Look at what it will be").click()
    expect(page.get_by_role("alert")).to_be_visible()
    shot(settled(page), screen, "form-wrong")
    page.get_by_label("From (UTC)").fill("2026-10-20T00:00")
    page.get_by_label("To, inclusive (UTC)").fill("2026-11-08T00:00")
    page.get_by_label("Depth").fill("2")
    page.get_by_label("Run it again if it failed").check()
    page.get_by_label("Note").fill("the tariff was wrong until 8 November")
    page.get_by_role("button", name="Look at what it will be").click()
    expect(page.get_by_role("heading", name="20 runs, one a date")).to_be_visible()
    expect(page.get_by_text("20 runs × 4")).to_be_visible()
    shot(settled(page), screen, "look")
    assert fake_airflow.world.backfills == {}
    page.get_by_role("button", name="Back to the form").click()
    expect(page.get_by_label("From (UTC)")).to_have_value("2026-10-20T00:00")
    page.get_by_role("button", name="Look at what it will be").click()
    page.get_by_role("button", name="Start 20 runs").dblclick()
    page.wait_for_url("**/backfills/*/")
    shot(settled(page), screen, "submitting")
    backfill = Backfill.objects.get()
    worked(backfill)
    fake_airflow.run_queued(keep_running)
    watched(backfill)
    expect(page.get_by_text("0 of 20 runs over")).to_be_visible()  # without a reload
    expect(page.locator("#backfill-runs tbody tr").first.get_by_text("running")).to_be_visible()
    page.get_by_text("Cancel…").click()
    expect(page.get_by_text("18 queued runs are marked failed in Airflow at once")).to_be_visible()
    shot(settled(page), screen, "running")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    shot(settled(page), screen, "paused")
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel this backfill").click()
    watched(backfill)
    expect(page.get_by_text("18 runs were queued when the backfill was cancelled")).to_be_visible()
    for run in list(fake_airflow.world.runs.values()):
        if run.state == "running":
            fake_airflow.finish_run(DAG, run.run_id)
    watched(backfill)
    expect(page.get_by_text("20 of 20 runs over")).to_be_visible()
    shot(settled(page), screen, "cancelled")
    page.goto(page.url.replace(page.url.partition("/backfills/")[2], "").replace("/backfills/", f"{URL}backfills/"))
    shot(settled(page), screen, "list")


@SCREENS
def test_a_protected_one_and_one_that_cannot_start(screen, opened, dora, anna, server, reports, fake_airflow):
    page = opened(dora, f"{URL}backfill/", screen)
    set_guard_rails(user=anna, server=server, dag_id=DAG, protects="everything", needs_approval=False)
    page.get_by_role("button", name="Look at what it will be").click()
    page.get_by_label(f"Type {DAG} to confirm").fill("report")
    page.get_by_role("button", name="Start 7 runs").click()
    expect(page.get_by_text(f"“report” is not “{DAG}”.")).to_be_visible()
    shot(settled(page), screen, "confirm-wrong")
    page.get_by_label(f"Type {DAG} to confirm").fill(DAG)
    page.get_by_role("button", name="Start 7 runs").click()
    page.wait_for_url("**/backfills/*/")
    set_guard_rails(user=anna, server=server, dag_id=DAG, protects="everything", needs_approval=True)
    worked(Backfill.objects.get())
    expect(page.get_by_text("This backfill was not started")).to_be_visible()
    shot(settled(page), screen, "refused")
    page.get_by_role("link", name="New backfill with these values").click()
    page.get_by_role("button", name="Look at what it will be").click()
    expect(page.get_by_text("ask an admin to start it")).to_be_visible()
    shot(settled(page), screen, "needs-approval")


def test_it_works_without_javascript(browser, live_server, dora, reports, fake_airflow):
    from django.test import Client

    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    client = Client()
    client.force_login(dora)
    cookie = {"name": "mapboard_session", "value": client.cookies["mapboard_session"].value, "url": live_server.url}
    context.add_cookies([cookie])
    page = context.new_page()
    page.goto(f"{URL}backfill/")
    page.get_by_role("button", name="Look at what it will be").click()
    page.get_by_role("button", name="Start 7 runs").click()
    expect(page.get_by_text("on its way to Airflow")).to_be_visible()
    assert worked(Backfill.objects.get()).state == "running"
    context.close()
