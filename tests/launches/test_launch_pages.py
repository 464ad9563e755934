"""The list of launches, and the page of one with its live board."""

from __future__ import annotations

import re

import pytest

from panel.launches.models import Launch
from panel.launches.watching import mirror_run
from panel.mirror.models import MappedTask
from panel.mirror.services import sync_mapped_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(launched, submitted, fake_airflow):
    """A launch with three regions: one well, one failed, one running."""
    launch = submitted(launched(env="prod"))
    run_id = launch.dag_run_id
    fake_airflow.expand("deploy", run_id, "deploy_region", 3, labels=["us-east-1", "<b>eu</b>", "ap-1"])
    fake_airflow.finish("deploy", run_id, "deploy_region", 0, result={"status": "ok"})
    fake_airflow.finish("deploy", run_id, "deploy_region", 1, error=("ConnectionError", "<img src=x> refused"))
    fake_airflow.start("deploy", run_id, "deploy_region", 2)
    mirror_run(launch_id=launch.pk)
    refresh()
    return launch


def refresh():
    for mapped_task in MappedTask.objects.all():
        sync_mapped_task(mapped_task_id=mapped_task.pk, full=True)


def text_of(response):
    return " ".join(response.content.decode().split())


def board_url(launch):
    return f"/launches/{launch.pk}/"


def poll(client, page_or_url):
    url = re.search(r'hx-get="(/launches/[^"]+\?v=[^"]+)"', text_of(page_or_url))[1]
    return client.get(url.replace("&amp;", "&"), headers={"HX-Request": "true"})


def test_it_shows_each_target_with_label_outcome_and_error(running, viewer, as_user):
    page = text_of(as_user(viewer).get(board_url(running)))
    assert "us-east-1" in page
    assert "ConnectionError: &lt;img src=x&gt; refused" in page
    assert "&lt;b&gt;eu&lt;/b&gt;" in page
    assert "<b>eu</b>" not in page
    rows = re.findall(r'<tr> <th scope="row">.*?</tr>', page)
    assert len(rows) == 3
    assert "success" in rows[0]
    assert "hard failure" in rows[1]
    assert "running" in rows[2]


def test_it_links_to_the_mapped_task_and_to_airflow(running, viewer, as_user):
    page = text_of(as_user(viewer).get(board_url(running)))
    quoted = running.dag_run_id.replace(":", "%3A")
    assert f'href="http://airflow.test/dags/deploy/runs/{quoted}"' in page
    assert f"/servers/prod/dags/deploy/runs/{running.dag_run_id}/tasks/deploy_region/" in page.replace("%3A", ":")


def test_a_poll_answers_nothing_when_nothing_is_new_and_reads_no_rows(
    running, viewer, as_user, django_assert_max_num_queries
):
    client = as_user(viewer)
    page = client.get(board_url(running))
    with django_assert_max_num_queries(16) as queries:
        assert poll(client, page).status_code == 204
    assert not any('FROM "mirror_instance"' in query["sql"] for query in queries.captured_queries)


def test_a_poll_brings_what_changed_in_place(running, viewer, as_user, fake_airflow):
    client = as_user(viewer)
    page = client.get(board_url(running))
    fake_airflow.finish("deploy", running.dag_run_id, "deploy_region", 2, result={"status": "failed", "error": "soft!"})
    refresh()
    answer = text_of(poll(client, page))
    assert "<html" not in answer
    assert "soft!" in answer
    task = MappedTask.objects.get()
    assert re.search(rf'<section [^>]*id="board-{task.pk}"[^>]*hx-swap-oob="true"', answer)
    assert 'id="launch-board"' not in answer


def test_a_poll_brings_the_board_when_targets_appear(launched, submitted, viewer, as_user, fake_airflow):
    launch = submitted(launched())
    client = as_user(viewer)
    page = client.get(board_url(launch))
    assert "No targets yet" in text_of(page)
    fake_airflow.expand("deploy", launch.dag_run_id, "deploy_region", 2)
    mirror_run(launch_id=launch.pk)
    refresh()
    answer = text_of(poll(client, page))
    assert re.search(r'id="launch-board"[^>]*hx-swap-oob="true"', answer)
    assert answer.count('<th scope="row">') == 2


def test_a_finished_launch_polls_no_more(running, viewer, as_user, fake_airflow):
    fake_airflow.run_queued(lambda row: {"status": "ok"})
    refresh()
    Launch.objects.update(state="success")
    page = text_of(as_user(viewer).get(board_url(running)))
    assert "?v=" not in page


def test_a_large_map_shows_what_needs_attention(launched, submitted, viewer, as_user, fake_airflow):
    launch = submitted(launched())
    fake_airflow.expand("deploy", launch.dag_run_id, "deploy_region", 130)
    for index in range(130):
        error = ("KeyError", "x") if index == 7 else None
        fake_airflow.finish("deploy", launch.dag_run_id, "deploy_region", index, error=error)
    mirror_run(launch_id=launch.pk)
    refresh()
    page = text_of(as_user(viewer).get(board_url(launch)))
    assert page.count('<th scope="row">') == 1
    assert "All 130 indices" in page


def test_a_view_asks_the_mirror_for_the_run_once_in_a_while(
    launched, submitted, viewer, as_user, woken, django_capture_on_commit_callbacks
):
    launch = submitted(launched())
    client = as_user(viewer)
    with django_capture_on_commit_callbacks(execute=True):
        client.get(board_url(launch))
        client.get(board_url(launch))
    assert woken.count(("launches.mirror_run", (str(launch.pk),))) == 1


def test_a_refused_launch_says_why_and_leads_back_to_the_form(launched, deployer, viewer, as_user):
    launch = launched()
    Launch.objects.update(state="refused", message="Airflow said no.", fields={"replicas": ["<b>5 at most</b>"]})
    page = text_of(as_user(deployer).get(board_url(launch)))
    assert "Airflow said no." in page
    assert "&lt;b&gt;5 at most&lt;/b&gt;" in page
    assert f"/servers/prod/dags/deploy/launch/?from={launch.pk}" in page
    assert "/launch/?from=" not in text_of(as_user(viewer).get(board_url(launch)))


def test_values_with_markup_are_shown_as_text(launched, viewer, as_user):
    launch = launched(version="<script>alert(1)")
    Launch.objects.update(note="<script>alert(2)</script>")
    page = as_user(viewer).get(board_url(launch)).content.decode()
    assert "<script>alert" not in page


def test_a_launch_on_its_way_can_be_cancelled(launched, deployer, as_user):
    launch = launched()
    client = as_user(deployer)
    assert "Cancel this launch" in text_of(client.get(board_url(launch)))
    answer = client.post(f"{board_url(launch)}cancel/", follow=True)
    assert "nothing was started" in text_of(answer)
    assert Launch.objects.get().state == "cancelled"


def test_cancelling_too_late_says_so(launched, submitted, deployer, as_user):
    launch = submitted(launched())
    client = as_user(deployer)
    assert "Cancel this launch" not in text_of(client.get(board_url(launch)))
    answer = client.post(f"{board_url(launch)}cancel/", follow=True)
    assert "cannot be taken back here" in text_of(answer)
    assert Launch.objects.get().state == "queued"


def test_it_is_shown_when_its_server_is_gone(launched, submitted, server, viewer, as_user):
    launch = submitted(launched())
    server.delete()
    assert as_user(viewer).get(board_url(launch)).status_code == 200


def test_an_unknown_launch_is_not_found(viewer, as_user):
    assert as_user(viewer).get("/launches/00000000-0000-0000-0000-000000000000/").status_code == 404


@pytest.mark.parametrize("cast", ["viewer", "operator", "nobody"])
def test_others_may_not_cancel(cast, launched, as_user, request):
    launch = launched()
    assert as_user(request.getfixturevalue(cast)).post(f"{board_url(launch)}cancel/").status_code == 403
    assert Launch.objects.get().state == "submitting"


def test_cancelling_is_done_by_post_only(launched, deployer, as_user):
    assert as_user(deployer).get(f"{board_url(launched())}cancel/").status_code == 405


def test_who_is_in_no_group_sees_nothing(launched, nobody, as_user):
    client = as_user(nobody)
    assert client.get(board_url(launched())).status_code == 403
    assert client.get("/launches/").status_code == 403


def test_the_list_shows_launches_newest_first_and_filters_them(launched, submitted, viewer, as_user):
    first, second = launched(), submitted(launched())
    client = as_user(viewer)
    page = text_of(client.get("/launches/"))
    assert page.index(str(second.pk)) < page.index(str(first.pk))
    assert "dora" in page
    only = text_of(client.get("/launches/?state=queued&server=prod&dag_id=deploy"))
    assert str(second.pk) in only
    assert str(first.pk) not in only
    assert "No launch matches" in text_of(client.get("/launches/?dag_id=other"))


def test_the_list_is_paged(launched, viewer, as_user, monkeypatch):
    monkeypatch.setattr("panel.launches.views_history.PAGE_SIZE", 2)
    launches = [launched() for _ in range(3)]
    client = as_user(viewer)
    page = text_of(client.get("/launches/"))
    assert str(launches[0].pk) not in page
    following = re.search(r'rel="next" href="([^"]+)"', page)[1].replace("&amp;", "&")
    assert str(launches[0].pk) in text_of(client.get(following))


def test_an_empty_list_says_how_to_begin(viewer, as_user):
    assert "Nothing was launched yet" in text_of(as_user(viewer).get("/launches/"))
