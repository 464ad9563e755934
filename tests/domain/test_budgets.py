"""So many an hour: when there is room again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from panel.domain.budgets import seconds_until_room

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes_ago", "most", "seconds"),
    [
        ([], 1, 0),
        ([10], 2, 0),
        ([10], 1, 50 * 60),
        ([50, 10], 2, 10 * 60),
        ([50, 40, 10], 2, 20 * 60),  # a bound that was lowered: two must have passed
        ([60], 1, 0),
        ([59.999], 1, 1),
        ([70, 65], 1, 0),
    ],
)
def test_room_comes_when_enough_are_older_than_an_hour(minutes_ago, most, seconds):
    moments = [NOW - timedelta(minutes=ago) for ago in minutes_ago]
    assert seconds_until_room(moments, most, NOW) == seconds
