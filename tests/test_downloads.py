"""Lists as files say moments as the REST API does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from panel.api.renderers import JSONRenderer
from panel.downloads import csv_lines, json_lines


@pytest.mark.parametrize("microsecond", [0, 120_000])
def test_a_moment_is_the_same_text_in_csv_in_json_lines_and_in_the_api(microsecond):
    moment = datetime(2026, 11, 27, 2, 5, 30, microsecond, UTC)
    text = json.loads(JSONRenderer().render(moment))
    assert text == ("2026-11-27T02:05:30.120000Z" if microsecond else "2026-11-27T02:05:30Z")
    assert [*csv_lines(["at", "none"], [[moment, None]])] == ["at,none\r\n", f"{text},\r\n"]
    assert [json.loads(line) for line in json_lines([{"at": moment, "none": None}])] == [{"at": text, "none": None}]


def test_other_things_are_written_as_text():
    assert [*json_lines([[UUID(int=1)]])] == ['["00000000-0000-0000-0000-000000000001"]\n']
