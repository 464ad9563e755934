"""An outcome rule is tried out live against real results, then saved, and the page of the task follows."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from panel.mirror.models import Instance, OutcomeRule
from panel.mirror.outcome_rules_changing import rederive_outcomes
from tests.browser.conftest import RUN, refreshed

TASK = f"/servers/prod/dags/etl.daily/runs/{RUN}/tasks/process_file/"


@pytest.fixture
def judged(fake_run, task):
    """Results of "process_file" that say how it went in a place of their own."""
    for index in range(12):
        state = "rejected" if index in (4, 7) else "loaded"
        result = {"load": {"state": state, "why": f"schema of file {index}"}, "rows_loaded": 1_000 + index}
        fake_run.finish("etl.daily", RUN, "process_file", index, result=result)
    return refreshed(task)


def test_a_rule_is_tried_live_saved_and_shown_to_hold(opened, olga, judged, server):
    page = opened(olga, TASK)
    page.click("text=What counts as a soft failure here?")
    tried = page.locator("#outcome-try")
    expect(tried).to_contain_text("No outcome changes.")
    page.fill("#id_status_pointer", "load/state")
    expect(tried).to_contain_text("A pointer starts with a slash: /load/state")
    page.fill("#id_status_pointer", "/load/state")
    page.fill("#id_failing_values", "Rejected")
    expect(tried).to_contain_text("2 outcomes change")
    expect(tried.locator("tbody tr").first).to_contain_text('"rejected"')
    assert not OutcomeRule.objects.exists()

    page.fill("#id_message_pointer", "/load/why")
    expect(tried).to_contain_text("schema of file 4")
    page.reload()
    assert page.input_value("#id_message_pointer") == "/load/why"
    page.click("#save-rule")
    expect(page.locator(".rule-holds")).to_contain_text("This task")
    rederive_outcomes(server_id=server.pk)
    failed = Instance.objects.filter(outcome="soft_failure").values_list("map_index", "error_message")
    assert list(failed) == [(4, "schema of file 4"), (7, "schema of file 7")]


def test_what_the_results_hold_is_put_into_the_form_by_a_click(opened, olga, judged):
    page = opened(olga, f"{TASK}outcome-rule/")
    page.click("#rule-places a:has-text('rejected')")
    expect(page.locator("#id_status_pointer")).to_have_value("/load/state")
    expect(page.locator("#id_failing_values")).to_have_value("rejected")
    expect(page).to_have_url(re.compile("status_pointer=%2Fload%2Fstate"))
    expect(page.locator("#outcome-try")).to_contain_text("2 outcomes change")
