"""Retries over several runs of a Dag: the page that finds them, one preview, one job, run by run."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from panel.domain.outcomes import Outcome
from panel.mirror.models import DagRun
from panel.retries import selectors
from panel.retries.models import RetryJob
from panel.retries.states import Action

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true", "HX-Target": "retry-slot"}


@pytest.fixture
def three_runs(etl):
    """r1: 1 and 2 failed; r2: 0 failed, 3 softly; r3: all well."""
    return [
        etl.stage(4, failed=[1, 2], run_id="r1"),
        etl.stage(4, failed=[0], soft=[3], run_id="r2"),
        etl.stage(4, run_id="r3"),
    ]


@pytest.fixture
def page(etl, as_user, operator):
    """``page(**filters)``: the Dag's page of recent failures."""

    def open_it(user=operator, **filters):
        return as_user(user).get(reverse("retries:dag_retry", args=[etl.server.slug, "etl"]), filters)

    return open_it


def text_of(answer) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def ticked(answer) -> list[str]:
    return re.findall(r'name="mapped_task" value="([^"]+)" checked', answer.content.decode())


def panel_url(tasks, more: str = "outcome=hard_failure") -> str:
    chosen = "&".join(f"mapped_task={task.pk}" for task in tasks)
    return f"{reverse('retries:retry_several')}?{chosen}&{more}"


def test_the_page_of_the_dag_leads_there(etl, three_runs, as_user, operator, viewer):
    url = reverse("retries:dag_retry", args=[etl.server.slug, "etl"])
    dag_url = reverse("mirror:dag_detail", args=[etl.server.slug, "etl"])
    assert url in as_user(operator).get(dag_url).content.decode()
    assert url not in as_user(viewer).get(dag_url).content.decode()
    assert as_user(viewer).get(url).status_code == 403


def test_the_hard_failures_of_the_last_day_are_found_and_ticked(three_runs, page):
    answer = page()
    assert set(ticked(answer)) == {str(three_runs[0].pk), str(three_runs[1].pk)}
    assert "3 failures in 2 runs" in text_of(answer)
    assert '<input type="hidden" name="outcome" value="hard_failure">' in answer.content.decode()


def test_other_outcomes_and_tasks_are_choices(three_runs, page):
    assert ticked(page(outcome="soft_failure")) == [str(three_runs[1].pk)]
    assert "1 failure in 1 run" in text_of(page(outcome="soft_failure"))
    assert len(ticked(page(task="work"))) == 2
    assert "Nothing failed in these runs" in text_of(page(outcome="upstream_failed"))


def test_older_runs_are_out_of_the_span_and_running_ones_are_in(three_runs, page):
    DagRun.objects.filter(run_id="r1").update(end_date=timezone.now() - timedelta(hours=30))
    DagRun.objects.filter(run_id="r2").update(end_date=None, state="running")
    assert ticked(page()) == [str(three_runs[1].pk)]
    assert len(ticked(page(hours=72))) == 2


@pytest.mark.parametrize("filters", [{"hours": "x"}, {"outcome": "success"}, {"task": "nope"}])
def test_what_makes_no_sense_shows_the_last_day(three_runs, page, filters):
    assert len(ticked(page(**filters))) == 2


def test_more_than_one_job_takes_is_listed_but_not_ticked(etl, three_runs, page, monkeypatch):
    monkeypatch.setattr("panel.retries.recent_failures.MOST_MAPPED_TASKS", 1)
    answer = page()
    assert len(ticked(answer)) == 1
    assert answer.content.decode().count('name="mapped_task"') == 2


def test_the_preview_shows_each_run_and_one_press_makes_one_job(etl, jobs, three_runs, as_user, operator):
    client = as_user(operator)
    answer = client.get(panel_url(three_runs[:2]), headers=HTMX)
    shown = text_of(answer)
    assert shown.startswith("Retry 3 indices of work in 2 runs")
    assert "r1 work 2 1-2" in shown
    assert "r2 work 1 0" in shown
    assert "report" in shown
    page = answer.content.decode()
    fields = {name: re.search(rf'name="{name}" value="([^"]*)"', page)[1] for name in ("idempotency_key", "plan_token")}
    for _ in range(2):
        assert client.post(panel_url(three_runs[:2]), fields | {"reason": "disk was full"}).status_code == 302
    job = jobs.to_the_end(RetryJob.objects.get())
    assert jobs.counts(job) == {"recovered": 3}
    assert (etl.tries(run_id="r1"), etl.tries(run_id="r2")) == ({0: 1, 1: 2, 2: 2, 3: 1}, {0: 2, 1: 1, 2: 1, 3: 1})
    assert etl.tries("report", "r1") == etl.tries("report", "r2") == {-1: 2}
    shown = text_of(client.get(reverse("retries:job_detail", args=[job.pk])))
    assert "By run" in shown


def test_runs_go_one_after_the_other_each_started_before_the_next(etl, jobs, three_runs):
    """A run that is sent does not wait, cleared but not started, for all the others."""
    job = jobs.request(*three_runs[:2], outcomes=[Outcome.HARD_FAILURE])
    jobs.work()
    order = [
        body["dag_run_id"]
        for body in (one.body for one in etl.fake.calls("POST", "/clearTaskInstances"))
        if not body["dry_run"]
    ]
    assert order == ["r1", "r1", "r2", "r2"]
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 3}


def test_a_run_whose_downstream_is_busy_holds_up_only_itself(etl, jobs, three_runs):
    etl.fake.start("etl", "r1", "report")
    job = jobs.request(*three_runs[:2], outcomes=[Outcome.HARD_FAILURE])
    jobs.work()
    assert [len(etl.cleared(run)) for run in ("r1", "r2")] == [1, 2]
    etl.fake.finish("etl", "r1", "report")
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 3}
    assert etl.tries("report", "r1") == {-1: 3}


def test_a_run_that_is_gone_does_not_hold_up_the_others(etl, jobs, three_runs):
    job = jobs.request(*three_runs[:2], outcomes=[Outcome.HARD_FAILURE])
    etl.fake.remove_run("etl", "r1")
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 1, "lost": 2}


def test_several_runs_are_marked_in_one_job(etl, jobs, three_runs):
    job = jobs.request(*three_runs[:2], outcomes=[Outcome.HARD_FAILURE], action=Action.MARK_SKIPPED)
    jobs.work()
    assert selectors.job(job.pk).state == "done"
    assert [etl.states(run_id="r1")[1], etl.states(run_id="r2")[0]] == ["skipped", "skipped"]


def test_the_panel_refuses_nothing_ticked_and_too_much(etl, three_runs, as_user, operator):
    client = as_user(operator)
    url = reverse("retries:retry_several")
    answer = client.get(f"{url}?outcome=hard_failure", headers=HTMX)
    assert (answer.status_code, text_of(answer)) == (400, "Tick at least one run.")
    assert client.get(f"{url}?mapped_task=x&outcome=hard_failure").status_code == 400
    many = [three_runs[0]] * 51
    assert client.get(panel_url(many)).status_code == 200  # the same one, 51 times


def test_rest_tells_each_run_of_a_job(etl, jobs, three_runs, as_user, operator):
    job = jobs.request(*three_runs[:2], outcomes=[Outcome.HARD_FAILURE])
    answer = as_user(operator).get(f"/api/v1/retry-jobs/{job.pk}/").json()
    found = [(run["run_id"], run["task_id"], run["total"], run["counts"]["pending"]) for run in answer["tasks"]]
    assert found == [("r1", "work", 2, 2), ("r2", "work", 1, 1)]
