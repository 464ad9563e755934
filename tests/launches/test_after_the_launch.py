"""The page of a launch before, while and after it runs: expected targets, what happened, the final check, the link."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from panel.launches.approvals import reject_launch
from panel.launches.board import board_of
from panel.launches.final_check import final_check
from panel.launches.models import DagForm, Launch
from panel.launches.services import cancel_launch
from panel.launches.stop_sending import stop_run
from panel.launches.stopping import request_stop
from panel.launches.timeline import timeline_of
from panel.launches.watching import follow_mirror, mirror_run
from panel.mirror.models import Dag, DagRun, MappedTask
from panel.mirror.services import sync_mapped_task, sync_run
from panel.retries.models import RetryJob, RetryRun, RetryTarget
from tests.fakes.airflow import Fatal

pytestmark = pytest.mark.django_db
REGIONS = ["us-east-1", "eu-west-3", "ap-1"]


def refresh():
    for mapped_task in MappedTask.objects.all():
        sync_mapped_task(mapped_task_id=mapped_task.pk, full=True)


def text_of(response):
    return " ".join(response.content.decode().split())


def fresh(launch) -> Launch:
    return Launch.objects.select_related("server").get(pk=launch.pk)


@pytest.fixture
def done(launched, submitted, fake_airflow):
    """``done(failing={"eu-west-3": ("TimeoutError", "…")}, env="prod")``: a launch that ran to its end, mirrored."""

    def run(*, labels=REGIONS, failing=None, soft=(), **params):
        failing = failing or {}
        launch = submitted(launched(**params))
        fake_airflow.expand("deploy", launch.dag_run_id, "deploy_region", len(labels), labels=labels)

        def decide(row):
            if row.task_id != "deploy_region":
                return None
            row.label = labels[row.map_index]
            if row.label in failing:
                raise Fatal(*failing[row.label])
            return {"status": "failed", "error": "sick"} if row.label in soft else {"status": "ok"}

        fake_airflow.run_queued(decide)
        mirror_run(launch_id=launch.pk)
        refresh()
        follow_mirror(now=timezone.now())
        return fresh(launch)

    return run


@pytest.fixture
def regions(deploy_dag):
    """The Dag also has a param that lists its targets."""
    deploy_dag.params["regions"] = {"value": REGIONS, "schema": {"type": "array"}, "description": None}


# ── Before the targets exist ─────────────────────────────────────────────────────────────────────────────────────
def expected(launch):
    found = board_of(fresh(launch)).expected
    return [task.labels for task in found.tasks] if found else None


def test_while_it_waits_the_targets_of_the_run_before_are_expected(done, launched, viewer, as_user):
    done(labels=["<b>us</b>", "eu-west-3"])
    launch = launched(version="2")
    assert expected(launch) == [["<b>us</b>", "eu-west-3"]]
    page = text_of(as_user(viewer).get(f"/launches/{launch.pk}/"))
    assert "Expected, not known yet." in page
    assert "&lt;b&gt;us&lt;/b&gt;" in page


def test_a_param_that_lists_the_targets_chooses_among_them(regions, done, launched):
    done()
    assert expected(launched(regions=["ap-1", "us-east-1"])) == [["us-east-1", "ap-1"]]
    found = board_of(fresh(launched(regions=["ap-1", "sa-1"]))).expected.tasks[0]
    assert (found.labels, found.listed_by, found.new) == (["ap-1"], "regions", ["sa-1"])


def test_a_list_that_names_no_targets_chooses_none(deploy_dag, done, launched):
    deploy_dag.params["checks"] = {"value": ["smoke"], "schema": {"type": "array"}, "description": None}
    done()
    assert expected(launched(checks=["load"])) == [REGIONS]


def test_a_param_that_is_or_may_be_secret_is_not_told_as_the_list_of_targets(regions, done, launched, viewer, as_user):
    done()
    launch = launched(regions=["ap-1", "hidden-place"])
    Launch.objects.filter(pk=launch.pk).update(secret_params=["regions"])
    assert "hidden-place" not in as_user(viewer).get(f"/launches/{launch.pk}/").content.decode()


def test_a_run_to_another_place_says_nothing_about_this_one(done, launched):
    done(env="staging", labels=["lab"])
    assert expected(launched(env="prod")) is None
    done(env="prod")
    done(env="staging", labels=["lab"])
    assert expected(launched(env="prod")) == [REGIONS]


@pytest.mark.parametrize("labels", [["0", "1"], ["same", "same"]])
def test_without_labels_of_their_own_nothing_is_expected(labels, done, launched):
    done(labels=labels)
    assert expected(launched()) is None


def test_a_first_run_has_nothing_to_expect(launched, viewer, as_user):
    launch = launched()
    assert expected(launch) is None
    assert "Expected, not known yet." not in text_of(as_user(viewer).get(f"/launches/{launch.pk}/"))


def test_the_real_targets_take_their_place_without_a_reload(done, launched, submitted, viewer, as_user, fake_airflow):
    done()
    launch = submitted(launched(version="2"))
    mirror_run(launch_id=launch.pk)
    client = as_user(viewer)
    page = text_of(client.get(f"/launches/{launch.pk}/"))
    assert page.count('class="muted small">expected</span>') == 3
    version = board_of(fresh(launch)).version
    fake_airflow.expand("deploy", launch.dag_run_id, "deploy_region", 2, labels=["a", "b"])
    refresh()
    answer = text_of(client.get(f"/launches/{launch.pk}/?v={version}", headers={"HX-Request": "true"}))
    assert answer.count('<th scope="row">') == 2
    assert "expected</span>" not in answer


def test_what_is_over_expects_nothing(done, launched, deployer):
    done()
    launch = launched()
    cancel_launch(user=deployer, launch=launch)
    assert expected(launch) is None


def test_the_limits_that_are_known_are_said(done, launched, viewer, as_user, fake_airflow):
    before = done()
    moments = [(0, 10), (5, 20), (10, 12)]
    task = MappedTask.objects.get(run__run_id=before.dag_run_id)
    start = timezone.now()
    for row, (begin, end) in zip(task.instances.order_by("map_index"), moments, strict=True):
        row.start_date, row.end_date = (start + timedelta(seconds=moment) for moment in (begin, end))
        row.save()
    dag = Dag.objects.get()
    dag.tasks = [known | {"pool": "deploys"} for known in dag.tasks]
    dag.save()
    page = text_of(as_user(viewer).get(f"/launches/{launched().pk}/"))
    assert "In the run before at most 2 ran at once." in page
    assert "They take slots of the pool deploys." in page
    assert "The Dag lets at most 16 tasks of a run be at work at once." in page
    DagForm.objects.update(max_active_tasks=None)  # as read before Mapboard kept it
    assert "The Dag lets at most" not in text_of(as_user(viewer).get(f"/launches/{Launch.objects.first().pk}/"))


# ── What happened ────────────────────────────────────────────────────────────────────────────────────────────────
def texts(launch):
    return [step.text for step in timeline_of(board_of(fresh(launch)))]


def test_each_step_stands_there_newest_last(done, deployer):
    launch = done()
    steps = timeline_of(board_of(launch))
    assert [step.text for step in steps] == [
        "dora asked for it",
        "Sent to Airflow",
        "Airflow took it; the run waits in its queue",
        "The run started",
        "The run ended: success",
    ]
    assert steps[0].comment == "why"
    assert [step.at for step in steps] == sorted(step.at for step in steps)


def test_a_retry_of_its_targets_is_a_step_that_leads_to_the_job(done, server, operator, viewer, as_user):
    launch = done(failing={"eu-west-3": ("TimeoutError", "late")})
    task = MappedTask.objects.get()
    job = RetryJob.objects.create(server=server, user=operator, username="olga", reason="<i>again</i>", body_hash="x")
    run = RetryRun.objects.create(job=job, position=0, dag_id="deploy", run_id=launch.dag_run_id)
    RetryTarget.objects.create(run=run, position=0, task_id="deploy_region", mapped_task_id=task.pk)
    page = text_of(as_user(viewer).get(f"/launches/{launch.pk}/"))
    assert f'href="/retry-jobs/{job.pk}/">olga asked for a retry of its targets: job {job.short_id}</a>' in page
    assert "&lt;i&gt;again&lt;/i&gt;" in page


def test_stops_rejections_and_cancellations_are_steps(launched, deployer, person):
    cancelled = launched()
    cancel_launch(user=deployer, launch=cancelled)
    assert texts(cancelled) == ["dora asked for it", "Cancelled by dora before anything was sent."]
    rejected = launched()
    Launch.objects.filter(pk=rejected.pk).update(
        state="awaiting_approval", approval_hash="x", expires_at=timezone.now() + timedelta(hours=1)
    )
    reject_launch(user=person("dirk", "deployer"), launch=fresh(rejected), comment="not today")
    assert texts(rejected) == ["dora asked for it", "dirk rejected it"]
    running = launched()
    Launch.objects.filter(pk=running.pk).update(state="running", sent_at=timezone.now())
    request_stop(user=deployer, launch=fresh(running), reason="wrong")
    assert texts(running)[-1] == "dora asked to stop it"


# ── The final check ──────────────────────────────────────────────────────────────────────────────────────────────
def sentence(launch):
    found = final_check(board_of(fresh(launch)))
    return found.sentence if found else None


def test_one_sentence_says_what_came_of_it(regions, done):
    launch = done(env="prod", failing={"eu-west-3": ("TimeoutError", "late")}, regions=REGIONS)
    assert sentence(launch) == "deploy 1.2.3 to prod: 2 of 3 regions succeeded, eu-west-3 failed (TimeoutError)."


def test_all_well_is_said_shortly(done):
    assert sentence(done(env="prod")) == "deploy 1.2.3 to prod: all 3 targets succeeded."


def test_a_soft_failure_is_a_failure(done):
    assert sentence(done(soft=["ap-1"])).endswith("2 of 3 targets succeeded, ap-1 failed.")


def test_of_many_failures_some_are_named(done):
    labels = [f"r{number}" for number in range(9)]
    launch = done(labels=labels, failing=dict.fromkeys(labels[:8], ("E", "x")))
    assert "1 of 9 targets succeeded, r0 failed (E), " in sentence(launch)
    assert "and 3 more failed" in sentence(launch)


def test_while_it_runs_there_is_none(launched, submitted):
    assert sentence(submitted(launched())) is None


@pytest.fixture
def stopped(launched, submitted, deployer, fake_airflow):
    """us-east-1 was done, eu-west-3 had failed and ap-1 ran when it was stopped."""
    launch = submitted(launched(env="prod"))
    place = ("deploy", launch.dag_run_id, "deploy_region")
    fake_airflow.expand(*place, 3, labels=REGIONS)
    fake_airflow.finish(*place, 0, result={"status": "ok"}, label=REGIONS[0])
    fake_airflow.finish(*place, 1, error=("TimeoutError", "late"), label=REGIONS[1])
    fake_airflow.start(*place, 2)
    mirror_run(launch_id=launch.pk)
    refresh()
    stop_run(stop_id=request_stop(user=deployer, launch=fresh(launch), reason="wrong").stop.pk)
    refresh()
    follow_mirror(now=timezone.now())
    return fresh(launch)


def test_a_stopped_run_says_what_had_succeeded_and_leaves_that_out_of_the_retry(
    stopped, operator, as_user, fake_airflow
):
    assert set(fake_airflow.states("deploy", stopped.dag_run_id, "deploy_region").values()) == {"failed"}
    said = "deploy 1.2.3 to prod: 1 of 3 targets had succeeded when dora stopped it, eu-west-3 failed (TimeoutError)."
    assert sentence(stopped) == said
    client = as_user(operator)
    page = text_of(client.get(f"/launches/{stopped.pk}/"))
    assert "1 target that had succeeded shows as failed" in page
    href = re.search(r'id="final-retry-[^>]* href="([^"]+)"', page)[1].replace("&amp;", "&")
    assert "Retry 2 indices of deploy_region" in text_of(client.get(href))


def test_once_a_stopped_run_was_retried_its_own_end_counts(stopped, fake_airflow):
    fake_airflow.world.runs["deploy", stopped.dag_run_id].state = "queued"
    for index in range(3):
        fake_airflow.finish("deploy", stopped.dag_run_id, "deploy_region", index, result={"status": "ok"})
    fake_airflow.finish_run("deploy", stopped.dag_run_id)
    Launch.objects.update(watched_at=None)
    for run in DagRun.objects.all():
        sync_run(run_pk=run.pk)
    refresh()
    follow_mirror(now=timezone.now())
    assert sentence(stopped) == "deploy 1.2.3 to prod: all 3 targets succeeded."


def test_a_secret_version_is_not_in_it(done):
    launch = done(env="prod")
    Launch.objects.filter(pk=launch.pk).update(secret_params=["version", "env"])
    assert sentence(launch) == "deploy: all 3 targets succeeded."


def test_the_page_lists_what_failed_and_leads_to_the_retry_of_exactly_those(done, person, viewer, as_user):
    launch = done(failing={"eu-west-3": ("TimeoutError", "<late>")})
    both = person("olga", "operator")
    page = text_of(as_user(both).get(f"/launches/{launch.pk}/"))
    task = MappedTask.objects.get()
    href = re.search(rf'id="final-retry-{task.pk}"[^>]* href="([^"]+)"', page)[1].replace("&amp;", "&")
    assert "TimeoutError: &lt;late&gt;" in page
    assert "Retry 1 index of deploy_region" in text_of(as_user(both).get(href))
    assert "final-retry" not in text_of(as_user(viewer).get(f"/launches/{launch.pk}/"))


# ── The link ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_who_why_and_a_link_to_share_stand_on_top(launched, viewer, as_user, settings):
    launch = launched()
    page = text_of(as_user(viewer).get(f"/launches/{launch.pk}/"))
    assert f'data-copy="http://testserver/launches/{launch.pk}/"' in page
    assert page.index("by <strong>dora</strong>") < page.index('id="launch-state"')
    settings.MAPBOARD_URL = "https://mapboard.example.com"
    page = text_of(as_user(viewer).get(f"/launches/{launch.pk}/"))
    assert f'data-copy="https://mapboard.example.com/launches/{launch.pk}/"' in page
