"""Outcomes: one word an instance, from its state and its result."""

from __future__ import annotations

import pytest

from panel.domain.outcome_rules import derive
from panel.domain.outcomes import FAILURES, SETTLED, Outcome, ResultState


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("failed", Outcome.HARD_FAILURE),
        ("upstream_failed", Outcome.UPSTREAM_FAILED),
        ("skipped", Outcome.SKIPPED),
        ("removed", Outcome.REMOVED),
        ("running", Outcome.RUNNING),
        ("restarting", Outcome.RUNNING),
        ("deferred", Outcome.RUNNING),
        ("up_for_reschedule", Outcome.RUNNING),
        ("up_for_retry", Outcome.RETRYING),
        (None, Outcome.WAITING),
        ("", Outcome.WAITING),
        ("scheduled", Outcome.WAITING),
        ("queued", Outcome.WAITING),
        ("awaiting_input", Outcome.WAITING),
        ("a state of Airflow 4", Outcome.WAITING),
    ],
)
def test_states_other_than_success_decide_alone(state, outcome):
    for result_state in ResultState:
        assert derive(state, result_state, {"status": "failed"}).outcome is outcome


@pytest.mark.parametrize(
    ("result_state", "outcome"),
    [
        (ResultState.ABSENT, Outcome.SUCCESS),
        (ResultState.UNREAD, Outcome.UNKNOWN_RESULT),
        (ResultState.FORBIDDEN, Outcome.UNKNOWN_RESULT),
        (ResultState.EXTERNAL, Outcome.UNKNOWN_RESULT),
        (ResultState.UNREADABLE, Outcome.UNKNOWN_RESULT),
    ],
)
def test_a_success_whose_result_is_not_known_is_unknown_unless_there_is_none(result_state, outcome):
    assert derive("success", result_state, {"status": "failed"}).outcome is outcome


@pytest.mark.parametrize("status", ["failed", "failure", "error", "FAILED", "Error", " failure "])
def test_a_result_that_says_it_failed_is_a_soft_failure(status):
    verdict = derive("success", ResultState.READ, {"status": status, "error": "no rows"})
    assert (verdict.outcome, verdict.message) == (Outcome.SOFT_FAILURE, "no rows")


@pytest.mark.parametrize(
    "result",
    [
        None, 0, False, "", "failed", [], ["failed"], {}, {"status": "ok"}, {"status": None}, {"status": False},
        {"status": "failing"}, {"Status": "failed"}, {"state": "failed"}, {"status": ["failed"]},
        [{"status": "failed"}], {"error": "no status"},
    ],
)  # fmt: skip
def test_any_other_result_is_a_success(result):
    assert derive("success", ResultState.READ, result).outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"error": "e", "message": "m", "reason": "r"}, "e"),
        ({"error": "", "message": "m", "reason": "r"}, "m"),
        ({"error": None, "reason": "r"}, "r"),
        ({"error": {"code": 7}}, "{'code': 7}"),
        ({}, ""),
    ],
)
def test_the_message_is_the_first_that_says_something(result, message):
    assert derive("success", ResultState.READ, {"status": "failed", **result}).message == message


def test_what_calls_for_attention_is_settled():
    assert FAILURES <= SETTLED
    assert Outcome.UNKNOWN_RESULT not in SETTLED
