"""Launching by form in a real browser: fill in, correct, launch, watch the targets; accessible and narrow enough."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from panel.launches.models import Launch
from panel.launches.submission import submit_launch
from panel.launches.watching import mirror_run
from panel.mirror.models import MappedTask
from panel.retries.models import RetryJob
from tests.browser.conftest import PHONE, refreshed
from tests.browser.test_every_page import BOTH_WIDTHS, check, settled
from tests.fakes.airflow import Task

URL = "/servers/prod/dags/rollout/launch/"
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "ap-southeast-1"]
PARAMS = {
    "env": {
        "value": "staging",
        "schema": {
            "type": "string",
            "enum": ["staging", "prod"],
            "values_display": {"staging": "Staging (one region)", "prod": "Production (four regions)"},
            "title": "Environment",
            "section": "Release",
        },
    },
    "version": {
        "value": None,
        "schema": {"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$", "title": "Version", "section": "Release"},
        "description": "Semantic version of the artifact, for example 1.4.2",
    },
    "artifact_uri": {
        "value": "oci://registry.example.com/payments/payments-api",
        "schema": {"type": "string", "format": "uri", "title": "Artifact", "section": "Release"},
    },
    "notes": {
        "value": None,
        "schema": {"type": ["null", "string"], "format": "multiline", "title": "Release notes", "section": "Release"},
    },
    "not_before": {
        "value": "2026-12-01T10:00:00Z",
        "schema": {"type": "string", "format": "date-time", "title": "Not before", "section": "Rollout"},
    },
    "dry_run": {"value": False, "schema": {"type": "boolean", "title": "Dry run", "section": "Rollout"}},
    "replicas": {
        "value": 2,
        "schema": {"type": "integer", "minimum": 1, "maximum": 9, "title": "Replicas", "section": "Rollout"},
    },
    "notify": {
        "value": ["oncall@example.com"],
        "schema": {
            "type": "array",
            "items": {"type": "string", "format": "email"},
            "title": "Notify",
            "section": "Rollout",
        },
    },
    "checks": {
        "value": ["smoke"],
        "schema": {"type": "array", "examples": ["smoke", "load"], "title": "Checks", "section": "Rollout"},
    },
    "labels": {"value": None, "schema": {"type": ["object", "null"], "title": "Extra labels", "section": "Rollout"}},
}


@pytest.fixture
def rollout(groups, server, fake_airflow):
    tasks = [Task("deploy_region", is_mapped=True, downstream=["check"]), Task("check", trigger_rule="all_done")]
    return fake_airflow.add_dag("rollout", params=PARAMS, tasks=tasks, description="Rolls a version out.")


def what_the_worker_does(launch: Launch) -> None:
    submit_launch(launch_id=launch.pk)
    mirror_run(launch_id=launch.pk)
    sync_targets()


def sync_targets() -> None:
    for mapped_task in MappedTask.objects.all():
        refreshed(mapped_task)


@BOTH_WIDTHS
def test_a_form_is_filled_in_corrected_launched_and_its_targets_watched(screen, opened, olga, rollout, fake_airflow):
    page = opened(olga, URL, screen, timezone_id="Europe/Berlin")
    expect(page.get_by_label("Not before")).to_have_value(re.compile(r"2026-12-01T11:00(:00)?"))
    expect(page.get_by_text("Europe/Berlin")).to_be_visible()
    check(page, screen)

    page.get_by_label("Replicas").fill("99")
    page.get_by_label("Notify").fill("nobody")
    page.get_by_label("Release notes", exact=True).fill("first\nsecond")
    expect(page.get_by_label("No value: Release notes")).not_to_be_checked()
    page.get_by_role("button", name="Launch rollout").click()
    expect(page.get_by_label("Version")).to_be_focused()
    expect(page.get_by_label("Replicas")).to_have_value("99")
    expect(page.get_by_role("alert")).to_contain_text("Enter 9 or less.")
    expect(page.get_by_role("alert")).to_contain_text("Enter an e-mail address")
    check(page, screen)
    assert fake_airflow.world.runs == {}

    page.get_by_label("Environment").select_option(label="Production (four regions)")
    page.get_by_label("Version").fill("1.4.2")
    page.get_by_label("Replicas").fill("3")
    page.get_by_label("Notify").fill("a@example.com\nb@example.com")
    page.get_by_role("checkbox", name="load").check()
    page.get_by_role("button", name="Launch rollout").dblclick()
    page.wait_for_url("**/launches/*/")
    expect(page.get_by_text("on its way to Airflow")).to_be_visible()

    launch = Launch.objects.get()
    what_the_worker_does(launch)
    (run,) = fake_airflow.world.runs.values()
    assert run.conf == {
        "env": "prod",
        "version": "1.4.2",
        "artifact_uri": "oci://registry.example.com/payments/payments-api",
        "notes": "first\nsecond",
        "not_before": "2026-12-01T10:00:00Z",
        "dry_run": False,
        "replicas": 3,
        "notify": ["a@example.com", "b@example.com"],
        "checks": ["smoke", "load"],
        "labels": None,
    }
    fake_airflow.expand("rollout", run.run_id, "deploy_region", 4, labels=REGIONS)
    fake_airflow.finish("rollout", run.run_id, "deploy_region", 0, result={"status": "ok"})
    fake_airflow.finish("rollout", run.run_id, "deploy_region", 1, error=("RolloutFailed", "2 of 3 replicas <b>"))
    fake_airflow.start("rollout", run.run_id, "deploy_region", 2)
    sync_targets()
    failed = page.get_by_role("row").filter(has_text="us-west-2")
    expect(failed).to_contain_text("hard failure")
    expect(failed).to_contain_text("RolloutFailed: 2 of 3 replicas <b>")
    check(page, screen)

    fake_airflow.finish("rollout", run.run_id, "deploy_region", 2, result={"status": "ok"})
    sync_targets()
    expect(page.get_by_role("row").filter(has_text="eu-west-1")).to_contain_text("success")

    page.goto("/launches/")
    expect(page.get_by_role("link", name="rollout")).to_be_visible()
    check(page, screen)


@BOTH_WIDTHS
def test_one_region_and_all_that_failed_are_retried_from_the_board(screen, opened, olga, rollout, fake_airflow):
    page = opened(olga, URL, screen)
    page.get_by_label("Version").fill("1.4.2")
    page.get_by_role("button", name="Launch rollout").click()
    page.wait_for_url("**/launches/*/")
    board = page.url
    launch = Launch.objects.get()
    what_the_worker_does(launch)
    (run,) = fake_airflow.world.runs.values()
    fake_airflow.expand("rollout", run.run_id, "deploy_region", 4, labels=REGIONS)
    for index in range(4):
        error = ("RolloutFailed", "2 of 3 replicas") if index in (1, 2) else None
        fake_airflow.finish("rollout", run.run_id, "deploy_region", index, error=error)
    fake_airflow.finish("rollout", run.run_id, "check", result={"ok": False})
    fake_airflow.finish_run("rollout", run.run_id, "failed")
    sync_targets()
    page.reload()

    region = page.get_by_role("row").filter(has_text="us-west-2").get_by_role("link", name="Retry… us-west-2")
    region.click()
    expect(page.locator("#retry-heading")).to_contain_text("Retry 1 index of deploy_region")
    expect(page.locator("#retry-panel")).to_be_focused()
    check(settled(page), screen)
    page.fill("#retry-panel [name=reason]", "quota was raised")
    page.click("#retry-panel button[type=submit]")
    page.wait_for_url("**/retry-jobs/*/")
    check(settled(page), screen)
    first = RetryJob.objects.get()
    assert [item.map_index for item in first.items.all()] == [1]

    page.goto(board)
    page.get_by_role("link", name="Retry all 2 failed…").click()
    expect(page.locator("#retry-heading")).to_contain_text("Retry 1 index of deploy_region")
    expect(page.locator("#retry-left-out")).to_contain_text("Left out: 1")
    check(settled(page), screen)
    page.fill("#retry-panel [name=reason]", "quota was raised")
    page.click("#retry-panel button[type=submit]")
    page.wait_for_url("**/retry-jobs/*/")
    (second,) = RetryJob.objects.exclude(pk=first.pk)
    assert [item.map_index for item in second.items.all()] == [2]


def test_no_value_takes_the_text_away_and_gives_it_back(opened, olga, rollout):
    page = opened(olga, URL, PHONE)
    notes, none = page.get_by_label("Release notes", exact=True), page.get_by_label("No value: Release notes")
    expect(none).to_be_checked()
    notes.fill("typed")
    expect(none).not_to_be_checked()
    none.check()
    expect(notes).to_have_value("")
    none.uncheck()
    expect(notes).to_have_value("typed")
