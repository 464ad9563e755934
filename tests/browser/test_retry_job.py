"""The page of a retry job in a real browser: running, paused, done, failed; 12 indices and 10,000; very long errors."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from panel.clock import database_now
from panel.mirror.models import MappedTask
from panel.retries.models import RetryChunk, RetryItem, RetryJob, RetryRun, RetryTarget
from panel.retries.states import ChunkKind, ChunkState, ItemState, JobState
from tests.browser.conftest import BUSY, DESKTOP, PHONE
from tests.browser.test_every_page import BOTH_WIDTHS, SMALL_TARGETS, TARGETS, serious

LONG = "could not read s3://bucket/" + "a-very-long-key-without-any-place-to-break/" * 12 + " <script>alert(1)</script>"
STATES = {
    "running": JobState.RUNNING,
    "paused": JobState.PAUSED,
    "watching": JobState.WATCHING,
    "done": JobState.DONE,
    "failed": JobState.FAILED,
    "many": JobState.WATCHING,
}


def job_in(state: JobState, task: MappedTask, count: int) -> RetryJob:
    """A job of so many indices with items in every state that it can have then."""
    over = state in {JobState.DONE, JobState.FAILED}
    now = database_now()
    job = RetryJob.objects.create(
        server=task.run.dag.server,
        username="olga",
        reason="the warehouse was read-only until 02:10, see the incident " + "x" * 120,
        state=state,
        state_reason={
            JobState.PAUSED: "2 of the first 5 failed again, more than 20%. Resume to retry the rest anyway.",
            JobState.FAILED: f"Nothing could be sent. {LONG}",
        }.get(state, ""),
        total=count,
        chunk_size=200,
        started_at=now - timedelta(minutes=4),
        finished_at=now if over else None,
        next_at=None if over else now + timedelta(seconds=20),
        left_out=[{"why": "running now", "task_id": task.task_id, "count": 3, "indices": "3,7,900"}],
    )
    happened = "maria marked the run as failed by hand in Airflow: what ran was stopped, what waited was skipped."
    run = RetryRun.objects.create(
        job=job,
        position=0,
        dag_id=task.run.dag.dag_id,
        run_id=task.run.run_id,
        downstream=["summarize_run"],
        happened=happened if state == JobState.DONE else "",
        hindrance="The Dag is paused in Airflow: nothing runs until somebody unpauses it." if count > 100 else "",
    )
    target = RetryTarget.objects.create(run=run, position=0, task_id=task.task_id, mapped_task_id=task.pk)
    RetryChunk.objects.create(
        run=run, kind=ChunkKind.ITEMS, state=ChunkState.SENT, resets_run=True, instances=count, unsure_until=now
    )
    RetryItem.objects.bulk_create(_item(job, target, index, count, over=over) for index in range(count))
    return job


def _item(job: RetryJob, target: RetryTarget, index: int, count: int, *, over: bool) -> RetryItem:
    place = index * 12 // count
    state = [
        ItemState.RECOVERED, ItemState.RECOVERED, ItemState.RECOVERED, ItemState.FAILED_AGAIN, ItemState.FAILED_AGAIN,
        ItemState.SKIPPED, ItemState.RECOVERED, ItemState.RECOVERED, ItemState.LOST,
        ItemState.RECOVERED if over else ItemState.SENT, ItemState.RECOVERED if over else ItemState.SENT,
        ItemState.CANCELLED if over else ItemState.PENDING,
    ][place]  # fmt: skip
    if job.state == JobState.FAILED:
        state = ItemState.REFUSED
    again = state == ItemState.FAILED_AGAIN
    sent = state not in {ItemState.PENDING, ItemState.CANCELLED, ItemState.REFUSED, ItemState.SKIPPED}
    ago = timezone.now() - timedelta(seconds=200 - 190 * index / count)
    settled = state not in {ItemState.PENDING, ItemState.SENT}
    return RetryItem(
        job=job,
        target=target,
        mapped_task_id=target.mapped_task_id,
        map_index=index,
        label=f"us-east-1/customer-{index:05d}/orders/2026/11/22/part-{index:04d}.parquet",
        state=state,
        why={ItemState.SKIPPED: "running meanwhile", ItemState.LOST: "Airflow no longer has it"}.get(state, ""),
        ti_id=str(index),
        try_number=1,
        new_try_number=2 if settled and sent else None,
        outcome_before="hard_failure",
        outcome="hard_failure" if again else "success" if state == ItemState.RECOVERED else "",
        error_type=("KeyError" if index % 2 else "airflow.sdk.exceptions.AirflowRuntimeError") if again else "",
        error_message=(f"customer_{index}" if index % 2 else LONG) if again else "",
        same_error=bool(index % 2) if again else None,
        sent_at=timezone.now() - timedelta(seconds=220) if sent else None,
        settled_at=ago if settled else None,
    )


@BOTH_WIDTHS
@pytest.mark.parametrize("name", STATES)
def test_it_fits_and_reads_well(opened, olga, task, screen, name):
    olga.email = "olga@example.com"
    olga.save()
    job = job_in(STATES[name], task, 10_000 if name == "many" else 12)
    page = opened(olga, f"/retry-jobs/{job.pk}/", screen=screen)
    expect(page.locator("h1")).to_be_visible()
    assert serious(page) == []
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= screen.width
    if screen.is_phone:
        assert page.evaluate(SMALL_TARGETS, TARGETS) == []


@BOTH_WIDTHS
def test_the_help_fits_and_reads_well(opened, olga, screen):
    page = opened(olga, "/retry-jobs/help/", screen=screen)
    expect(page.get_by_role("heading", name="When it stands still")).to_be_visible()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= screen.width


def test_it_lives_without_jumping_and_ends_as_a_report(opened, olga, task):
    job = job_in(JobState.WATCHING, task, 12)
    page = opened(olga, f"/retry-jobs/{job.pk}/")
    expect(page.locator("#job-outlook")).to_contain_text("Waits for the results of 2 indices")
    items = RetryItem.objects.filter(job=job)
    items.filter(state=ItemState.PENDING).update(state=ItemState.CANCELLED, why="Cancelled by olga.")
    items.filter(state=ItemState.SENT).update(state=ItemState.RECOVERED, outcome="success", settled_at=timezone.now())
    RetryJob.objects.filter(pk=job.pk).update(state=JobState.DONE, finished_at=timezone.now(), version=2)
    expect(page.locator("#job-sentence")).to_contain_text("10 retried, 7 recovered, 2 failed again", timeout=10_000)
    expect(page.locator("#job-outlook")).to_have_count(0)
    expect(page.locator(BUSY)).to_have_count(0)
    assert page.locator("[data-poll]").count() == 0
    expect(page.get_by_role("link", name="Retry the 2 that failed again")).to_be_visible()


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_what_failed_again_is_one_tap_from_the_report(opened, olga, task, screen):
    job = job_in(JobState.DONE, task, 12)
    RetryItem.objects.filter(job=job).exclude(map_index__in=[3, 17]).filter(state=ItemState.FAILED_AGAIN).update(
        state=ItemState.RECOVERED
    )
    page = opened(olga, f"/retry-jobs/{job.pk}/", screen=screen)
    page.get_by_role("link", name="Retry the 1 that failed again").click()
    expect(page.locator("#retry-heading")).to_contain_text("Retry 1 index of process_file")
