"""The launch form's objects and its JSON view in a real browser, accessible and narrow enough."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from panel.launches.models import Launch
from tests.browser.conftest import PHONE
from tests.browser.test_every_page import BOTH_WIDTHS, check, settled

URL = "/servers/prod/dags/sized/launch/"
PARAMS = {
    "size": {
        "value": {"cpu": 1},
        "schema": {
            "type": "object",
            "title": "Size",
            "description_md": "See **the** [sizes](https://docs.example/sizes).\n\n- small\n- `large`",
            "properties": {
                "cpu": {"type": "integer", "title": "Processors", "minimum": 1, "maximum": 8},
                "spot": {"type": "boolean", "title": "Spot"},
            },
            "required": ["cpu"],
        },
    },
    "labels": {
        "value": None,
        "schema": {
            "type": ["object", "null"],
            "title": "Labels",
            "properties": {"team": {"type": "string", "title": "Team"}},
        },
    },
    "token": {"value": None, "schema": {"type": "string", "format": "password", "title": "Token"}},
}


@pytest.fixture
def sized(groups, server, fake_airflow):
    return fake_airflow.add_dag("sized", params=PARAMS)


@BOTH_WIDTHS
def test_from_fields_to_json_and_back_and_launched(screen, opened, olga, sized):
    page = opened(olga, URL, screen)
    check(settled(page), screen)
    expect(page.get_by_role("link", name="sizes")).to_be_visible()
    page.get_by_label("Processors").fill("99")
    page.get_by_label("Token").fill("hunter2")
    page.get_by_role("button", name="Launch sized").click()
    expect(page.get_by_role("alert")).to_contain_text("Size: Processors: Enter 8 or less.")
    expect(page.get_by_label("Processors")).to_be_focused()
    check(settled(page), screen)

    page.get_by_label("Processors").fill("4")
    page.get_by_role("button", name="All values as JSON").click()
    text = page.get_by_label("Params")
    expect(text).to_be_focused()
    assert json.loads(text.input_value()) == {"size": {"cpu": 4}, "labels": None}
    assert "hunter2" not in page.content()
    check(settled(page), screen)
    text.fill('{"size": {"cpu": 4, "spot": "yes"}, "lables": null}')
    page.get_by_role("button", name="Launch sized").click()
    expect(page.get_by_role("alert")).to_contain_text("size: spot: This must be true or false.")
    expect(page.get_by_role("alert")).to_contain_text("lables: The Dag has no such param.")
    check(settled(page), screen)

    text.fill('{"size": {"cpu": 6, "spot": true}, "labels": {"team": "payments"}}')
    page.get_by_role("button", name="Back to the fields").click()
    expect(page.get_by_label("Processors")).to_have_value("6")
    expect(page.get_by_label("Spot")).to_have_value("true")
    expect(page.get_by_label("Team")).to_have_value("payments")
    check(settled(page), screen)
    page.get_by_label("Token").fill("hunter2")
    page.get_by_role("button", name="Launch sized").click()
    page.wait_for_url("**/launches/*/")
    assert Launch.objects.get().params == {
        "size": {"cpu": 6, "spot": True},
        "labels": {"team": "payments"},
        "token": "hunter2",
    }


def test_an_object_without_a_value_has_fields_that_are_not_asked(opened, olga, sized):
    page = opened(olga, URL, PHONE)
    none = page.get_by_label("No value: Labels")
    expect(none).to_be_checked()
    expect(page.get_by_label("Team")).to_be_disabled()
    none.uncheck()
    page.get_by_label("Team").fill("payments")
    none.check()
    expect(page.get_by_label("Team")).to_be_disabled()
    page.get_by_label("Token").fill("hunter2")
    page.get_by_role("button", name="Launch sized").click()
    page.wait_for_url("**/launches/*/")
    assert Launch.objects.get().params["labels"] is None
