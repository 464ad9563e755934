from django.utils import timezone

from panel.mirror.models import DagRun, MappedTask
from panel.servers.models import Server
from tests.mirror.pages import HTMX, MARKUP, is_polling, page, place, poll, words
from tests.mirror.stage import mirrored_task


def test_its_mapped_tasks_are_shown_with_counts_and_a_link_to_the_failed_ones(as_user, viewer, server):
    task = mirrored_task(server, ["success", "success", "hard_failure"])
    html = page(as_user(viewer), place(task, "run_detail"))
    assert "2 success, 1 hard failure" in html
    assert f"{place(task)}?outcome=soft_failure&amp;outcome=hard_failure" in html
    assert "1 failed" in html


def test_params_note_and_who_started_it_are_shown_as_text(as_user, viewer, server):
    task = mirrored_task(server, ["success"])
    DagRun.objects.update(conf={"env": "prod", "x": MARKUP}, note=f"why {MARKUP}", triggering_user="alice")
    html = page(as_user(viewer), place(task, "run_detail"))
    assert "&quot;env&quot;: &quot;prod&quot;" in html
    assert "started by alice" in words(html)
    assert MARKUP not in html


def test_a_task_that_is_not_expanded_yet_says_why_it_has_no_counts(as_user, viewer, server):
    task = mirrored_task(server, [], run_state="running", unexpanded_state="none")
    assert "not expanded yet" in page(as_user(viewer), place(task, "run_detail"))


def test_an_empty_map_is_told_from_one_that_never_expanded(as_user, viewer, server):
    empty = mirrored_task(server, [], run_id="a", run_state="success", unexpanded_state="skipped")
    never = mirrored_task(server, [], run_id="b", run_state="failed", unexpanded_state="upstream_failed")
    assert "an empty list" in page(as_user(viewer), place(empty, "run_detail"))
    assert "never expanded" in page(as_user(viewer), place(never, "run_detail"))


def test_a_run_that_airflow_deleted_says_so(as_user, viewer, server):
    task = mirrored_task(server, ["success"])
    DagRun.objects.update(deleted_at=timezone.now())
    assert "Airflow no longer has this run" in page(as_user(viewer), place(task, "run_detail"))


def test_an_active_run_is_polled_and_its_numbers_come_alone(as_user, viewer, server):
    task = mirrored_task(server, ["running", "waiting"])
    client = as_user(viewer)
    address = poll(page(client, place(task, "run_detail")))
    assert client.get(address, headers=HTMX).status_code == 204
    MappedTask.objects.update(version=task.version + 1, counts={"success": 2}, total=2)
    html = page(client, address, **HTMX)
    assert "2 success" in html
    assert "<html" not in html


def test_a_finished_and_reconciled_run_is_not_polled(as_user, viewer, server):
    task = mirrored_task(server, ["success"])
    DagRun.objects.update(reconciled_at=timezone.now())
    assert not is_polling(page(as_user(viewer), place(task, "run_detail")))


def test_an_old_run_is_asked_of_airflow_and_an_unknown_one_is_404(as_user, viewer, etl, server):
    etl.add_run("etl", "ancient", state="success")
    client = as_user(viewer)
    assert "ancient" in page(client, "/servers/prod/dags/etl/runs/ancient/")
    page(client, "/servers/prod/dags/etl/runs/nope/", 404)


def test_an_old_run_while_airflow_is_down_says_what_happened_and_what_to_do(as_user, viewer, etl, server):
    etl.down = True
    html = page(as_user(viewer), "/servers/prod/dags/etl/runs/ancient/", 502)
    assert "This run cannot be read now" in html
    assert "Reload the page" in html


def test_a_server_that_is_down_shows_the_last_known_data(as_user, viewer, server):
    task = mirrored_task(server, ["hard_failure"])
    Server.objects.update(healthy=False, unreachable_since=timezone.now())
    text = words(page(as_user(viewer), place(task, "run_detail")))
    assert "has been unreachable since" in text
    assert "1 failed" in text


def test_people_in_no_group_are_refused(as_user, nobody, server):
    page(as_user(nobody), place(mirrored_task(server, ["success"]), "run_detail"), 403)
