"""The list of backfills and the page of one: follow, pause, cancel; by people with other rights too."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from panel.launches.models import BackfillRun
from tests.fakes.airflow import KeepRunning
from tests.launches.backfilling import DAG, day, fresh, text_of, watched, worked

pytestmark = pytest.mark.django_db

FORM = f"/servers/prod/dags/{DAG}/backfill/"
LIST = f"/servers/prod/dags/{DAG}/backfills/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def dora(as_user, deployer):
    return as_user(deployer)


def test_the_list_shows_those_of_the_dag(dora, backfilled, as_user, viewer):
    assert dora.get("/servers/prod/dags/nothing/backfills/").status_code == 404
    backfill = worked(backfilled(1, 5))
    for client in (dora, as_user(viewer)):
        shown = text_of(client.get(LIST))
        assert "2026-11-01 00:00 – 2026-11-05 00:00" in shown
        assert f'href="/backfills/{backfill.pk}/"' in shown
        assert "0 / 5" in shown


@pytest.fixture
def started(backfilled, fake_airflow):
    """Five runs: two at work, three queued."""

    def keep_running(row):
        raise KeepRunning

    backfill = worked(backfilled(1, 5))
    fake_airflow.run_queued(keep_running)
    return watched(backfill)


def test_the_page_shows_each_run_with_a_link_to_it(dora, started):
    shown = text_of(dora.get(f"/backfills/{started.pk}/"))
    assert shown.count('id="backfill-run-') == 5
    assert f"/servers/prod/dags/{DAG}/runs/backfill__2026-11-01T00:00:00+00:00/" in shown.replace("%2B", "+").replace(
        "%3A", ":"
    )
    assert "<strong>0</strong> of 5 runs over" in shown


def test_what_cancel_does_is_said_before(dora, started):
    shown = text_of(dora.get(f"/backfills/{started.pk}/"))
    assert "3 queued runs are marked failed in Airflow at once, without having run." in shown
    assert "2 running runs go on to their end." in shown
    assert "cannot be resumed" in shown


def test_pause_resume_and_cancel_from_the_page(dora, started, fake_airflow):
    page = f"/backfills/{started.pk}/"
    for verb, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        answer = dora.post(f"{page}{verb}/", follow=True)
        assert answer.redirect_chain == [(page, 302)]
        assert fresh(started).state == state
    (made,) = fake_airflow.world.backfills.values()
    assert made.completed_at is not None
    assert "over; there is nothing to change" in text_of(dora.post(f"{page}pause/", follow=True))


def test_a_pause_while_airflow_is_away_says_so(dora, started, fake_airflow):
    fake_airflow.down = True
    assert "Airflow did not say yes" in text_of(dora.post(f"/backfills/{started.pk}/pause/", follow=True))


@pytest.mark.parametrize("who", ["viewer", "operator"])
def test_others_may_look_but_not_touch(who, request, as_user, started):
    client = as_user(request.getfixturevalue(who))
    shown = text_of(client.get(f"/backfills/{started.pk}/"))
    assert "2026-11-05 00:00" in shown
    assert "/cancel/" not in shown
    for verb in ("pause", "resume", "cancel"):
        assert client.post(f"/backfills/{started.pk}/{verb}/").status_code == 403
        assert client.get(f"/backfills/{started.pk}/{verb}/").status_code in {403, 405}
    assert client.get(FORM).status_code == 403
    assert fresh(started).state == "running"


def test_a_poller_gets_nothing_until_something_changed(dora, started, fake_airflow):
    page = f"/backfills/{started.pk}/"
    version = dora.get(page).context["version"]
    with CaptureQueriesContext(connection) as asked:
        assert dora.get(page, {"v": version}, headers=HTMX).status_code == 204
    assert not [query for query in asked.captured_queries if "backfillrun" in query["sql"]], "no rows are read for it"
    fake_airflow.run_queued()
    for run in list(fake_airflow.world.runs.values()):
        fake_airflow.finish_run(DAG, run.run_id)
    fake_airflow.run_queued()
    assert watched(started).state == "done"
    news = text_of(dora.get(page, {"v": version}, headers=HTMX))
    assert 'id="backfill-state"' in news
    assert 'id="backfill-runs"' in news
    assert "hx-get" not in news.partition('id="poller"')[2].partition(">")[0], "it is over: nobody asks again"


def test_a_look_at_the_page_asks_airflow_nothing(dora, started, fake_airflow):
    fake_airflow.forget_requests()
    dora.get(f"/backfills/{started.pk}/")
    assert fake_airflow.requests == []


def test_many_runs_come_in_pages(dora, backfilled, fake_airflow):
    backfill = worked(backfilled(1, 3))
    BackfillRun.objects.bulk_create(
        BackfillRun(backfill=backfill, position=100 + number, logical_date=day(100 + number), state="waiting")
        for number in range(150)
    )
    first = dora.get(f"/backfills/{backfill.pk}/")
    assert len(first.context["page"].rows) == 100
    cursor = first.context["page"].next_cursor
    second = dora.get(f"/backfills/{backfill.pk}/", {"cursor": cursor})
    assert len(second.context["page"].rows) == 53
    assert f"cursor={cursor}" in text_of(second).partition('id="poller"')[2].partition(">")[0]


def test_airflows_words_are_text(dora, backfilled, fake_airflow):
    fake_airflow.fail_next(method="POST", path="dry_run", status=422, detail="<script>alert(1)</script>")
    backfill = worked(backfilled())
    shown = text_of(dora.get(f"/backfills/{backfill.pk}/"))
    assert backfill.state == "refused"
    assert "<script>alert(1)" not in shown
    assert "&lt;script&gt;" in shown


def test_a_new_one_can_begin_with_these_values(dora, started):
    form = dora.get(FORM, {"from": started.pk}).context["form"]
    assert (form.range.initial["from_date"], form.range.initial["to_date"]) == (day(1), day(5))
    assert form.conf.start.values == started.params
    assert dora.get(FORM, {"from": "nonsense"}).status_code == 200


def test_an_unknown_backfill_is_404(dora):
    assert dora.get("/backfills/00000000-0000-4000-8000-000000000000/").status_code == 404
