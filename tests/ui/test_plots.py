"""Plots: where their bars and marks are, and what they say."""

from __future__ import annotations

import pytest

from panel.domain.plots import Timeline
from panel.ui.plots import HEIGHT, histogram_plot, timeline_plots, trend_of


def percent(text: str) -> float:
    assert text.endswith("%")
    return float(text[:-1])


def test_there_is_no_plot_of_nothing():
    assert histogram_plot([], [], {"p50": None}) is None
    assert timeline_plots(Timeline().as_dict()) is None
    assert trend_of([]).columns == []


def test_bars_stand_side_by_side_in_proportion():
    plot = histogram_plot([0, 1, 2, 5], [10, 0, 5], {})
    assert plot is not None
    assert [percent(bar.x) for bar in plot.bars] == pytest.approx([0, 33.33, 66.67], abs=0.01)
    assert [float(bar.height) for bar in plot.bars] == [HEIGHT, 0, HEIGHT / 2]
    assert {float(bar.y) + float(bar.height) for bar in plot.bars} == {plot.floor}


def test_one_of_a_hundred_thousand_is_seen():
    plot = histogram_plot([0, 1, 2], [100_000, 1], {})
    assert plot is not None
    assert float(plot.bars[1].height) > 1


def test_marks_lie_inside_their_bin_and_their_names_apart():
    plot = histogram_plot([0, 10, 20, 30], [5, 5, 5], {"p50": 15.0, "p95": 30.0})
    assert plot is not None
    assert [percent(mark.x) for mark in plot.marks] == [50.0, 100.0]
    assert [mark.anchor for mark in plot.marks] == ["end", "end"]
    assert len({mark.text_y for mark in plot.marks}) == 2


def test_the_words_and_the_table_say_the_same():
    plot = histogram_plot([1, 2, 5], [1200, 3], {"p50": 1.5, "p95": None})
    assert plot is not None
    rows = [tuple(cell.replace("\u00a0", " ") for cell in row) for row in plot.rows]
    assert rows == [("1 s – 2 s", "1,200"), ("2 s – 5 s", "3")]
    assert plot.label.replace("\u00a0", " ") == "Durations: p50 1.5 s; most took 1 s – 2 s."


def test_a_timeline_is_two_plots_and_one_table():
    data = {"start": 0.0, "step": 30, "running": [1.0, 2.5], "finished": [0, 4], "peak": 3}
    found = timeline_plots(data)
    assert found is not None
    running, finished = found
    assert [row[1:] for row in running.rows] == [("1.0", "0"), ("2.5", "4")]
    assert running.label == "Running at once: 3 at the most."
    assert "4 at the most" in finished.label
    assert "30\u00a0s after the start: 4" in finished.bars[1].title


def test_columns_of_a_trend_share_one_scale():
    slow = {"duration_p50": 10.0, "duration_p95": 40.0, "failure_rate": 0.2, "soft_failure_rate": 0.05}
    quick = {"duration_p50": 5.0, "duration_p95": 10.0, "failure_rate": 0.0, "soft_failure_rate": 0.05}
    bad, good = {"success": 15, "hard_failure": 4, "soft_failure": 1, "skipped": 30}, {"success": 19, "soft_failure": 1}
    trend = trend_of([(bad, slow), (good, quick), ({}, {})])
    assert (trend.worst, trend.slowest) == (0.25, 40.0)
    columns = trend.columns
    assert [column.p95.height for column in columns] == ["100.00%", "25.00%", "0.00%"]
    assert [column.p50.y for column in columns] == ["75.00%", "87.50%", "100.00%"]
    assert [(level.tone, level.y, level.height) for level in columns[0].failures] == [
        ("hard_failure", "20.00%", "80.00%"), ("soft_failure", "0.00%", "20.00%"),
    ]  # fmt: skip
    assert [level.height for level in columns[1].failures] == ["20.00%"]
    assert columns[0].label.replace("\u00a0", " ") == "hard 20%, soft 5%, p50 10 s, p95 40 s"
    assert columns[2].failures == []


def test_a_trend_without_failures_has_none_to_show():
    trend = trend_of([({"success": 3}, {}), ({"skipped": 3}, {})])
    assert (trend.worst, [column.failures for column in trend.columns]) == (0.0, [[], []])
