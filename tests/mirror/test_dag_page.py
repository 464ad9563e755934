from panel.mirror.models import Dag, DagRun
from tests.mirror.pages import HTMX, MARKUP, page, poll, words
from tests.mirror.stage import mirrored_dag, mirrored_run, mirrored_task

URL = "/servers/prod/dags/etl.daily/"
LAUNCH = "/servers/prod/dags/etl.daily/launch/"


def test_runs_are_listed_newest_first_with_what_became_of_them(as_user, viewer, server):
    mirrored_task(server, ["success"] * 2, run_id="older")
    mirrored_task(server, ["success", "hard_failure"], run_id="newer")
    DagRun.objects.filter(run_id="older").update(run_after="2026-01-01T00:00:00Z")
    html = page(as_user(viewer), URL)
    assert html.index("newer") < html.index("older")
    assert "1 success, 1 hard failure" in html


def test_run_ids_with_any_character_link_to_their_run(as_user, viewer, server):
    task = mirrored_task(server, ["success"], run_id="manual__2026-11-22T02:00:00+00:00~x")
    client = as_user(viewer)
    html = page(client, URL)
    href = html.split('<th scope="row" class="wide"><a href="')[1].split('"')[0]
    assert task.run.run_id in page(client, href)


def test_only_people_who_may_launch_are_offered_it(as_user, viewer, operator, deployer, server):
    mirrored_dag(server)
    assert LAUNCH in page(as_user(deployer), URL)
    assert LAUNCH not in page(as_user(viewer), URL)
    assert LAUNCH not in page(as_user(operator), URL)


def test_a_dag_without_runs_and_one_without_mapped_tasks_say_so(as_user, viewer, server):
    mirrored_dag(server)
    mirrored_dag(server, "plain", mapped_task_ids=[])
    assert "No run yet" in page(as_user(viewer), URL)
    assert "This Dag has no mapped tasks" in page(as_user(viewer), "/servers/prod/dags/plain/")


def test_texts_of_airflow_are_escaped(as_user, viewer, server):
    mirrored_dag(server, description=MARKUP, mapped_task_ids=[MARKUP])
    assert MARKUP not in page(as_user(viewer), URL)


def test_looking_at_a_dag_asks_for_a_refresh_when_it_is_old(as_user, viewer, server, woken):
    dag = mirrored_dag(server)
    Dag.objects.update(synced_at=None)
    page(as_user(viewer), URL)
    assert ("mirror.sync_dag", (dag.pk,)) in woken


def test_a_poller_gets_nothing_then_the_new_run(as_user, viewer, server):
    dag = mirrored_dag(server)
    mirrored_run(dag, "first")
    client = as_user(viewer)
    address = poll(page(client, URL))
    assert client.get(address, headers=HTMX).status_code == 204
    mirrored_run(dag, "second", state="running")
    html = page(client, address, **HTMX)
    assert "second" in html
    assert 'id="runs"' in html
    assert "data-keys=" in html


def test_an_unknown_dag_is_404(as_user, viewer, server):
    page(as_user(viewer), "/servers/prod/dags/nope/", 404)


def test_people_in_no_group_are_refused(as_user, nobody, server):
    mirrored_dag(server)
    page(as_user(nobody), URL, 403)


def test_it_names_its_mapped_tasks(as_user, viewer, server):
    mirrored_dag(server, mapped_task_ids=["extract", "load"])
    assert "Mapped tasks: extract , load" in words(page(as_user(viewer), URL))
