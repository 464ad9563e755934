"""Asking for a retry: what the preview says, what is refused, and that one wish makes one job."""

from __future__ import annotations

import pytest

from panel.access.models import AuditEvent
from panel.domain.outcomes import Outcome
from panel.problems import Conflicting, Unprocessable
from panel.retries import selectors
from panel.retries.models import RetryItem, RetryJob
from panel.retries.policies import Policy
from panel.retries.services import cancel_job, pause_job, resume_job

pytestmark = pytest.mark.django_db


def left_out(preview) -> dict[str, str]:
    return {group.why: str(group.indices) for group in preview.plan.left_out}


def test_a_preview_says_what_would_happen_and_changes_nothing(etl, jobs):
    task = etl.stage(6, failed=[1, 4], soft=[2])
    preview = jobs.preview(task)
    assert preview.plan.count == 3
    assert [str(one.indices) for one in preview.plan.tasks] == ["1-2,4"]
    assert preview.plan.downstream == ["report"]
    assert etl.cleared() == []
    assert not RetryJob.objects.exists()


def test_a_preview_reads_airflow_first(etl, jobs):
    task = etl.stage(3, failed=[0, 1])
    etl.fake.finish("etl", "r1", "work", 1, result={"id": 1})
    type(task).objects.update(synced_at=None)
    assert jobs.preview(task).plan.count == 1


def test_what_is_left_out_is_named_with_why(etl, jobs):
    etl.stage(8, failed=[0])
    fake = etl.fake
    fake.start("etl", "r1", "work", 1)
    fake.set_state("etl", "r1", "work", 2, "queued")
    fake.set_state("etl", "r1", "work", 3, "removed")
    fake.set_state("etl", "r1", "work", 4, "skipped")
    fake.set_state("etl", "r1", "work", 5, "up_for_retry")
    preview = jobs.preview(etl.mirrored(), indices="0-5,6,9-10")
    assert preview.plan.count == 1
    assert left_out(preview) == {
        "running now": "1",
        "has not run yet: it waits to start": "2",
        "removed: the map shrank": "3",
        "skipped by Airflow": "4",
        "waits for Airflow's own retry": "5",
        "succeeded": "6",
        "not in the map": "9-10",
    }


def test_an_open_end_asks_for_no_index_beyond_the_map(etl, jobs):
    task = etl.stage(3, failed=[2])
    assert jobs.preview(task, indices="2-").plan.left_out == []


def test_results_that_are_not_known_are_counted_and_named(etl, jobs):
    etl.stage(3, failed=[0])
    etl.fake.forbid("xcom")
    etl.fake.finish("etl", "r1", "work", 1, result={"id": 1, "status": "failed"})
    preview = jobs.preview(etl.mirrored(), indices="0-1")
    assert preview.plan.count == 1
    assert preview.plan.unread == 1
    assert any("not read" in warning for warning in preview.plan.warnings)
    assert any("its result is not read" in why for why in left_out(preview))


def test_the_same_key_and_wish_make_one_job(etl, jobs):
    task = etl.stage(3, failed=[0, 1])
    first = jobs.request(task, key="k1")
    assert jobs.request(task, key="k1") == first
    jobs.to_the_end(first)
    assert jobs.request(task, key="k1") == first
    assert RetryJob.objects.count() == 1
    assert etl.tries()[0] == 2


def test_the_same_key_for_another_wish_is_refused(etl, jobs):
    task = etl.stage(3, failed=[0, 1])
    jobs.request(task, key="k1")
    with pytest.raises(Conflicting):
        jobs.request(task, key="k1", reason="another reason")


def test_keys_belong_to_one_person(etl, jobs, admin):
    task = etl.stage(3, failed=[0, 1])
    jobs.request(task, key="k1", indices="0")
    other = jobs.request(task, key="k1", indices="1", user=admin)
    assert other.username == "anna"


def test_a_double_click_without_a_key_takes_each_index_once(etl, jobs):
    task = etl.stage(3, failed=[0, 1])
    job = jobs.request(task)
    with pytest.raises(Unprocessable, match=f"already in job {job.short_id}"):
        jobs.request(task)
    jobs.to_the_end(job)
    assert etl.tries() == {0: 2, 1: 2, 2: 1}


def test_overlapping_jobs_share_no_index(etl, jobs):
    task = etl.stage(5, failed=range(5))
    first = jobs.request(task, indices="0-2")
    second = jobs.request(task)
    assert [item.map_index for item in selectors.items(second)] == [3, 4]
    assert second.left_out[0]["indices"] == "0-2"
    jobs.to_the_end(first)
    jobs.to_the_end(second)
    assert etl.tries() == dict.fromkeys(range(5), 2)


def test_two_requests_at_the_same_moment_share_no_index(etl, jobs, monkeypatch):
    """The other job is stored between this one's plan and its rows: only the database can tell."""
    task = etl.stage(4, failed=range(4))
    from panel.retries import services

    plan, others = services.make_plan, []

    def plan_then_be_overtaken(*args):
        made = plan(*args)
        if not others:
            others.append(None)
            others[0] = jobs.request(task, indices="0-1")
        return made

    monkeypatch.setattr(services, "make_plan", plan_then_be_overtaken)
    job = jobs.request(task)
    assert [item.map_index for item in selectors.items(job)] == [2, 3]
    assert [item.map_index for item in selectors.items(others[0])] == [0, 1]


def test_an_index_can_be_retried_again_once_its_job_is_through_with_it(etl, jobs):
    task = etl.stage(2, failed=[0])

    def decide(row):
        raise KeyError("again")

    jobs.to_the_end(jobs.request(task), decide)
    job = jobs.request(etl.mirrored())
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 1}
    assert etl.tries()[0] == 3


def test_a_plan_token_ties_the_retry_to_what_was_shown(etl, jobs):
    task = etl.stage(4, failed=[0, 1, 2])
    token = jobs.preview(task).plan_token
    etl.fake.finish("etl", "r1", "work", 1, result={"id": 1})
    etl.fake.finish("etl", "r1", "work", 3, error=("KeyError", "x"))
    etl.mirrored()
    with pytest.raises(Conflicting) as refusal:
        jobs.request(task, plan_token=token)
    assert refusal.value.fields == {"removed": ["work: 1"], "added": ["work: 3"]}
    assert not RetryJob.objects.exists()
    job = jobs.request(task, plan_token=jobs.preview(task).plan_token)
    assert job.total == 3


def test_the_same_indices_after_another_try_are_not_what_was_shown(etl, jobs):
    task = etl.stage(2, failed=[0])
    token = jobs.preview(task).plan_token
    etl.fake.finish("etl", "r1", "work", 0, error=("KeyError", "again"))
    etl.mirrored()
    with pytest.raises(Conflicting, match="ran again"):
        jobs.request(task, plan_token=token)


def test_a_token_is_no_ones_but_the_viewers_and_cannot_be_made_up(etl, jobs, admin):
    task = etl.stage(2, failed=[0])
    token = jobs.preview(task).plan_token
    for given, user in ((token, admin), (token + "x", jobs.user), ("nonsense", jobs.user)):
        with pytest.raises(Unprocessable) as refusal:
            jobs.request(task, plan_token=given, user=user)
        assert "plan_token" in refusal.value.fields


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (Policy(chunk_size=0), "chunk_size"),
        (Policy(chunk_size=501), "chunk_size"),
        (Policy(chunks_per_minute=0), "chunks_per_minute"),
        (Policy(canary=0), "canary"),
        (Policy(canary=2, canary_max_failure_rate=1.2), "canary_max_failure_rate"),
        (Policy(canary_max_failure_rate=0.5), "canary_max_failure_rate"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(etl, jobs, policy, field):
    task = etl.stage(2, failed=[0])
    with pytest.raises(Unprocessable) as refusal:
        jobs.request(task, policy=policy)
    assert field in refusal.value.fields


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 501])
def test_a_reason_is_required_and_short(etl, jobs, reason):
    task = etl.stage(2, failed=[0])
    with pytest.raises(Unprocessable) as refusal:
        jobs.request(task, reason=reason)
    assert "reason" in refusal.value.fields


def test_an_empty_selection_is_refused(etl, jobs):
    from panel.domain.selection import Selection
    from panel.retries.asks import Ask
    from panel.retries.services import preview_retry

    task = etl.stage(2, failed=[0])
    with pytest.raises(Unprocessable, match="every index"):
        preview_retry(user=jobs.user, ask=Ask((task.pk,), Selection()))


def test_a_selection_that_leaves_nothing_is_refused_with_why(etl, jobs):
    task = etl.stage(2)
    with pytest.raises(Unprocessable, match=r"nothing to retry.*1 succeeded \(0\)"):
        jobs.request(task, indices="0")
    with pytest.raises(Unprocessable, match="nothing to retry"):
        jobs.request(task, outcomes=[Outcome.HARD_FAILURE])


def test_the_worker_is_woken_once_the_job_is_stored(etl, jobs, woken, django_capture_on_commit_callbacks):
    task = etl.stage(2, failed=[0])
    with django_capture_on_commit_callbacks(execute=True):
        job = jobs.request(task)
    assert ("retries.run_job", (str(job.pk),)) in woken


def test_every_change_leaves_an_audit_row(etl, jobs, operator):
    task = etl.stage(2, failed=[0])
    job = jobs.request(task)
    pause_job(user=operator, job=job)
    resume_job(user=operator, job=job)
    cancel_job(user=operator, job=job)
    events = AuditEvent.objects.filter(target_id=str(job.pk)).order_by("pk")
    assert [event.action for event in events] == [
        "retries.request", "retries.pause", "retries.resume", "retries.cancel",
    ]  # fmt: skip
    assert {(event.username, event.server_slug) for event in events} == {("olga", "prod")}
    assert events[0].detail["reason"] == "warehouse was read-only"


def test_what_is_over_cannot_be_paused_resumed_or_cancelled(etl, jobs, operator):
    task = etl.stage(2, failed=[0])
    job = jobs.to_the_end(jobs.request(task))
    for change in (pause_job, resume_job, cancel_job):
        with pytest.raises(Conflicting, match="the job is done"):
            change(user=operator, job=job)


def test_an_index_is_in_one_unfinished_job_by_the_databases_own_word(etl, jobs):
    from django.db import IntegrityError, transaction

    task = etl.stage(2, failed=[0])
    item = selectors.items(jobs.request(task)).get()
    other = jobs.request(etl.stage(2, failed=[0], run_id="r2"))
    with pytest.raises(IntegrityError), transaction.atomic():
        RetryItem.objects.filter(job=other).update(mapped_task_id=item.mapped_task_id)
