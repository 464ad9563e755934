"""A launch form: made by an admin, launched through by a deployer, with presets, links and dependent options."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import expect

from panel.launches.dag_forms import read_form
from panel.launches.launch_forms_changing import FormContent, add_form
from panel.launches.models import FormDefinition, Launch, Preset
from panel.launches.shapes import shapes_of
from tests.browser.conftest import DESKTOP, PHONE, RUN
from tests.browser.test_every_page import BOTH_WIDTHS, check, settled
from tests.browser.test_launch import URL, rollout, what_the_worker_does

__all__ = ["rollout"]
FORMS = "/servers/prod/dags/rollout/launch-forms/"
SHOTS = os.environ.get("MAPBOARD_TEST_SHOTS", "")
SHAPES = [
    {"name": "version", "mode": "shown", "title": "Release", "help": "As tagged in the repository."},
    {"name": "env", "mode": "shown"},
    {"name": "region", "mode": "shown",
     "options": {"on": "env", "table": {"staging": ["eu-1"], "prod": ["eu-1", "us-1", "us-2"]}}},
    *({"name": name, "mode": "hidden"} for name in ("notes", "not_before", "dry_run", "notify", "checks", "labels")),
    {"name": "replicas", "mode": "fixed", "value": 3},
    {"name": "artifact_uri", "mode": "hidden"},
]  # fmt: skip


def shoot(page, screen, name):
    if SHOTS:
        width = "phone" if screen.is_phone else "desktop"
        page.screenshot(path=str(Path(SHOTS) / f"{name}-{width}-{screen.scheme}.png"), full_page=True)


@pytest.fixture
def dora(groups) -> User:
    user = User.objects.create_user("dora")
    user.groups.set([Group.objects.get(name="deployer"), Group.objects.get_or_create(name="payments")[0]])
    return user


@pytest.fixture
def deploy_form(anna, rollout, server) -> FormDefinition:
    rollout.params["region"] = {"value": "eu-1", "schema": {"type": "string", "title": "Region"}}
    read_form(server=server, dag_id="rollout")
    content = FormContent(
        slug="deploy",
        title="Deploy payments",
        text="Rolls a release out, region by region.\nLook at the error budget first.",
        button="Deploy {version} to {env}",
        shapes=shapes_of(SHAPES),
    )
    return add_form(user=anna, server=server, dag_id="rollout", content=content)


@BOTH_WIDTHS
def test_an_admin_makes_a_form_and_a_deployer_launches_through_it(
    screen, opened, anna, dora, rollout, server, fake_airflow
):
    read_form(server=server, dag_id="rollout")
    page = opened(anna, FORMS, screen)
    expect(page.get_by_text("This Dag has no launch form yet")).to_be_visible()
    check(page, screen)
    page.get_by_role("main").get_by_role("link", name="Make a launch form").first.click()
    page.get_by_label("Title required").fill("Deploy payments")
    page.get_by_label("Short name").fill("Deploy!")
    page.get_by_label("Text for people").fill("Rolls a release out.\nLook at the error budget first.")
    page.get_by_label("Words of the button").fill("Deploy {version} to {env}")
    page.get_by_label("Place: env").fill("9")
    for name in ("artifact_uri", "notes", "not_before", "dry_run", "notify", "checks", "labels"):
        page.get_by_label(f"In the form: {name}", exact=True).select_option(label="Hidden, as the Dag has it")
    page.get_by_label("In the form: replicas").select_option(label="Fixed to the value below")
    expect(page.get_by_label("Value: env")).to_be_hidden()
    page.get_by_label("Value: replicas").fill("99")
    check(page, screen)
    shoot(page, screen, "edit")
    page.get_by_role("button", name="Make the form").click()
    expect(page.get_by_text("Enter 9 or less.")).to_be_visible()
    check(page, screen)
    page.get_by_label("Value: replicas").fill("3")
    page.get_by_role("button", name="Make the form").click()
    expect(page.get_by_text("Lower-case letters, digits and dashes, at most 50")).to_be_visible()
    check(page, screen)
    shoot(page, screen, "edit-wrong")
    page.get_by_label("Short name").fill("deploy")
    page.get_by_role("button", name="Make the form").click()
    expect(page.get_by_text("The launch form “Deploy payments” is there.")).to_be_visible()
    page.goto(FORMS)
    page.get_by_role("button", name="Only through its launch forms").click()
    expect(page.get_by_text("launched through its launch forms only").first).to_be_visible()
    check(page, screen)
    shoot(page, screen, "dag-forms")
    page.get_by_role("link", name="Delete…").click()
    expect(page.get_by_role("button", name="Delete this form")).to_be_visible()
    check(page, screen)

    page = opened(dora, "/launch-forms/", screen)
    page.get_by_role("searchbox").fill("payments")
    expect(page.get_by_role("link", name="Deploy payments")).to_be_visible()
    check(settled(page), screen)
    shoot(page, screen, "list")
    page.get_by_role("link", name="Deploy payments").click()
    button = page.locator("#launch-form .form-actions button.primary")
    expect(button).to_have_text("Deploy … to staging")
    page.locator("#p-version").fill("1.4.2")
    page.locator("#p-env").select_option(label="Production (four regions)")
    expect(button).to_have_text("Deploy 1.4.2 to prod")
    check(page, screen)
    shoot(page, screen, "form")
    button.click()
    page.wait_for_url("**/launches/*/")
    check(settled(page), screen)
    what_the_worker_does(Launch.objects.get())
    (run,) = fake_airflow.world.runs.values()
    assert run.conf == {"version": "1.4.2", "env": "prod", "replicas": 3}


@BOTH_WIDTHS
def test_options_follow_the_other_field_and_a_preset_keeps_what_was_chosen(screen, opened, dora, deploy_form):
    page = opened(dora, f"{URL}?form=deploy", screen)
    region = page.locator("#p-region")
    expect(region.locator("option")).to_have_text(["eu-1"])
    page.locator("#p-env").select_option(label="Production (four regions)")
    expect(region.locator("option")).to_have_text(["eu-1", "us-1", "us-2"])
    region.select_option(label="us-2")
    page.locator("#p-version").fill("1.4.2")
    check(settled(page), screen)
    page.locator("#p-env").select_option(label="Staging (one region)")
    expect(region.locator("option")).to_have_text(["Choose…", "eu-1"])
    page.locator("#p-env").select_option(label="Production (four regions)")
    expect(region.locator("option")).to_have_text(["Choose…", "eu-1", "us-1", "us-2"])
    region.select_option(label="us-1")
    expect(page.get_by_role("button", name="Show the options")).to_have_count(0)

    page.get_by_text("Save as preset, or copy a link").click()
    check(page, screen)
    page.get_by_role("button", name="Save as preset").click()
    expect(page.get_by_text("Give it a name of at most 80 plain characters.")).to_be_visible()
    expect(region).to_have_value('"us-1"')
    check(settled(page), screen)
    page.get_by_label("Name of the preset").fill("Prod US")
    page.get_by_label("Whose").select_option(label="Everybody in payments")
    page.get_by_role("button", name="Save as preset").click()
    page.wait_for_url("**preset=*")
    expect(page.get_by_text("Filled in from the preset “Prod US” of payments.")).to_be_visible()
    expect(region).to_have_value('"us-1"')
    check(page, screen)
    shoot(page, screen, "preset")
    assert Preset.objects.get().params == {"version": "1.4.2", "env": "prod", "region": "us-1"}

    page.get_by_text("Save as preset, or copy a link").click()
    page.get_by_role("button", name="Link with these values").click()
    link = page.get_by_label("Link with these values").input_value()
    assert link.endswith("?form=deploy&p.version=1.4.2&p.env=prod&p.region=us-1")
    check(settled(page), screen)
    shoot(page, screen, "link")
    page.goto(f"{link}&p.replicas=9&p.nope=1")
    expect(page.get_by_text("Not everything was taken over")).to_be_visible()
    expect(page.locator("#p-version")).to_have_value("1.4.2")
    expect(region).to_have_value('"us-1"')
    check(page, screen)
    shoot(page, screen, "link-said")

    page.goto(f"/presets/{Preset.objects.get().pk}/")
    check(page, screen)
    shoot(page, screen, "preset-page")
    page.locator("#preset-name").fill("Prod America")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_text("Preset “Prod America”")).to_be_visible()
    page.get_by_role("button", name="Delete this preset").click()
    page.wait_for_url(re.compile("launch/"))
    assert not Preset.objects.exists()
    assert not Launch.objects.exists()


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_without_javascript_the_options_are_shown_by_a_button(screen, opened, dora, deploy_form):
    page = opened(dora, f"{URL}?form=deploy", screen, java_script_enabled=False)
    page.locator("#p-version").fill("1.4.2")
    page.locator("#p-env").select_option(label="Production (four regions)")
    page.get_by_role("button", name="Show the options").click()
    region = page.locator("#p-region")
    expect(region.locator("option")).to_have_text(["eu-1", "us-1", "us-2"])
    expect(page.locator("#p-version")).to_have_value("1.4.2")
    region.select_option(label="us-2")
    page.locator("#launch-form .form-actions button.primary").click()
    page.wait_for_url("**/launches/*/")
    assert Launch.objects.get().params == {"version": "1.4.2", "env": "prod", "region": "us-2", "replicas": 3}


@BOTH_WIDTHS
def test_the_values_of_any_run_fill_the_form_in(screen, opened, olga, fake_run, server, groups):
    page = opened(olga, f"/servers/prod/dags/etl.daily/runs/{RUN}/", screen)
    page.get_by_role("link", name="Launch again with these values").click()
    expect(page.get_by_label("env")).to_have_value('"prod"')
    expect(page.get_by_text("“note” is no param of this Dag; its value was left out.")).to_be_visible()
    check(settled(page), screen)
    shoot(page, screen, "again")
    assert not Launch.objects.exists()
