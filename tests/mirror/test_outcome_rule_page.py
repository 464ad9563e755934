"""The page of outcome rules: what holds, what a draft would change, who may save it."""

from __future__ import annotations

import pytest

from panel.mirror.models import OutcomeRule
from tests.mirror.pages import HTMX, MARKUP, page, place, words
from tests.mirror.stage import mirrored_task

pytestmark = pytest.mark.django_db

DRAFT = {"status_pointer": "/state", "failing_values": "bad", "message_pointer": "/why", "scope": "dag"}


@pytest.fixture
def task(server):
    results = {n: {"state": "bad" if n < 2 else "good", "why": f"{MARKUP} {n}", "status": "ok"} for n in range(6)}
    return mirrored_task(server, ["success"] * 6, results=results)


def draft(task, **more):
    from urllib.parse import urlencode

    return f"{place(task, 'outcome_rule')}?{urlencode(DRAFT | more)}"


def test_the_task_page_leads_to_it_and_it_says_what_holds(task, as_user, viewer):
    assert place(task, "outcome_rule") in page(as_user(viewer), place(task))
    text = words(page(as_user(viewer), place(task, "outcome_rule")))
    assert "Mapboard's default holds here /status is failed or failure or error" in text
    assert "0 of 6 results are soft failures by this rule. No outcome changes." in text


def test_a_draft_is_tried_and_nothing_is_written(task, as_user, viewer, woken):
    html = page(as_user(viewer), draft(task), **HTMX | {"hx-target": "outcome-try"})
    assert html.strip().startswith("<section")
    assert "2 of 6 results are soft failures by this rule. 2 outcomes change: 2 to soft failure" in words(html)
    assert MARKUP not in html
    assert not OutcomeRule.objects.exists()
    assert woken == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"status_pointer": "state"}, "A pointer starts with a slash: /state"),
        ({"failing_values": " "}, "Name at least one value"),
        ({"message_pointer": "/~"}, "In a pointer ~ stands only in ~0"),
        ({"scope": "galaxy"}, "Holds for"),
    ],
)
def test_a_draft_that_is_no_rule_says_why(task, as_user, viewer, wrong, said):
    text = words(page(as_user(viewer), draft(task, **wrong)))
    assert said in text
    assert "This is not a rule yet." in text


def test_an_operator_saves_it_and_takes_it_away_again(task, as_user, operator, woken):
    browser = as_user(operator)
    assert browser.post(place(task, "outcome_rule_save"), DRAFT).status_code == 302
    row = OutcomeRule.objects.get()
    assert (row.dag_id, row.task_id, row.failing_values) == ("etl.daily", "", ["bad"])
    assert woken.names() == ["mirror.rederive_outcomes"]
    assert "All tasks of this Dag holds here" in words(page(browser, place(task, "outcome_rule")))
    assert browser.post(place(task, "outcome_rule_remove"), {"scope": "dag"}).status_code == 302
    assert not OutcomeRule.objects.exists()
    assert "There is no such rule any more" in words(
        browser.post(place(task, "outcome_rule_remove"), {"scope": "dag"}, follow=True).content.decode()
    )


def test_what_cannot_be_saved_comes_back_as_it_was_typed(task, as_user, operator):
    answer = as_user(operator).post(place(task, "outcome_rule_save"), DRAFT | {"status_pointer": "oops"})
    assert answer.status_code == 422
    assert 'value="oops"' in answer.content.decode()


def test_a_viewer_may_look_but_not_save(task, as_user, viewer):
    assert "save-rule" not in page(as_user(viewer), draft(task))
    assert as_user(viewer).post(place(task, "outcome_rule_save"), DRAFT).status_code == 403
    assert not OutcomeRule.objects.exists()


def test_a_wider_rule_says_when_a_narrower_one_stays(task, server, as_user, operator):
    OutcomeRule.objects.create(
        server=server, dag_id="etl.daily", task_id="process_file", status_pointer="/x", failing_values=["y"]
    )
    text = words(page(as_user(operator), draft(task)))
    assert "A more specific rule holds here and stays" in text
    assert "One more specific rule stays as it is" in text


def test_large_maps_are_tried_on_an_even_spread(task, as_user, viewer, monkeypatch):
    monkeypatch.setattr("panel.mirror.outcome_rules_tried.MOST_TRIED", 3)
    text = words(page(as_user(viewer), draft(task)))
    assert "1 of 3 results are soft failures" in text
    assert "3 of 6 stored results were looked at, evenly spread." in text


def test_what_results_hold_is_offered(task, as_user, viewer):
    html = page(as_user(viewer), draft(task, failing_values="none"))
    assert "status_pointer=%2Fstate&amp;failing_values=none%0Abad" in html
    assert '<option value="/why">' in html
