from datetime import UTC, datetime

from panel.airflow import LogEntry
from panel.airflow.models import ErrorDetail, LogFrame
from panel.mirror.log_lines import LINES_SHOWN, Group, fold, newest, text_lines


def entries(*events, level="info"):
    return [LogEntry(event=event, level=level) for event in events]


def test_lines_between_group_marks_are_one_group():
    first, group, last = fold(entries("a", "::group::Setup", "b", "c", "::endgroup::", "d"))
    assert (first.text, last.text) == ("a", "d")
    assert isinstance(group, Group)
    assert group.title == "Setup"
    assert [line.text for line in group.lines] == ["b", "c"]


def test_a_group_that_never_ends_holds_the_rest_and_a_stray_end_is_ignored():
    stray, group = fold(entries("::endgroup::", "a", "::group::Rest", "b"))
    assert stray.text == "a"
    assert [line.text for line in group.lines] == ["b"]


def test_groups_with_nothing_in_them_are_left_out():
    assert fold(entries("::group::Empty", "::endgroup::")) == []


def test_a_level_shows_that_level_and_worse():
    log = [*entries("i"), *entries("w", level="warning"), *entries("e", level="ERROR"), *entries("c", level="critical")]
    assert [line.text for line in fold(log, level="warning")] == ["w", "e", "c"]
    assert [line.text for line in fold(log, level="error")] == ["e", "c"]
    assert len(fold(log, level="no such level")) == 4


def test_an_exception_counts_as_an_error_whatever_its_level_and_shows_its_frames():
    detail = [ErrorDetail(exc_type="KeyError", exc_value="'x'", frames=[LogFrame("etl.py", 40, "process")])]
    (line,) = fold([LogEntry(event="boom", level="info", error_detail=detail)], level="error")
    assert line.kind == "error"
    assert line.detail == "KeyError: 'x'\n  etl.py:40 in process"


def test_a_group_with_an_error_inside_is_failing():
    (group,) = fold([*entries("::group::Work"), *entries("bad", level="error")])
    assert group.failing


def test_a_line_without_a_level_is_plain():
    (line,) = fold([LogEntry(event="bare")])
    assert line.kind == "plain"


def test_of_a_very_long_log_the_last_lines_are_shown_and_the_others_counted():
    log = entries(*(str(n) for n in range(LINES_SHOWN + 7)))
    shown, before = newest(log)
    assert (len(shown), before, shown[-1].event) == (LINES_SHOWN, 7, str(LINES_SHOWN + 6))
    assert newest(log[:3]) == (log[:3], 0)


def test_the_text_of_a_log_has_time_level_and_tracebacks():
    detail = [ErrorDetail(exc_type="KeyError", exc_value="'x'", frames=[LogFrame("etl.py", 40, "process")])]
    at = datetime(2026, 11, 24, 2, 10, tzinfo=UTC)
    log = [LogEntry(event="boom", level="error", logger="task", timestamp=at, error_detail=detail), LogEntry("bare")]
    assert list(text_lines(log)) == [
        "2026-11-24T02:10:00+00:00 [ERROR] task boom",
        "KeyError: 'x'\n  etl.py:40 in process",
        "bare",
    ]
