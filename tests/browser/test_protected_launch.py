"""A launch to production: guard rails set by an admin, confirmed by typing, approved by somebody else on a phone."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from django.contrib.auth.models import Group, User
from playwright.sync_api import expect

from panel.launches.models import FreezeWindow, Launch
from tests.browser.test_every_page import BOTH_WIDTHS, check, settled
from tests.browser.test_launch import URL, rollout, what_the_worker_does

__all__ = ["rollout"]
RAILS = "/servers/prod/dags/rollout/guard-rails/"


def deployer(name):
    user = User.objects.create_user(name)
    user.groups.set([Group.objects.get(name="deployer")])
    return user


@BOTH_WIDTHS
def test_from_guard_rails_to_an_approved_run(screen, opened, anna, rollout, fake_airflow):
    page = opened(anna, URL, screen)  # reads the params
    page.goto(page.url.replace(URL, RAILS))
    page.get_by_label("launches with certain values").check()
    page.get_by_label("Values that protect a launch").fill("evn = prod")
    page.get_by_role("button", name="Set guard rails").click()
    expect(page.get_by_text("The Dag has no param “evn”.")).to_be_visible()
    check(page, screen)
    page.get_by_label("Values that protect a launch").fill("env = prod")
    page.get_by_role("button", name="Set guard rails").click()
    expect(page.get_by_text("Somebody else has to approve it within 24 hours.")).to_be_visible()
    check(page, screen)

    asking, deciding = deployer("dora"), deployer("dirk")
    page = opened(asking, URL, screen)
    page.get_by_label("Environment").select_option(label="Production (four regions)")
    page.get_by_label("Version").fill("1.4.2")
    page.get_by_role("button", name="Launch rollout").click()
    expect(page.get_by_text("env = prod is protected.")).to_be_visible()
    expect(page.get_by_label("Type prod to confirm")).to_be_focused()
    check(settled(page), screen)
    page.get_by_role("button", name="Back to the form").click()
    expect(page.get_by_label("Version")).to_have_value("1.4.2")
    page.get_by_role("button", name="Launch rollout").click()
    page.get_by_label("Type prod to confirm").fill("production")
    page.get_by_role("button", name="Ask for approval").click()
    expect(page.get_by_text("“production” is not “prod”.")).to_be_visible()
    check(settled(page), screen)
    page.get_by_label("Type prod to confirm").fill("prod")
    page.get_by_role("button", name="Ask for approval").dblclick()
    page.wait_for_url("**/launches/*/")
    expect(page.get_by_text("approved by somebody else")).to_be_visible()
    check(settled(page), screen)
    launch = Launch.objects.get()
    assert (launch.state, fake_airflow.world.runs) == ("awaiting_approval", {})

    other = opened(deciding, "/launches/", screen)
    expect(other.get_by_text("1 launch waits for your yes or no")).to_be_visible()
    check(other, screen)
    other.get_by_role("region", name="1 launch waits").get_by_role("link", name="rollout").click()
    expect(other.get_by_role("button", name="Approve and start")).to_be_visible()
    check(settled(other), screen)
    other.get_by_role("button", name="Reject").click()
    expect(other.get_by_text("Say why")).to_be_visible()
    other.get_by_label("Comment").fill("saw the tests pass")
    other.get_by_role("button", name="Approve and start").click()
    expect(other.get_by_text("Approved: it is on its way to Airflow.")).to_be_visible()
    what_the_worker_does(Launch.objects.get())
    (run,) = fake_airflow.world.runs.values()
    assert run.conf["env"] == "prod"
    expect(page.get_by_text("Approved by dirk")).to_be_visible()  # without a reload
    check(settled(page), screen)


@BOTH_WIDTHS
def test_a_freeze_is_seen_before_the_form_is_filled_in(screen, opened, anna, rollout):
    page = opened(anna, URL, screen, timezone_id="Europe/Berlin")
    page.goto(page.url.replace(URL, RAILS))
    page.get_by_text("Set a freeze").click()
    expect(page.get_by_text("Europe/Berlin")).to_have_count(2)
    page.get_by_label(re.compile("^From")).fill("2026-01-01T00:00")
    page.get_by_label(re.compile("^Until")).fill("2026-12-31T00:00")
    page.get_by_label("Why").fill("end of the year")
    check(page, screen)
    page.get_by_role("button", name="Set the freeze").click()
    expect(page.get_by_role("button", name="End now")).to_be_visible()
    assert FreezeWindow.objects.get().starts_at == datetime(2025, 12, 31, 23, tzinfo=UTC)
    check(page, screen)
    page.goto(page.url.replace(RAILS, URL))
    expect(page.get_by_text("Nothing can be launched now")).to_be_visible()
    check(page, screen)
