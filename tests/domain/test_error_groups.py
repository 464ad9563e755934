"""Error groups: failures that agree but for their variable parts."""

from __future__ import annotations

import pytest

from panel.domain.error_groups import group_id, masked


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("item 17 of 400 failed", "item <n> of <n> failed"),
        ("took 1,234.5 ms", "took <n> ms"),
        ("customer_4711 is missing", "customer_<n> is missing"),
        ("host 10.0.17.7:5432 refused", "host <ip>:<n> refused"),
        ("job 4383aeab-1111-2222-3333-444455556666 died", "job <id> died"),
        ("due 2026-11-22T06:46:17.345398+00:00 or 2026-11-22", "due <date> or <date>"),
        ("no such file: /data/in/part-0017.csv", "no such file: <path>"),
        ("GET https://api.example.com/v1/items/9?x=1 gave 500", "GET <url> gave <n>"),
        ("object at 0x7f00dead, digest deadbeef0123456789", "object at <hex>, digest <hex>"),
        ("  many \n\t spaces  ", "many spaces"),
        ("nothing variable", "nothing variable"),
        ("", ""),
        ("<b>17</b>", "<b><n></b>"),
    ],
)
def test_what_varies_is_masked(message, expected):
    assert masked(message) == expected


def test_a_very_long_message_is_quick_and_bounded():
    assert len(masked("9a" * 1_000_000)) <= 500
    assert len(masked("/a" * 1_000_000)) <= 500


def test_failures_that_agree_are_one_group():
    assert group_id("hard_failure", "KeyError", "customer_17") == group_id("hard_failure", "KeyError", "customer_4711")


@pytest.mark.parametrize(
    "other",
    [
        ("soft_failure", "KeyError", "customer_17"),
        ("hard_failure", "ValueError", "customer_17"),
        ("hard_failure", "KeyError", "order_17"),
    ],
)
def test_another_outcome_type_or_message_is_another_group(other):
    assert group_id("hard_failure", "KeyError", "customer_17") != group_id(*other)


def test_the_id_is_the_same_on_every_machine():
    assert group_id("hard_failure", "KeyError", "customer_17") == "7e5a3bdb89738353"
