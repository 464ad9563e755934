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


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("[Errno 2] No such file or directory: '/in/a-17.csv'", "[Errno <n>] No such file or directory: '<path>'"),
        ("C:\\in\\x17.csv is locked", "<path> is locked"),
        (
            "calling GetObject: key us-east-1/customer-00017/2026/11/22/part-0003.parquet",
            "calling GetObject: key us-east-<n>/customer-<n>/<n>/<n>/<n>/part-<n>.parquet",
        ),
        ("Request ID: 7A62C49347A4E0F1", "Request ID: <hex>"),
        ("pod etl-worker-7d9f8b6c5-x2x4z was evicted", "pod etl-worker-<id> was evicted"),
        ("pod process-file-kx7p2mq9 failed", "pod process-file-<id> failed"),
        ("ip-10-0-17-7.ec2.internal is gone", "ip-<n>-<n>-<n>-<n>.ec<n>.internal is gone"),
        ("2001:db8::17 and fe80:0:0:0:1:2:3:4 refused", "<ip> and <ip> refused"),
        ("died at 12:30:45,123", "died at <time>"),
        ("no user bob.smith+x@mail.example.org", "no user <email>"),
        (
            'duplicate key value violates unique constraint "orders_pkey" DETAIL: Key (name)=(Bob O\'Hara) exists.',
            'duplicate key value violates unique constraint "orders_pkey" DETAIL: Key (name)=(<value>) exists.',
        ),
        (
            "null value in column \"amount\" [SQL: INSERT INTO t] [parameters: {'a': None, 'b': [1, 2]}] (see there)",
            'null value in column "amount" [SQL: INSERT INTO t] [parameters: <value>] (see there)',
        ),
        ("could not convert string to float: 'Bob Smith'", "could not convert string to float: '<text>'"),
        ("bad values 'x y', 'z w', 'q q'", "bad values '<text>', …"),
        ("expected [1, 2, 3], got [4, 5]", "expected [<n>, …], got [<n>, …]"),
        (
            "url: /v1/items/9?x=1 (Caused by <X object at 0x7f12>: down)",
            "url: <path>?x=<n> (Caused by <X object at <hex>>: down)",
        ),
    ],
)
def test_what_varies_in_messages_of_everyday_is_masked(message, expected):
    assert masked(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        "'NoneType' object has no attribute 'get'",
        "columns ['amount', 'currency'] are missing",
        "can't open it, won't retry",
        '{"error": "quota of the tenant is used up"}',
        "{'message': 'rows were dropped: too many'}",
        "std::vector failed: -inf",
    ],
)
def test_what_tells_one_error_from_another_is_not(message):
    assert masked(message) == message


def test_a_very_long_message_is_quick_and_bounded():
    assert len(masked("9a" * 1_000_000)) <= 500
    assert len(masked("/a" * 1_000_000)) <= 500
    for unit in ("a.", "a1b-", "ab12:", "' ", "[parameters: ", ")=(", "a@", "x://"):
        assert len(masked(unit * 1_000_000)) <= 500


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
