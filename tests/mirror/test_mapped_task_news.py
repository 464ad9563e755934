"""What the poller of the mapped-task page gets."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from panel.mirror.models import DagRun, Instance, MappedTask
from tests.mirror.pages import HTMX, is_polling, page, place, poll
from tests.mirror.stage import mirrored_task


@pytest.fixture
def task(server) -> MappedTask:
    return mirrored_task(server, ["success", "running", "waiting"])


def change(task: MappedTask) -> None:
    rows = Instance.objects.filter(mapped_task=task, map_index=1)
    rows.update(outcome="hard_failure", state="failed", version=task.version + 1)
    MappedTask.objects.filter(pk=task.pk).update(
        version=task.version + 1, counts={"success": 1, "hard_failure": 1, "waiting": 1}, failing=1
    )


def test_nothing_new_is_204_and_reads_no_instance(as_user, viewer, task):
    client = as_user(viewer)
    address = poll(page(client, place(task)))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(address, headers=HTMX).status_code == 204
    assert not any('FROM "mirror_instance"' in query["sql"] for query in queries)


def test_read_again_without_a_change_brings_the_age_alone(as_user, viewer, task):
    client = as_user(viewer)
    address = poll(page(client, place(task)))
    MappedTask.objects.update(synced_at=timezone.now() + timezone.timedelta(seconds=5))
    html = page(client, address, **HTMX)
    assert 'id="freshness" hx-swap-oob="true"' in html
    assert "row-" not in html
    assert "tile-" not in html


def test_a_change_brings_counts_and_the_shown_rows_in_place(as_user, viewer, task):
    client = as_user(viewer)
    address = poll(page(client, place(task)))
    change(task)
    html = page(client, address, **HTMX)
    assert re.findall(r'<tr id="row-(\d+)" data-rev="\w+" hx-swap-oob="true"', html) == ["1"]
    assert 'id="tile-hard_failure"' in html
    assert "<html" not in html
    assert 'id="explorer"' not in html
    assert client.get(poll(html), headers=HTMX).status_code == 204


def test_a_row_that_no_longer_matches_the_filter_stays_where_it_is(as_user, viewer, task):
    client = as_user(viewer)
    address = poll(page(client, f"{place(task)}?outcome=running"))
    change(task)
    html = page(client, address, **HTMX)
    row = html[html.index('id="row-1"') :].split("</tr>")[0]
    assert "hard failure" in row
    assert "0 match" in html


def test_links_in_the_news_hold_the_filters_but_not_the_pollers_own_words(as_user, viewer, task):
    client = as_user(viewer)
    address = poll(page(client, f"{place(task)}?label=x&ordering=-duration"))
    change(task)
    html = page(client, address, **HTMX)
    tile = html[html.index('id="tile-running"') :].split("</a>")[0]
    assert "label=x" in tile
    assert "ordering=-duration" in tile
    assert "shown=" not in tile


def test_a_poller_of_a_mirror_that_was_rebuilt_meanwhile_gets_all_its_rows(as_user, viewer, task):
    html = page(as_user(viewer), f"{place(task)}?v={task.version + 7}-running.0.live&shown=0-2", **HTMX)
    assert re.findall(r'<tr id="row-(\d+)"', html) == ["0", "1", "2"]


def test_a_changed_row_has_another_revision(as_user, viewer, task):
    def revision(html):
        return re.search(r'id="row-1" data-rev="(\w+)"', html)[1]

    client = as_user(viewer)
    html = page(client, place(task))
    change(task)
    assert revision(page(client, poll(html), **HTMX)) != revision(html)


def test_a_changed_row_keeps_the_columns_one_chose(as_user, viewer, task):
    client = as_user(viewer)
    address = poll(page(client, f"{place(task)}?columns=state"))
    change(task)
    assert '<td class="nowrap added" data-label="state in Airflow">failed</td>' in page(client, address, **HTMX)


def test_a_finished_and_completely_read_task_is_not_polled(as_user, viewer, server, settings):
    task = mirrored_task(server, ["success"])
    assert not is_polling(page(as_user(viewer), place(task)))


def test_the_last_news_end_the_polling(as_user, viewer, task):
    client = as_user(viewer)
    address = poll(page(client, place(task)))
    change(task)
    DagRun.objects.update(state="failed")
    MappedTask.objects.update(complete=True, synced_at=timezone.now())
    html = page(client, address, **HTMX)
    assert 'id="poller"' in html
    assert not is_polling(html)


def test_a_finished_task_that_is_old_is_polled_until_it_was_read_again(as_user, viewer, server, later, woken):
    task = mirrored_task(server, ["success"])
    later(3600)
    html = page(as_user(viewer), place(task))
    assert ("mirror.sync_mapped_task", (str(task.pk), 0)) in woken
    assert is_polling(html)


def test_a_damaged_list_of_shown_rows_is_a_bad_request(as_user, viewer, task):
    page(as_user(viewer), f"{place(task)}?v=0.0&shown=x", 400, **HTMX)


def test_people_in_no_group_get_no_news(as_user, nobody, task):
    page(as_user(nobody), f"{place(task)}?v=0.0&shown=0-2", 403, **HTMX)
