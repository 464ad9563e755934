import pytest
from django.utils import timezone

from panel.mirror.models import MappedTask
from panel.servers.models import Server
from tests.mirror.pages import HTMX, MARKUP, page, poll, words
from tests.mirror.stage import mirrored_task


def section(html, name):
    start = html.index(f'id="{name}"')
    return html[start : html.index("</section>", start)]


def test_strangers_log_in_first(client, db):
    assert client.get("/").status_code == 302


def test_people_in_no_group_see_nothing(as_user, nobody, server):
    mirrored_task(server, ["hard_failure"])
    html = page(as_user(nobody), "/", 403)
    assert "process_file" not in html


def test_without_servers_an_admin_is_asked_to_add_one(as_user, admin):
    html = page(as_user(admin), "/")
    assert "No Airflow server yet" in html
    assert "/servers/add/" in html


def test_without_servers_others_are_told_who_adds_one(as_user, viewer):
    html = page(as_user(viewer), "/")
    assert "An administrator of Mapboard has to add one" in html
    assert "/servers/add/" not in html


def test_what_runs_now_is_listed_with_its_progress(as_user, viewer, server):
    mirrored_task(server, ["success", "success", "running", "waiting"])
    running = section(page(as_user(viewer), "/"), "running")
    assert "process_file" in running
    assert "50%" in running
    assert "2 success, 1 running, 1 waiting" in running


def test_failures_of_finished_runs_need_attention_and_link_to_exactly_them(as_user, viewer, server):
    mirrored_task(server, ["success", "soft_failure", "hard_failure"])
    attention = section(page(as_user(viewer), "/"), "attention")
    assert "process_file" in attention
    assert "?outcome=soft_failure&amp;outcome=hard_failure" in attention


def test_a_clean_finished_run_needs_none(as_user, viewer, server):
    mirrored_task(server, ["success"])
    html = page(as_user(viewer), "/")
    assert "Nothing needs attention" in html
    assert "Nothing is running" in html


def test_a_server_that_is_down_is_named_and_its_last_known_data_stays(as_user, viewer, server):
    mirrored_task(server, ["hard_failure"])
    Server.objects.update(healthy=False, unreachable_since=timezone.now(), last_error=f"refused {MARKUP}")
    html = page(as_user(viewer), "/")
    assert "one server unreachable" in html
    assert "process_file" in section(html, "attention")
    assert MARKUP not in html


def test_a_poller_gets_nothing_while_nothing_changed(as_user, viewer, server):
    mirrored_task(server, ["running"])
    client = as_user(viewer)
    response = client.get(poll(page(client, "/")), headers=HTMX)
    assert response.status_code == 204


def test_a_poller_gets_the_lists_when_something_changed(as_user, viewer, server):
    task = mirrored_task(server, ["running"])
    client = as_user(viewer)
    address = poll(page(client, "/"))
    MappedTask.objects.filter(pk=task.pk).update(version=task.version + 1, counts={"success": 1})
    html = page(client, address, **HTMX)
    assert 'hx-swap-oob="true"' in html
    assert "1 success" in html
    assert "<html" not in html
    assert client.get(poll(html), headers=HTMX).status_code == 204


@pytest.mark.parametrize("count", [3])
def test_many_tasks_cost_no_more_queries(as_user, viewer, server, count, django_assert_max_num_queries):
    for number in range(count):
        mirrored_task(server, ["hard_failure"], dag_id=f"dag{number}")
        mirrored_task(server, ["running"], dag_id=f"live{number}")
    client = as_user(viewer)
    with django_assert_max_num_queries(8):
        page(client, "/")


def test_summary_counts_what_the_lists_show(as_user, viewer, server):
    mirrored_task(server, ["hard_failure"], dag_id="a")
    mirrored_task(server, ["running"], dag_id="b")
    assert "One mapped task needs attention · one running" in words(page(as_user(viewer), "/"))
