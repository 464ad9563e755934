from panel.airflow import LogEntry
from panel.airflow.models import ErrorDetail, LogFrame
from panel.mirror.log_lines import Group, fold


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
