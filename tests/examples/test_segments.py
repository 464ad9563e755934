"""Heavy data: results that are large, and sums that never hold more than one of them."""

import json
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from examples.dags.mapped_patterns.segments import (
    SEGMENTS,
    DaysMissing,
    SegmentsMissing,
    incomplete_segment,
    require_all_segments,
    segment_list,
    sum_up,
    year_of,
)
from examples.demo.sources import XCOM_THRESHOLD_BYTES


class Result(dict[str, Any]):
    """A result that can be watched."""


class OneByOne:
    """Fetches a result when asked for it, as Airflow does, and counts how many of them are alive."""

    def __init__(self) -> None:
        self.alive = 0
        self.most_alive = 0

    def __iter__(self) -> Iterator[Result]:
        for name in SEGMENTS:
            yield self.fetched(name)

    def fetched(self, name: str) -> Result:
        result = Result(year_of(name, 2025))
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        weakref.finalize(result, self.gone)
        return result

    def gone(self) -> None:
        self.alive -= 1


def test_there_are_four_segments() -> None:
    assert len(segment_list()) == 4


@pytest.mark.parametrize("name", SEGMENTS)
def test_a_segments_year_is_above_the_threshold_and_the_same_on_every_try(name: str) -> None:
    assert len(json.dumps(year_of(name, 2025))) > XCOM_THRESHOLD_BYTES
    assert year_of(name, 2025) == year_of(name, 2025)


def test_a_leap_year_has_a_day_more() -> None:
    assert (len(year_of("consumer", 2024)["days"]), len(year_of("consumer", 2025)["days"])) == (366, 365)


def test_missing_days_are_an_error_that_names_the_first_and_its_result_stays_inline() -> None:
    with pytest.raises(DaysMissing, match="3 of 365 days are missing, the first is 2025-12-29") as caught:
        year_of("consumer", 2025, days_missing=3)
    assert len(json.dumps(incomplete_segment("consumer", caught.value))) < XCOM_THRESHOLD_BYTES


def test_the_sums_hold_one_result_after_the_other() -> None:
    results = OneByOne()
    summary = sum_up(segment_list(), results)
    # The next one is fetched while the loop's variable still has the last.
    assert results.most_alive <= 2
    assert summary["missing"] == []


def test_the_sums_are_those_of_all_segments_and_small() -> None:
    years = [year_of(name, 2025) for name in SEGMENTS]
    summary = sum_up(segment_list(), years)
    days = [day for year in years for day in year["days"]]
    assert summary["orders"] == sum(day["orders"] for day in days)
    assert summary["revenue_cents"] == sum(day["revenue_cents"] for day in days)
    by_day = {day["day"]: 0 for day in days}
    for day in days:
        by_day[day["day"]] += day["revenue_cents"]
    assert summary["best_day_revenue_cents"] == max(by_day.values()) == by_day[summary["best_day"]]
    assert len(json.dumps(summary)) < XCOM_THRESHOLD_BYTES


def test_a_segment_that_is_absent_or_incomplete_is_missing_and_turns_the_run_red() -> None:
    results = [year_of("consumer", 2025), incomplete_segment("enterprise", DaysMissing("3 days"))]
    summary = sum_up(segment_list(), results)
    assert summary["missing"] == ["small-business", "enterprise", "public-sector"]
    with pytest.raises(SegmentsMissing, match="3 of 4 segments are missing: small-business, enterprise"):
        require_all_segments(summary)


def test_no_result_at_all_has_no_best_day() -> None:
    assert sum_up(segment_list(), [])["best_day"] is None
