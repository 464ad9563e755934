"""The report of a job: its page, its numbers by REST, the exports, and what failed again retried from it."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.urls import reverse

from panel.retries import selectors
from panel.retries.models import RetryJob
from panel.retries.policies import Policy
from panel.retries.progress import Progress
from panel.retries.services import cancel_job
from tests.fakes.airflow import Fatal

pytestmark = pytest.mark.django_db


def some_fail_again(row):
    """Of six: 0 fails as before, 1 with a new error, the others recover."""
    if row.task_id == "work" and row.map_index == 0:
        raise Fatal("KeyError", "customer_0")
    if row.task_id == "work" and row.map_index == 1:
        raise Fatal("OSError", '=HYPERLINK("http://evil.example")')
    return {"id": row.map_index}


@pytest.fixture
def done(etl, jobs) -> RetryJob:
    """Asked for 0 to 6: 0 and 1 fail again, 5 had been started by somebody else, 6 had not failed."""
    task = etl.stage(7, failed=range(6))
    job = jobs.request(task, indices="0-6")
    etl.fake.start("etl", "r1", "work", 5)
    jobs.work()
    etl.fake.finish("etl", "r1", "work", 5, result={"id": 5})
    return jobs.to_the_end(job, some_fail_again)


def page_of(client, job) -> str:
    return client.get(reverse("retries:job_detail", args=[job.pk])).content.decode()


def export(client, job, wanted: str) -> str:
    answer = client.get(reverse("api:retry-job-export", args=[job.pk]), {"format": wanted})
    assert answer.status_code == 200
    assert f'filename="retry-{job.short_id}.{wanted}"' in answer["Content-Disposition"]
    return b"".join(answer.streaming_content).decode()


def test_the_numbers_by_rest_add_up(done, as_user, viewer):
    report = as_user(viewer).get(reverse("api:retry-job-report", args=[done.pk])).json()
    wanted = {
        "retried": 5, "recovered": 3, "failed_again": 2, "same_error": 1, "new_error": 1, "error_unknown": 0,
        "skipped": 1, "refused": 0, "cancelled": 0, "lost": 0, "unfinished": 0,
    }  # fmt: skip
    assert {name: report[name] for name in wanted} == wanted
    assert report["sentence"].startswith("5 retried, 3 recovered, 2 failed again (")
    assert report["reasons"] == [{"state": "skipped", "why": "running meanwhile", "count": 1}]
    assert [(group["why"], group["indices"]) for group in report["left_out"]] == [("succeeded", "6")]
    assert {(one["error_type"], one["same"]) for one in report["failures"]} == {("KeyError", True), ("OSError", False)}


def test_a_job_under_way_has_a_report_so_far(etl, jobs, as_user, viewer):
    job = jobs.request(etl.stage(3, failed=range(3)))
    jobs.work()
    report = as_user(viewer).get(reverse("api:retry-job-report", args=[job.pk])).json()
    assert (report["retried"], report["recovered"], report["unfinished"]) == (3, 0, 3)


def test_every_index_is_a_line_of_the_export_and_no_cell_is_a_formula(done, as_user, viewer):
    rows = list(csv.DictReader(io.StringIO(export(as_user(viewer), done, "csv"))))
    assert [(row["map_index"], row["state"]) for row in rows] == [
        ("0", "failed_again"), ("1", "failed_again"), ("2", "recovered"), ("3", "recovered"), ("4", "recovered"),
        ("5", "skipped"),
    ]  # fmt: skip
    assert rows[0]["same_error"] == "true"
    assert (rows[0]["try_number_before"], rows[0]["try_number"]) == ("1", "2")
    assert rows[1]["error_message"].startswith("'=HYPERLINK")
    assert rows[5]["why"] == "running meanwhile"
    assert {row["run_id"] for row in rows} == {"r1"}


def test_json_lines_keep_the_values_as_they_are(done, as_user, viewer):
    rows = [json.loads(line) for line in export(as_user(viewer), done, "jsonl").splitlines()]
    assert len(rows) == done.total
    assert rows[1]["error_message"].startswith("=HYPERLINK")
    assert rows[0]["same_error"] is True
    assert rows[2]["sent_at"].endswith("Z")


def test_an_unknown_format_or_filter_is_refused(done, as_user, viewer):
    url = reverse("api:retry-job-export", args=[done.pk])
    for query in ({"format": "xls"}, {"state": "sent"}):
        assert as_user(viewer).get(url, query).status_code == 400


def test_whoever_may_not_look_gets_neither_report_nor_export(done, as_user, nobody, client):
    for name in ("report", "export"):
        url = reverse(f"api:retry-job-{name}", args=[done.pk])
        assert as_user(nobody).get(url).status_code == 403
        assert client.get(url).status_code == 401


def test_the_page_of_a_job_that_is_over_is_its_report(done, as_user, viewer, operator):
    page = page_of(as_user(operator), done)
    assert "5 retried, 3 recovered, 2 failed again" in page
    assert "same as before" in page
    assert "another error than before" in page
    assert reverse("api:retry-job-export", args=[done.pk]) + "?format=csv" in page
    assert "Retry the 2 that failed again" in page
    assert "Retry the 2 that failed again" not in page_of(as_user(viewer), done)


def test_what_the_next_round_has_is_not_offered_again_but_named(etl, jobs, as_user, operator, viewer):
    job = jobs.to_the_end(jobs.request(etl.stage(3, failed=range(3)), policy=Policy(rounds=2)), some_fail_again)
    following = selectors.next_round(job)
    page = page_of(as_user(operator), job)
    assert "?again=" not in page
    assert "2 that failed again belong to a job that is not over:" in page
    link = f'<a href="{reverse("retries:job_detail", args=[following.pk])}">'
    assert f"{link}round 2 of 2</a>" in page
    assert f"{link}round 2 of 2</a>" in page_of(as_user(viewer), job)
    cancel_job(user=operator, job=following)
    page = page_of(as_user(operator), job)
    assert "Retry the 2 that failed again" in page
    assert "not over" not in page


def test_only_what_is_free_of_what_failed_again_is_offered(done, etl, jobs, as_user, operator):
    other = jobs.request(etl.mirrored(), indices="1")
    page = page_of(as_user(operator), done)
    assert "Retry the other 1 that failed again" in page
    assert "1 that failed again belongs to a job that is not over:" in page
    assert f'<a href="{reverse("retries:job_detail", args=[other.pk])}">retry job {other.short_id}</a>' in page
    panel = f"{reverse('retries:retry_panel', args=[etl.mirrored().pk])}?again={done.pk}"
    assert panel in page
    assert "Retry 1 index of work" in as_user(operator).get(panel).content.decode()


def test_what_failed_again_is_retried_from_the_report_exactly(done, etl, jobs, as_user, operator):
    task = etl.mirrored()
    url = f"{reverse('retries:retry_panel', args=[task.pk])}?again={done.pk}"
    page = as_user(operator).get(url).content.decode()
    assert "Retry 2 indices of work" in page
    hidden = {name: page.split(f'name="{name}" value="')[1].split('"')[0] for name in ("idempotency_key", "plan_token")}
    answer = as_user(operator).post(url, hidden | {"reason": "again"})
    assert answer.status_code == 302
    again = RetryJob.objects.exclude(pk=done.pk).get()
    assert [item.map_index for item in selectors.items(again)] == [0, 1]
    assert jobs.counts(jobs.to_the_end(again)) == {"recovered": 2}


def test_again_of_a_job_without_such_failures_widens_nothing(etl, jobs, as_user, operator):
    task = etl.stage(3, failed=range(3))
    job = jobs.to_the_end(jobs.request(task))
    url = f"{reverse('retries:retry_panel', args=[task.pk])}?again="
    assert as_user(operator).get(f"{url}{job.pk}").status_code == 422
    assert as_user(operator).get(f"{url}nonsense").status_code == 400


def test_a_cancelled_job_reports_what_was_never_sent(etl, jobs, operator, as_user, viewer):
    job = jobs.request(etl.stage(3, failed=range(3)))
    cancel_job(user=operator, job=job)
    jobs.work()
    report = as_user(viewer).get(reverse("api:retry-job-report", args=[job.pk])).json()
    assert report["sentence"] == "0 retried, 0 recovered, 3 not sent."
    assert report["reasons"] == [{"state": "cancelled", "why": "Cancelled by olga.", "count": 3}]


def test_the_export_of_many_is_a_stream(etl, jobs, as_user, viewer):
    job = jobs.request(etl.stage(2_500, failed=range(2_500)))
    answer = as_user(viewer).get(reverse("api:retry-job-export", args=[job.pk]), {"format": "jsonl"})
    assert answer.streaming
    assert sum(1 for _ in b"".join(answer.streaming_content).splitlines()) == 2_500


# ── How far, how fast, how long ──────────────────────────────────────────────────────────────────────────────────
def progress(slices, *, left: int = 100, seconds: float = 100, moving: bool = True, soonest: float = 0) -> Progress:
    return Progress.of(total=1_000, open_items=left, slices=slices, seconds=seconds, moving=moving, soonest=soonest)


def test_a_steady_pace_gives_bounds_around_the_plain_guess():
    found = progress([10] * 10)
    assert (found.done, found.per_minute) == (900, 60)
    assert found.eta.low < 100 < found.eta.high < 160


def test_bursts_give_wider_bounds_and_few_results_none():
    assert progress([0, 0, 0, 0, 60, 0, 0, 0, 60, 0]).eta is None
    steady, uneven = progress([12] * 10).eta, progress([18, 6] * 5).eta
    assert uneven.high - uneven.low > steady.high - steady.low
    assert progress([0] * 9 + [2]).eta is None


def test_what_waits_for_a_person_has_no_end_in_sight_and_a_pace_no_early_one():
    assert progress([10] * 10, moving=False).eta is None
    assert progress([10] * 10, soonest=900).eta.low == 900
    assert progress([0] * 10).per_minute is None
    assert progress([10] * 10, left=0).eta is None


def test_the_page_gives_an_eta_only_when_results_tell(etl, jobs, as_user, viewer):
    job = jobs.request(etl.stage(4, failed=range(4)), policy=Policy(chunk_size=1))
    assert "to go" not in page_of(as_user(viewer), job)
