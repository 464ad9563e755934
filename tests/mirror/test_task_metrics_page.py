"""Metrics, plots, trend, patterns and history, as pages and as sections of pages."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from panel.mirror.models import DagRun, MappedTask
from tests.mirror.pages import HTMX, MARKUP, page, place, words
from tests.mirror.stage import mirrored_task


@pytest.fixture
def tasks(server) -> list[MappedTask]:
    """Three runs an hour apart, the newest last."""
    made = []
    for number, outcomes in enumerate((["success"] * 4, ["success", "hard_failure"] * 2, ["hard_failure"] * 4)):
        task = mirrored_task(server, outcomes, run_id=f"r{number}", labels={0: MARKUP})
        DagRun.objects.filter(pk=task.run_id).update(run_after=timezone.now() + timedelta(hours=number))
        made.append(task)
    return made


def test_the_page_offers_them_and_loads_nothing_unasked(as_user, viewer, tasks):
    html = page(as_user(viewer), place(tasks[2]))
    for name in ("task_metrics", "task_patterns"):
        link = re.search(rf'<a href="{place(tasks[2], name)}"[^>]*>', html)
        assert link is not None
        assert 'hx-trigger="toggle from:closest details once"' in link[0]
    assert '<svg class="plot"' not in html


def test_a_map_that_is_not_expanded_has_no_metrics_to_offer(as_user, viewer, server):
    task = mirrored_task(server, [], run_state="running", unexpanded_state="none")
    assert "Metrics and trend" not in page(as_user(viewer), place(task))


def test_plots_say_in_words_and_numbers_what_they_show(as_user, viewer, tasks):
    html = page(as_user(viewer), place(tasks[2], "task_metrics"), **HTMX)
    assert not html.lstrip().startswith("<!doctype")
    labels = re.findall(r'<svg class="plot" role="img" aria-label="([^"]+)"', html.replace("\u00a0", " "))
    assert [label.split(":")[0] for label in labels] == ["Durations", "Running at once", "Finished in each 2 s"]
    assert "p50 1 m 01 s, p95 1 m 03 s" in labels[0]
    text = words(html)
    assert "Duration 1 m 02 s 1 m 01 s 1 m 03 s 1 m 03 s" in text
    assert "Queue wait 1 m 02 s 1 m 01 s 1 m 03 s 1 m 03 s" in text


def test_a_trend_leads_to_its_runs_and_marks_this_one(as_user, viewer, tasks):
    html = page(as_user(viewer), place(tasks[1], "task_metrics"), **HTMX)
    trend = html[html.index('<ol class="trend">') : html.index("</ol>")]
    links = re.findall(r'<a href="([^"]+)"( aria-current="page")?', trend)
    assert links == [(place(task), ' aria-current="page"' if task == tasks[1] else "") for task in tasks]
    assert [line.split(",")[0] for line in re.findall(r"(r\d: hard [^<]+)", trend)] == [
        "r0: hard 0%", "r1: hard 50%", "r2: hard 100%",
    ]  # fmt: skip


def test_without_javascript_each_is_a_page_of_its_own(as_user, viewer, tasks):
    client = as_user(viewer)
    for name, said in (("task_metrics", "The last 3 runs"), ("task_patterns", "still failing 2")):
        html = page(client, place(tasks[2], name))
        assert "<!doctype html>" in html
        assert said in words(html)
    assert "Over the last runs" in page(client, place(tasks[2], "task_history", map_index=1))


def test_a_poller_gets_nothing_until_something_changed(as_user, viewer, server):
    task = mirrored_task(server, ["success", "running"])
    client = as_user(viewer)
    html = page(client, place(task, "task_metrics"), **HTMX)
    again = re.search(r'data-poll hx-get="([^"]+)"', html)[1]
    page(client, again, 204, **HTMX)
    MappedTask.objects.update(version=99)
    assert 'id="task-metrics"' in page(client, again, **HTMX)
    assert 'hx-swap-oob="true"' in page(client, again, **HTMX)


def test_a_finished_run_is_not_polled(as_user, viewer, tasks):
    assert "data-poll" not in page(as_user(viewer), place(tasks[2], "task_metrics"), **HTMX)


def test_patterns_lead_to_their_instances(as_user, viewer, tasks):
    html = page(as_user(viewer), place(tasks[2], "task_patterns"), **HTMX)
    assert "newly failing 2 Copy indices worked in every run before" in words(html)
    assert f'href="{place(tasks[2])}?indices=0%2C2"' in html
    assert "Beside the 2 runs before" in words(html)


def test_only_people_who_may_retry_are_offered_it(as_user, operator, viewer, tasks):
    offered = f'/mapped-tasks/{tasks[2].pk}/retry/?indices=0%2C2"'
    assert offered in page(as_user(operator), place(tasks[2], "task_patterns"), **HTMX)
    assert offered not in page(as_user(viewer), place(tasks[2], "task_patterns"), **HTMX)


def test_a_run_without_failures_says_so(as_user, viewer, tasks):
    assert "Nothing has failed in this run." in page(as_user(viewer), place(tasks[0], "task_patterns"), **HTMX)


def test_scattered_indices_too_long_for_a_link_can_be_copied(as_user, viewer, server):
    task = mirrored_task(server, ["hard_failure", "success"] * 1_500)
    html = page(as_user(viewer), place(task, "task_patterns"), **HTMX)
    assert "?indices=" not in html
    assert 'data-copy="0,2,4,6' in html


def test_the_history_of_an_instance_leads_to_it_in_every_run(as_user, viewer, tasks):
    html = page(as_user(viewer), place(tasks[2], "task_history", map_index=1), **HTMX)
    assert [place(task, "instance_detail", map_index=1) for task in reversed(tasks)] == re.findall(
        r'<a href="([^"]+)"', html
    )
    assert "item 1 is broken" in html
    page(as_user(viewer), place(tasks[2], "task_history", map_index=77), 404)


def test_nothing_of_it_costs_a_query_a_run(as_user, viewer, tasks, django_assert_max_num_queries):
    client = as_user(viewer)
    for name in ("task_metrics", "task_patterns"):
        with django_assert_max_num_queries(8):
            page(client, place(tasks[2], name), **HTMX)


@pytest.mark.parametrize("outcomes", [[], ["waiting"], ["running"], ["skipped"] * 3, ["hard_failure"], ["removed"]])
def test_maps_with_little_to_tell_are_shown_all_the_same(as_user, viewer, server, outcomes):
    task = mirrored_task(server, outcomes, unexpanded_state="" if outcomes else "none")
    client = as_user(viewer)
    for name in ("task_metrics", "task_patterns", "mapped_task_detail"):
        page(client, place(task, name))


def test_a_task_mirrored_before_there_were_plots_is_shown(as_user, viewer, tasks):
    MappedTask.objects.update(plots={}, metrics={})
    assert "Nothing has run to an end yet." in page(as_user(viewer), place(tasks[0], "task_metrics"))
