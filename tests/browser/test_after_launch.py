"""After a launch: expected targets, stop, final check, retry of what failed, roll back, history; at both widths."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import Group, User
from django.utils import timezone
from playwright.sync_api import expect

from panel.launches.models import Launch, LaunchStop
from panel.launches.services import request_launch
from panel.launches.stop_sending import stop_run
from panel.launches.watching import follow_mirror
from panel.mirror.models import DagRun
from panel.mirror.services import sync_run
from tests.browser.test_every_page import BOTH_WIDTHS, check, settled
from tests.browser.test_launch import REGIONS, rollout, sync_targets, what_the_worker_does
from tests.fakes.airflow import Fatal

__all__ = ["rollout"]


def launched(user, server, **params) -> Launch:
    given = {"version": "1.4.2", "env": "prod"} | params
    launch = request_launch(user=user, server=server, dag_id="rollout", params=given, note="release train").launch
    what_the_worker_does(launch)
    launch.refresh_from_db()
    return launch


def ran(launch, fake_airflow, failing=()) -> Launch:
    """It runs to its end, and a worker has seen it."""
    fake_airflow.expand("rollout", launch.dag_run_id, "deploy_region", 4, labels=REGIONS)

    def decide(row):
        if row.task_id == "deploy_region":
            row.label = REGIONS[row.map_index]
            if row.label in failing:
                raise Fatal("TimeoutError", "the health check of eu-west-1 gave no answer within 300 s")

    fake_airflow.run_queued(decide)
    seen()
    launch.refresh_from_db()
    return launch


def seen() -> None:
    for run in DagRun.objects.all():
        sync_run(run_pk=run.pk)
    sync_targets()
    follow_mirror(now=timezone.now())


@BOTH_WIDTHS
def test_a_run_is_watched_stopped_and_says_who_did_it(screen, opened, olga, server, rollout, fake_airflow):
    ran(launched(olga, server, version="1.4.1"), fake_airflow)
    launch = launched(olga, server)
    page = opened(olga, f"/launches/{launch.pk}/", screen)
    expect(page.get_by_text("Expected, not known yet.")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="eu-west-1 expected")).to_be_visible()
    check(settled(page), screen)

    fake_airflow.expand("rollout", launch.dag_run_id, "deploy_region", 4, labels=REGIONS)
    fake_airflow.finish("rollout", launch.dag_run_id, "deploy_region", 0, label=REGIONS[0])
    fake_airflow.start("rollout", launch.dag_run_id, "deploy_region", 1)
    fake_airflow.world.runs["rollout", launch.dag_run_id].state = "running"
    seen()
    expect(page.get_by_text("Expected, not known yet.")).to_have_count(0)  # without a reload
    expect(page.get_by_role("rowheader", name="eu-west-1")).to_be_visible()

    page.get_by_role("link", name="Stop this run…").click()
    expect(page.get_by_text("Airflow marks the run as failed")).to_be_visible()
    expect(page.get_by_text("also the 1 that has ended well")).to_be_visible()
    check(settled(page), screen)
    page.get_by_role("button", name="Stop this run").click()
    expect(page.get_by_text("Say why.")).to_be_visible()
    check(settled(page), screen)
    page.get_by_label("Reason").fill("wrong version")
    page.get_by_role("button", name="Stop this run").click()
    expect(page.get_by_text("Being stopped by olga")).to_be_visible()
    check(settled(page), screen)
    stop_run(stop_id=LaunchStop.objects.get().pk)
    seen()
    expect(page.get_by_text("Stopped by olga")).to_be_visible()  # without a reload
    expect(page.get_by_text("1 of 4 targets had succeeded when olga stopped it.")).to_be_visible()
    check(settled(page), screen)
    assert fake_airflow.world.runs["rollout", launch.dag_run_id].state == "failed"


@BOTH_WIDTHS
def test_what_failed_is_retried_from_the_final_check_or_rolled_back(
    screen, opened, olga, server, rollout, fake_airflow
):
    ran(launched(olga, server, version="1.4.1"), fake_airflow)
    launch = ran(launched(olga, server), fake_airflow, failing=["eu-west-1"])
    page = opened(olga, f"/launches/{launch.pk}/", screen)
    sentence = "rollout 1.4.2 to prod: 3 of 4 targets succeeded, eu-west-1 failed (TimeoutError)."
    expect(page.get_by_text(sentence)).to_be_visible()
    check(settled(page), screen)
    page.get_by_role("region", name="Final check").get_by_role("link", name="Retry the failed one…").click()
    expect(page.get_by_role("heading", name="Retry 1 index of deploy_region")).to_be_visible()
    check(settled(page), screen)

    page.goto(f"/launches/{launch.pk}/")
    page.get_by_role("link", name="Roll back…").click()
    expect(page.get_by_text("Rolling back env")).to_be_visible()
    expect(page.get_by_label("Version")).to_have_value("1.4.1")
    check(settled(page), screen)
    page.get_by_role("button", name="Launch rollout").click()
    page.wait_for_url("**/launches/*/")
    assert Launch.objects.first().params["version"] == "1.4.1"


@BOTH_WIDTHS
def test_the_history_is_filtered_and_the_header_counts_what_waits(
    screen, opened, olga, anna, server, rollout, fake_airflow
):
    failed = ran(launched(olga, server), fake_airflow, failing=["eu-west-1"])
    waits = launched(olga, server, version="1.4.3")
    later = timezone.now() + timedelta(hours=3)
    Launch.objects.filter(pk=waits.pk).update(state="awaiting_approval", approval_hash="x", expires_at=later)
    dirk = User.objects.create_user("dirk")
    dirk.groups.set([Group.objects.get(name="deployer")])
    page = opened(dirk, "/launches/", screen)
    expect(page.get_by_role("link", name="Launches , 1 waits for your yes or no")).to_be_visible()
    check(settled(page), screen)
    page.get_by_text("More filters").click()
    page.get_by_label("success").check()
    page.get_by_label("In note or values").fill("VERSION=1.4")
    check(settled(page), screen)
    page.get_by_role("button", name="Filter").click()
    rows = page.get_by_role("region", name="Launches").get_by_role("rowheader")
    expect(rows).to_have_count(1)
    expect(rows.get_by_role("link")).to_have_attribute("href", f"/launches/{failed.pk}/")
    check(settled(page), screen)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert str(failed.pk) in download.value.path().read_text()
    check(opened(anna, "/launches/", screen), screen)  # who sees the audit trail has one more word in the header
    page.goto("/launches/?from=2026-11-22&to=2026-11-20")
    expect(page.get_by_text("The end lies before the beginning.").first).to_be_visible()
    check(settled(page), screen)
