"""Marking by hand in bulk: what may be marked, what Airflow runs again by itself, through losses and kills."""

from __future__ import annotations

import pytest
from httpx import ReadTimeout

from panel.access.models import AuditEvent
from panel.domain.outcomes import Outcome
from panel.mirror.models import Instance
from panel.problems import Conflicting, Unprocessable
from panel.retries import selectors
from panel.retries.policies import Policy
from panel.retries.report import closing_sentence
from panel.retries.services import cancel_job
from panel.retries.states import Action
from tests.fakes.airflow import Task
from tests.retries.conftest import Killed, pass_time

pytestmark = pytest.mark.django_db

SUCCESS, FAILED, SKIPPED = Action.MARK_SUCCESS, Action.MARK_FAILED, Action.MARK_SKIPPED
ALL = "0-"


def lose() -> None:
    raise ReadTimeout("lost on the wire")


def die() -> None:
    raise Killed


def marks(etl) -> list[list[int]]:
    """The indices of every mark that Airflow got, request by request."""
    return [[entity["map_index"] for entity in one.body["actions"][0]["entities"]] for one in etl.fake.calls("PATCH")]


def done(jobs, job):
    """The worker does all there is to do; Airflow itself stands still."""
    for _ in range(10):
        jobs.work()
        if selectors.job(job.pk).finished_at is not None:
            return selectors.job(job.pk)
        pass_time(100)
    raise AssertionError(f"the job did not end: {selectors.counts(job)} {selectors.job(job.pk).state_reason}")


@pytest.mark.parametrize(
    ("action", "state", "outcome"),
    [(SUCCESS, "success", "success"), (SKIPPED, "skipped", "skipped")],
)
def test_failed_indices_are_marked_in_one_request_and_nothing_of_them_runs(etl, jobs, action, state, outcome):
    task = etl.stage(5, failed=[1, 3])
    job = done(jobs, jobs.request(task, action=action, outcomes=[Outcome.HARD_FAILURE]))
    assert etl.states() == {0: "success", 1: state, 2: "success", 3: state, 4: "success"}
    assert set(etl.tries().values()) == {1}
    assert marks(etl) == [[1, 3]]
    assert etl.cleared() == []
    assert jobs.counts(job) == {"recovered": 2}
    assert closing_sentence(job) == f"2 marked as {state}."
    # The page of the task shows it at once.
    assert list(Instance.objects.filter(map_index__in=[1, 3]).values_list("outcome", flat=True)) == [outcome] * 2


def test_the_note_and_the_audit_trail_say_who_and_why(etl, jobs, operator):
    task = etl.stage(2, failed=[1])
    job = done(jobs, jobs.request(task, action=SUCCESS, reason="loaded by hand"))
    assert etl.fake.instance("etl", "r1", "work", 1).note == (
        f"Mapboard mark as success {job.short_id} by {operator.username}: loaded by hand"
    )
    event = AuditEvent.objects.get(action="retries.request")
    assert (event.detail["action"], event.detail["reason"]) == ("mark_success", "loaded by hand")


def test_only_what_has_ended_is_marked(etl, jobs):
    """Airflow would end a running process only at its next heartbeat, and what waits may start at any moment."""
    etl.stage(8, failed=[0], finish=False)
    etl.fake.start("etl", "r1", "work", 1)
    for index, state in ((2, "queued"), (3, "removed"), (4, "up_for_retry"), (5, "deferred"), (6, None)):
        etl.fake.set_state("etl", "r1", "work", index, state)
    plan = jobs.preview(etl.mirrored(), action=FAILED, indices=ALL, include_settled=True).plan
    assert [str(one.indices) for one in plan.tasks] == ["7"]
    left_out = {str(group.indices): group.why for group in plan.left_out}
    assert left_out == {
        "0": "is failed already",
        "1,5": "running now",
        "2,6": "has not run yet: it waits to start",
        "3": "removed: the map shrank",
        "4": "waits for Airflow's own retry",
    }


def test_a_soft_failure_can_be_marked_as_failed_but_is_success_already(etl, jobs):
    task = etl.stage(3, soft=[1])
    left_out = jobs.preview(task, action=SUCCESS).plan.left_out
    assert [group.why for group in left_out] == [
        "Airflow has it as success already; only its result says that it failed"
    ]
    done(jobs, jobs.request(task, action=FAILED))
    assert etl.states() == {0: "success", 1: "failed", 2: "success"}


def test_what_succeeded_is_marked_only_when_that_is_said(etl, jobs):
    task = etl.stage(3)
    with pytest.raises(Unprocessable, match=r"There is nothing to mark\. Left out: 1 succeeded"):
        jobs.request(task, action=FAILED, indices="1")
    done(jobs, jobs.request(task, action=FAILED, indices="1", include_settled=True))
    assert etl.states()[1] == "failed"


def test_the_preview_names_what_airflow_runs_again_by_itself(etl, jobs):
    """Whatever one marks: Airflow clears what failed below, also of indices that nobody chose."""
    etl.fake.add_dag(
        "etl",
        tasks=[
            Task("work", is_mapped=True, downstream=["check"]),
            Task("check", is_mapped=True, downstream=["report"]),
            Task("report"),
        ],
    )
    etl.stage(3, failed=[1], finish=False)
    etl.fake.expand("etl", "r1", "check", 3)
    etl.fake.finish("etl", "r1", "check", 2, error=("KeyError", "x"))
    etl.fake.finish("etl", "r1", "report", state="upstream_failed")
    etl.fake.finish_run("etl", "r1", "failed")
    preview = jobs.preview(etl.mirrored(), action=SKIPPED)
    assert preview.plan.downstream == ["check", "report"]
    assert "2 instances (check: 2; report: the whole task)" in preview.plan.warnings[0]
    assert preview.estimate_seconds < 3
    job = jobs.request(etl.mirrored(), action=SKIPPED)
    jobs.work()
    assert etl.fake.world.runs["etl", "r1"].state == "queued"
    assert etl.cleared() == []  # by Airflow, not by us
    assert jobs.counts(job) == {"recovered": 1}


def test_of_two_tasks_the_lower_one_is_marked_first(etl, jobs):
    """The other way round Airflow would clear the lower one's failures before they are marked."""
    etl.fake.add_dag(
        "etl",
        tasks=[Task("work", is_mapped=True, downstream=["check"]), Task("check", is_mapped=True), Task("report")],
    )
    etl.stage(2, failed=[0], finish=False)
    etl.fake.expand("etl", "r1", "check", 2)
    etl.fake.finish("etl", "r1", "check", 0, state="upstream_failed")
    etl.fake.finish("etl", "r1", "check", 1)
    etl.fake.finish_run("etl", "r1", "failed")
    tasks = [etl.mirrored("work"), etl.mirrored("check")]
    preview = jobs.preview(*tasks, action=SKIPPED)
    assert (preview.plan.count, preview.plan.downstream) == (2, [])
    job = done(jobs, jobs.request(*tasks, action=SKIPPED))
    assert jobs.counts(job) == {"recovered": 2}
    assert (etl.states(), etl.states("check")) == ({0: "skipped", 1: "success"}, {0: "skipped", 1: "success"})


def test_many_are_marked_in_chunks_which_a_cancel_stops(etl, jobs, operator):
    task = etl.stage(7, failed=range(7))
    job = jobs.request(task, action=SKIPPED, policy=Policy(chunk_size=3, chunks_per_minute=1))
    jobs.work()
    assert marks(etl) == [[0, 1, 2]]
    cancel_job(user=operator, job=job)
    job = done(jobs, job)
    assert jobs.counts(job) == {"recovered": 3, "cancelled": 4}
    assert closing_sentence(job) == "3 marked as skipped, 4 not sent."


def test_what_changes_between_preview_and_mark_is_left_out_with_the_reason(etl, jobs):
    task = etl.stage(6, failed=range(5))
    job = jobs.request(task, action=SUCCESS)
    etl.fake.finish("etl", "r1", "work", 0)  # cleared by somebody, and worked
    etl.fake.world.of_task("etl", "r1", "work")[0].id = "another"
    etl.fake.start("etl", "r1", "work", 1)
    etl.fake.set_state("etl", "r1", "work", 2, "success")
    del etl.fake.world.of_task("etl", "r1", "work")[3]
    job = done(jobs, job)
    assert jobs.why(job) == {
        0: "somebody else cleared it meanwhile (success)",
        1: "running meanwhile",
        2: "is success already",
        3: "Airflow no longer has it",
        4: "",
    }
    assert jobs.counts(job) == {"recovered": 1, "skipped": 3, "lost": 1}
    assert marks(etl) == [[4]]


@pytest.mark.parametrize("version", ["3.3.2", "3.1.7", "3.0.6"])
def test_one_that_moves_at_the_last_moment_stops_the_request_not_the_job(fake_airflow, etl, jobs, wire, version):
    fake_airflow.version, fake_airflow.numbers = version, tuple(map(int, version.split(".")))
    fake_airflow.reset()
    task = etl.stage(4, failed=range(4))
    job = jobs.request(task, action=SKIPPED)
    wire.before_clear.append(lambda: etl.fake.set_state("etl", "r1", "work", 2, "skipped"))
    job = done(jobs, job)
    assert jobs.counts(job) == {"recovered": 4}
    assert set(etl.states().values()) == {"skipped"}


@pytest.mark.parametrize("version", ["3.3.2", "3.0.6"])
@pytest.mark.parametrize("event", [lose, die])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_or_a_killed_worker_costs_a_look_not_a_second_mark(
    fake_airflow, etl, jobs, wire, version, event, when
):
    fake_airflow.version, fake_airflow.numbers = version, tuple(map(int, version.split(".")))
    fake_airflow.reset()
    task = etl.stage(3, failed=range(3))
    job = jobs.request(task, action=SUCCESS)
    (wire.before_clear if when == "before" else wire.after_clear).append(event)
    if event is die:
        with pytest.raises(Killed):
            jobs.work()
    else:
        jobs.work()
    if when == "before":
        assert "success" not in etl.states().values()
    for _ in range(5):
        pass_time(100)
        jobs.work()
    assert jobs.counts(job) == {"recovered": 3}
    assert set(etl.states().values()) == {"success"}
    if when == "after" and version == "3.3.2":
        assert marks(etl) == [[0, 1, 2]]


def test_what_airflow_will_not_mark_is_refused_with_its_words(etl, jobs, wire):
    task = etl.stage(2, failed=[0, 1])
    job = jobs.request(task, action=SUCCESS)

    def stubborn() -> None:
        """Somebody marks 0 as failed again each time."""
        etl.fake.set_state("etl", "r1", "work", 0, "failed")

    wire.after_clear += [stubborn] * 3
    job = done(jobs, job)
    assert jobs.counts(job) == {"recovered": 1, "refused": 1}
    assert jobs.why(job)[0].startswith("Airflow did not mark it.")


def test_a_run_that_is_deleted_meanwhile_gives_each_index_its_word(etl, jobs):
    job = jobs.request(etl.stage(2, failed=[0, 1]), action=SUCCESS)
    etl.fake.remove_run("etl", "r1")
    job = done(jobs, job)
    assert jobs.counts(job) == {"lost": 2}
    assert job.state == "failed"


def test_a_mark_and_a_retry_of_the_same_index_exclude_each_other(etl, jobs):
    task = etl.stage(2, failed=[0, 1])
    first = jobs.request(task, action=SUCCESS, indices="0")
    second = jobs.request(task)
    assert (first.total, second.total) == (1, 1)
    assert second.left_out[0]["why"] == f"already in job {first.short_id}"


def test_the_same_key_for_a_retry_is_another_wish(etl, jobs):
    task = etl.stage(2, failed=[0])
    job = jobs.request(task, action=SUCCESS, key="k")
    assert jobs.request(task, action=SUCCESS, key="k") == job
    with pytest.raises(Conflicting):
        jobs.request(task, key="k")


def test_a_token_of_a_retry_marks_nothing(etl, jobs):
    task = etl.stage(2, failed=[0])
    with pytest.raises(Unprocessable):
        jobs.request(task, action=SUCCESS, plan_token=jobs.preview(task).plan_token)


def test_before_3_1_1_several_tasks_are_marked_one_by_one(fake_airflow, etl, jobs):
    fake_airflow.version, fake_airflow.numbers = "3.0.6", (3, 0, 6)
    fake_airflow.reset()
    etl.fake.add_dag("etl", tasks=[Task("work", is_mapped=True), Task("check", is_mapped=True), Task("report")])
    etl.stage(2, failed=[0, 1], finish=False)
    etl.fake.expand("etl", "r1", "check", 2)
    etl.fake.finish("etl", "r1", "check", 0, error=("KeyError", "x"))
    etl.fake.finish_run("etl", "r1", "failed")
    job = done(jobs, jobs.request(etl.mirrored(), etl.mirrored("check"), action=SKIPPED))
    assert jobs.counts(job) == {"recovered": 3}


def test_notes_that_somebody_wrote_are_counted_before_they_are_replaced(etl, jobs):
    task = etl.stage(3, failed=[0, 1])
    etl.fake.instance("etl", "r1", "work", 0).note = "looked at it: bad key"
    etl.fake.instance("etl", "r1", "work", 1).note = "Mapboard retry 12345678 by olga: disk was full"
    warnings = jobs.preview(task, action=SUCCESS).plan.warnings
    assert warnings == ["1 note in Airflow is replaced by the reason."]


def test_what_fails_below_after_the_preview_is_no_longer_what_was_shown(etl, jobs):
    """The token alone is not enough: a mark also starts what failed below it."""
    task = etl.stage(2, failed=[0])
    preview = jobs.preview(task, action=SUCCESS)
    assert preview.plan.downstream == []
    etl.fake.finish("etl", "r1", "report", error=("KeyError", "x"))
    with pytest.raises(Conflicting, match="would run it again: report"):
        jobs.request(task, action=SUCCESS, plan_token=preview.plan_token)
    again = jobs.preview(task, action=SUCCESS).plan_token
    assert jobs.request(task, action=SUCCESS, plan_token=again).runs.get().downstream == ["report"]
