"""Failures on purpose: the notation of indices, and when a failure ends."""

import pytest

from examples.dags.mapped_patterns.rehearsal import Rehearsal, failing_until, named_indices


def asks(expression: str, map_index: int, *, until: str = "manual_retry", try_number: int = 1, fixed: bool = False):
    params = {"broken": expression, "failing_until": until}
    return Rehearsal(params, map_index, try_number, fixed).asks_for("broken", failing_tries=3)


@pytest.mark.parametrize(
    ("expression", "indices"), [("", []), ("3", [3]), ("3,11-13", [3, 11, 12, 13]), ("0-1,0", [0, 1, 0])]
)
def test_indices_are_written_as_in_the_panel(expression: str, indices: list[int]) -> None:
    assert [index for named in named_indices(expression) for index in named] == indices


@pytest.mark.parametrize("expression", ["3-", "a", "3,,4", "-1", "1-2-3", " 3"])
def test_another_notation_is_an_error_that_shows_the_right_one(expression: str) -> None:
    with pytest.raises(ValueError, match="written like 3,11-13"):
        named_indices(expression)


def test_a_range_that_goes_backwards_is_an_error() -> None:
    with pytest.raises(ValueError, match="13-11 goes backwards"):
        named_indices("3,13-11")


def test_a_huge_range_costs_nothing() -> None:
    assert asks("0-99999999999999", 7)


def test_only_the_named_indices_fail() -> None:
    assert [index for index in range(15) if asks("3,11-13", index)] == [3, 11, 12, 13]


def test_a_failure_lasts_through_the_automatic_tries_and_ends_with_the_retry_by_hand() -> None:
    assert [asks("3", 3, try_number=number) for number in (1, 2, 3, 4)] == [True, True, True, False]


def test_with_the_switch_a_retry_alone_changes_nothing() -> None:
    assert asks("3", 3, until="switch", try_number=9)


@pytest.mark.parametrize("until", ["manual_retry", "switch"])
def test_the_switch_ends_every_failure(until: str) -> None:
    assert not asks("3", 3, until=until, fixed=True)


def test_the_form_names_the_variable_to_set() -> None:
    assert "s3_files_fixed" in failing_until("s3_files_fixed")["values_display"]["switch"]
