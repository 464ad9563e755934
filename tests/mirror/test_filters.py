"""The filters of a query string."""

from __future__ import annotations

import pytest
from django.http import QueryDict

from panel.domain.index_expression import IndexExpression
from panel.domain.outcomes import Outcome
from panel.domain.selection import Selection
from panel.mirror.filters import query_of, selection_from
from panel.problems import BadRequest, Unprocessable


def read(query: str) -> Selection:
    return selection_from(QueryDict(query))


def test_every_kind_is_read():
    assert read(
        "outcome=hard_failure&outcome=soft_failure&indices=3,17-40&error_group=0123456789abcdef&label=+eu+&try_number=2"
        "&try_number_gte=1&duration_gte=1.5&duration_lte=1h+1m+30s&q=boom"
    ) == Selection(
        outcomes=frozenset({Outcome.HARD_FAILURE, Outcome.SOFT_FAILURE}),
        indices=IndexExpression(((3, 3), (17, 40))),
        error_groups=frozenset({"0123456789abcdef"}),
        label="eu",
        try_number=2,
        try_number_gte=1,
        duration_gte=1.5,
        duration_lte=3690.0,
        q="boom",
    )


def test_empty_filters_filter_nothing_and_other_parameters_are_left_alone():
    assert read("outcome=&indices=&label=&try_number=&q=&error_group=&ordering=-label&cursor=x&v=7") == Selection()


@pytest.mark.parametrize(
    "query",
    [
        "outcome=success",
        "outcome=hard_failure&outcome=soft_failure&indices=0-&label=a%26b%3Dc&q=%25%2B",
        "error_group=0123456789abcdef&error_group=fedcba9876543210",
        "try_number=0",
        "try_number_gte=2&duration_gte=0&duration_lte=0.25",
        "duration_lte=1m30s",
        "label=%C3%9Cn%C3%AFted&indices=3%2C17-40",
        "",
    ],
)
def test_a_selection_goes_into_a_query_string_and_comes_back(query):
    selection = read(query)
    assert read(query_of(selection)) == selection


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("outcome=failed", "outcome"),
        ("outcome=success&outcome=HARD_FAILURE", "outcome"),
        ("error_group=short", "error_group"),
        ("error_group=0123456789ABCDEF", "error_group"),
        ("try_number=-1", "try_number"),
        ("try_number=1.5", "try_number"),
        ("try_number=99999999999", "try_number"),
        ("try_number_gte=x", "try_number_gte"),
        ("duration_gte=-1", "duration_gte"),
        ("duration_gte=nan", "duration_gte"),
        ("duration_lte=1e9", "duration_lte"),
        ("duration_lte=1s+1m", "duration_lte"),
        (f"label={'x' * 201}", "label"),
        (f"q={'x' * 201}", "q"),
    ],
)
def test_what_cannot_be_meant_is_refused(query, field):
    with pytest.raises(BadRequest) as problem:
        read(query)
    assert list(problem.value.fields) == [field]


@pytest.mark.parametrize("text", ["a", "3-1", "-", "1,,2"])
def test_a_malformed_index_expression_makes_no_sense(text):
    with pytest.raises(Unprocessable) as problem:
        read(f"indices={text}")
    assert problem.value.http_status == 422
    assert list(problem.value.fields) == ["indices"]


def test_bounds_that_nothing_lies_between_make_no_sense():
    with pytest.raises(Unprocessable) as problem:
        read("duration_gte=2&duration_lte=1")
    assert list(problem.value.fields) == ["duration_lte"]
    assert read("duration_gte=2&duration_lte=2").duration_lte == 2


def test_a_selection_knows_which_kinds_filter():
    assert read("outcome=success").only("outcomes")
    assert not read("outcome=success&q=x").only("outcomes")
    assert not read("").only("outcomes")
    assert read("duration_gte=0")
