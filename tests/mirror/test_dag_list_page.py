from django.utils import timezone

from panel.mirror.models import ServerMirror
from panel.servers.models import Server
from tests.mirror.pages import HTMX, MARKUP, page, words
from tests.mirror.stage import mirrored_dag, mirrored_task

URL = "/servers/prod/dags/"


def test_mapped_dags_come_first_with_the_outcomes_of_their_last_run(as_user, viewer, server):
    mirrored_task(server, ["success"], dag_id="etl.daily", run_id="old")
    mirrored_task(server, ["success", "hard_failure"], dag_id="etl.daily", run_id="new")
    mirrored_dag(server, "housekeeping", mapped_task_ids=[])
    html = page(as_user(viewer), URL)
    assert html.index("etl.daily") < html.index("housekeeping")
    assert "1 success, 1 hard failure" in html
    assert "One Dag without mapped tasks" in html


def test_a_filter_finds_by_any_part_of_the_name_in_any_case(as_user, viewer, server):
    mirrored_dag(server, "etl.daily")
    mirrored_dag(server, "reports")
    html = page(as_user(viewer), f"{URL}?q=DAIL")
    assert "etl.daily" in html
    assert "reports" not in html


def test_a_filter_that_finds_nothing_says_so_and_leads_back(as_user, viewer, server):
    mirrored_dag(server, "etl.daily")
    html = page(as_user(viewer), f"{URL}?q=zzz")
    assert "No Dag with mapped tasks has this in its name" in html
    assert f'href="{URL}"' in html


def test_the_filter_gets_the_list_alone(as_user, viewer, server):
    mirrored_dag(server, "etl.daily")
    html = page(as_user(viewer), f"{URL}?q=etl", **HTMX, **{"hx-target": "dag-table"})
    assert html.strip().startswith('<div id="dag-table"')


def test_what_was_typed_is_escaped(as_user, viewer, server):
    mirrored_dag(server, "etl.daily", display_name=MARKUP)
    assert MARKUP not in page(as_user(viewer), URL, 200)
    assert MARKUP not in as_user(viewer).get(URL, {"q": MARKUP}).content.decode()


def test_paused_stale_and_broken_dags_are_marked(as_user, viewer, server):
    mirrored_dag(server, "etl.daily", is_paused=True, is_stale=True, has_import_errors=True)
    text = words(page(as_user(viewer), URL))
    assert "paused" in text
    assert "stale" in text
    assert "import error" in text


def test_a_server_that_was_never_read_says_so(as_user, viewer, server):
    assert "Not read yet" in page(as_user(viewer), URL)


def test_a_server_without_mapped_dags_says_so(as_user, viewer, server):
    ServerMirror.objects.create(server=server, synced_at=timezone.now())
    assert "No Dag has mapped tasks" in page(as_user(viewer), URL)


def test_a_server_that_is_down_shows_what_is_known_and_since_when(as_user, viewer, server):
    mirrored_dag(server, "etl.daily")
    Server.objects.update(healthy=False, unreachable_since=timezone.now(), last_error="refused")
    html = page(as_user(viewer), URL)
    assert "etl.daily" in html
    assert "has been unreachable since" in html


def test_an_unknown_server_is_404(as_user, viewer):
    page(as_user(viewer), "/servers/nope/dags/", 404)


def test_people_in_no_group_are_refused(as_user, nobody, server):
    page(as_user(nobody), URL, 403)


def test_more_dags_cost_no_more_queries(as_user, viewer, server, django_assert_max_num_queries):
    for number in range(5):
        mirrored_task(server, ["success"], dag_id=f"dag{number}")
    client = as_user(viewer)
    with django_assert_max_num_queries(8):
        page(client, URL)
