from datetime import UTC, datetime, timedelta

import pytest

from panel.ui.bars import bar_of
from panel.ui.looks import outcome_look
from panel.ui.words import (
    ago_words,
    amount_words,
    between_words,
    change_words,
    cut_in_the_middle,
    duration_words,
    grouped_words,
    limit_words,
    pace_words,
    percent_words,
    round_words,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.32, "320 ms"),
        (0.9996, "1.0 s"),
        (4.12, "4.1 s"),
        (9.96, "10 s"),
        (59.6, "1 m"),
        (600, "10 m"),
        (185, "3 m 05 s"),
        (3840, "1 h 04 m"),
        (47 * 3600 + 120, "47 h 02 m"),
        (51 * 3600, "2 d 03 h"),
        (7200, "2 h"),
        (72 * 3600, "3 d"),
        (timedelta(minutes=2), "2 m"),
        (-5, "0 ms"),
    ],
)
def test_durations_read_as_people_say_them(seconds, words):
    assert duration_words(seconds).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(seconds=3), "3 s ago"),
        (timedelta(seconds=59.9), "59 s ago"),
        (timedelta(minutes=4, seconds=50), "4 m ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(days=5), "5 d ago"),
        (timedelta(minutes=-4), "in 4 m"),
        (timedelta(seconds=-0.5), "0 s ago"),
    ],
)
def test_ages_name_one_unit(before, words):
    assert ago_words(NOW - before, NOW).replace("\u00a0", " ") == words


def test_large_numbers_are_grouped():
    assert grouped_words(1000) == "1,000"
    assert grouped_words(100_000) == "100,000"
    assert grouped_words(None) == "–"


@pytest.mark.parametrize(
    ("rate", "words"),
    [(None, "–"), (0, "0%"), (1, "100%"), (0.038, "3.8%"), (0.2, "20%"), (0.99996, "99.9%"), (0.00001, "<0.1%")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(rate, words):
    assert percent_words(rate) == words


@pytest.mark.parametrize(
    ("rate", "words"), [(None, "–"), (0.2, "20%"), (0.125, "12.5%"), (0.0005, "0.05%"), (1, "100%")]
)
def test_a_limit_is_said_as_it_was_set(rate, words):
    assert limit_words(rate) == words


def test_long_ids_keep_their_beginning_and_their_end():
    text = "scheduled__2026-11-22T02:00:00+00:00"
    cut = cut_in_the_middle(text, 20)
    assert len(cut) == 20
    assert text.startswith(cut.split("…")[0])
    assert text.endswith(cut.split("…")[1])
    assert cut_in_the_middle("short", 20) == "short"


def _bar(total=None, **counts):
    return bar_of([(name, outcome_look(name), count) for name, count in counts.items()], total)


def test_one_failure_among_very_many_can_still_be_seen():
    bar = _bar(success=99_999, hard_failure=1)
    widths = [float(part.width.rstrip("%")) for part in bar.parts]
    assert widths[1] >= 0.7
    assert sum(widths) == pytest.approx(100, abs=0.01)


def test_a_bar_says_its_counts_in_words_and_leaves_out_zeros():
    assert _bar(success=1200, soft_failure=0, hard_failure=3).label == "1,200 success, 3 hard failure"


def test_parts_of_a_bar_follow_each_other():
    bar = _bar(success=1, hard_failure=1, total=4)
    assert [part.left for part in bar.parts] == ["0.000%", "25.000%"]


def test_an_empty_bar_is_no_error():
    assert _bar().parts == []


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (370, 460, "6–8 min"),
        (360, 480, "6–8 min"),
        (41.2, 89.5, "41–90 s"),
        (0.3, 4, "at most 4 s"),
        (0, 0.2, "at most 1 s"),
        (20, 110, "at most 2 min"),
        (120, 120, "at most 2 min"),
        (4_000, 10_000, "1–3 h"),
        (90_000, 400_000, "1–5 days"),
    ],
)
def test_bounds_are_rounded_outwards(low, high, words):
    assert between_words(low, high).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("rate", "words"),
    [(None, "–"), (0, "0.0/min"), (3.25, "3.2/min"), (12.4, "12/min"), (156, "2.6/s"), (120_000, "2,000/s")],
)
def test_a_pace_is_told_by_the_second_where_it_is_fast(rate, words):
    assert pace_words(rate) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0"),
        (0.2, "200 ms"),
        (2.0, "2 s"),
        (90, "90 s"),
        (150, "2 m 30 s"),
        (300, "5 m"),
        (21_600, "6 h"),
        (864_000, "10 d"),
    ],
)
def test_round_durations_are_short(seconds, words):
    assert round_words(seconds).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (None, "–"), (0.0, "0"), (1_203_331.0, "1,203,331"), (-7.0, "-7"), (1_203.456, "1,203.5"), (15.285, "15.29"),
        (0.04166, "0.0417"), (0.000001, "1e-06"), (1.5e20, "1.5e+20"),
    ],
)  # fmt: skip
def test_amounts_have_the_digits_that_tell_something(number, words):
    assert amount_words(number) == words


@pytest.mark.parametrize(
    ("rate", "words"), [(0.004, "+0.4%"), (-0.12, "−12%"), (0.0001, "±0%"), (0.25, "+25%"), (14.0, "+1,400%")]
)
def test_a_change_has_a_sign(rate, words):
    assert change_words(rate) == words
