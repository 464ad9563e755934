"""How a failure fits in with the runs before: S worked, F failed, oldest first; the failure of now is not written."""

from __future__ import annotations

from itertools import product

import pytest

from panel.domain.histories import Pattern, pattern_of


def pattern(story: str) -> Pattern:
    return pattern_of([letter == "F" for letter in reversed(story)])


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ("", "first"),
        ("S", "new"),
        ("SSSSSSSSSS", "new"),
        ("F", "still"),
        ("SF", "still"),
        ("SSSFF", "still"),
        ("FF", "always"),
        ("FFFFFFFFFF", "always"),
        ("FS", "flaky"),
        ("SFS", "flaky"),
        ("FSF", "flaky"),
        ("SSFSS", "flaky"),
        ("SFSFSFSF", "flaky"),
    ],
)
def test_each_story_has_its_pattern(story, expected):
    assert pattern(story) == expected


def test_the_patterns_mean_what_they_say():
    for length in range(8):
        for letters in product("SF", repeat=length):
            story = "".join(letters)
            found = pattern(story)
            assert (found is Pattern.FIRST) is (story == "")
            assert (found is Pattern.NEW) is (story != "" and "F" not in story)
            assert (found is Pattern.ALWAYS) is (length > 1 and "S" not in story)
            assert (found is Pattern.FLAKY) is ("FS" in story)  # it failed, worked, and now fails again
