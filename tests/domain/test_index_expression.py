"""Index expressions: one notation in input, display, results and audit."""

from __future__ import annotations

import random

import pytest

from panel.domain.index_expression import MAX_INDEX, MAX_LENGTH, IndexExpression, MalformedIndexExpression


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("   ", ""),
        ("3", "3"),
        ("0", "0"),
        ("3,17-40,55-", "3,17-40,55-"),
        (" 3 , 17 - 40 ,55 - ", "3,17-40,55-"),
        ("5,4,3", "3-5"),
        ("1-3,2-8,9", "1-9"),
        ("007", "7"),
        ("4-4", "4"),
        ("10-,3", "3,10-"),
        ("10-,12-13,500", "10-"),
        (f"{MAX_INDEX}", f"{MAX_INDEX}-"),
    ],
)
def test_it_reads_and_shows_in_its_shortest_form(text, shown):
    assert str(IndexExpression.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        ",", "1,", ",1", "1,,2", "-", "-3", "a", "1-2-3", "1..3", "1;2", "3-1", "1 2", "0x1", "1e3", "+1", "1.0", "٣",
        "²", "1-b", str(MAX_INDEX + 1), "99999999999", f"0-{MAX_INDEX + 1}", "1\x002", "1" * (MAX_LENGTH + 1),
    ],
)  # fmt: skip
def test_what_is_no_index_expression_is_refused_with_a_reason(text):
    with pytest.raises(MalformedIndexExpression) as refusal:
        IndexExpression.parse(text)
    assert 10 < len(str(refusal.value)) < 200


def test_it_comes_back_from_any_set_of_indices():
    chance = random.Random(4711)
    for _ in range(300):
        indices = {chance.randrange(200) for _ in range(chance.randrange(80))}
        expression = IndexExpression.of(indices)
        assert list(expression) == sorted(indices)
        assert len(expression) == len(indices)
        assert IndexExpression.parse(str(expression)) == expression
        assert all((index in expression) == (index in indices) for index in range(205))
        assert bool(expression) == bool(indices)
        assert all(a[1] + 1 < b[0] for a, b in zip(expression.ranges, expression.ranges[1:], strict=False))


def test_any_order_and_any_overlap_mean_the_same():
    chance = random.Random(42)
    for _ in range(200):
        parts = []
        meant: set[int] = set()
        for _ in range(chance.randrange(1, 12)):
            first = chance.randrange(100)
            last = first + chance.randrange(10)
            parts.append(chance.choice([f"{first}-{last}", ",".join(str(n) for n in range(first, last + 1))]))
            meant |= set(range(first, last + 1))
        chance.shuffle(parts)
        assert set(IndexExpression.parse(",".join(parts))) == meant


def test_an_open_end_ends_with_the_map():
    expression = IndexExpression.parse("2,5-")
    assert MAX_INDEX in expression
    assert list(expression.within(8)) == [2, 5, 6, 7]
    assert list(expression.within(5)) == [2]
    assert list(expression.within(0)) == []


def test_ten_thousand_scattered_indices_fit_and_are_quick_to_look_up():
    expression = IndexExpression.of(range(0, 100_000, 10))
    text = str(expression)
    assert len(text) < MAX_LENGTH
    again = IndexExpression.parse(text)
    assert sum(index in again for index in range(100_000)) == 10_000


def test_a_large_range_costs_nothing():
    expression = IndexExpression.parse("0-1999999999")
    assert len(expression) == 2_000_000_000
    assert 1_234_567_890 in expression
