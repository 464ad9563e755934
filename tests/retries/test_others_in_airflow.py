"""What other people do in Airflow while a job watches: it is said in plain words, and every index gets a final word."""

from __future__ import annotations

import pytest

from panel.retries import selectors
from panel.retries.policies import Policy
from panel.retries.report import closing_sentence
from tests.fakes.airflow import Fatal
from tests.fakes.airflow.people import Person
from tests.fakes.airflow.scheduler import KeepRunning
from tests.retries.conftest import pass_time

pytestmark = pytest.mark.django_db


@pytest.fixture
def maria(etl) -> Person:
    return Person(etl.fake, "maria")


def sent(etl, jobs, count: int = 4, **policy):
    """A job that has sent everything; nothing of it has begun."""
    job = jobs.request(etl.stage(count, failed=range(count)), policy=Policy(**policy))
    jobs.work()
    assert jobs.counts(job) == {"sent": count}
    pass_time(5)
    return job


def begin(etl) -> None:
    """Airflow starts every index, and none ends."""

    def go_on(row):
        raise KeepRunning

    etl.run_airflow(go_on)


def look(jobs, seconds: float = 35) -> None:
    pass_time(seconds)
    jobs.work()


def happened(job) -> list[str]:
    return [run.happened for run in job.runs.all() if run.happened]


def test_marked_by_hand_before_it_began_is_no_recovery(etl, jobs, maria):
    job = sent(etl, jobs)
    for index, state in enumerate(["success", "failed", "skipped"]):
        maria.mark("etl", "r1", "work", index, state)
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"skipped": 2, "failed_again": 1, "recovered": 1}
    why = jobs.why(job)
    assert [why[index] for index in range(3)] == [
        f"maria marked it as {state} by hand in Airflow" for state in ("success", "failed", "skipped")
    ]
    assert closing_sentence(job).startswith("4 retried, 1 recovered, 1 failed again")


def test_a_stale_soft_failure_does_not_come_back_with_a_mark(etl, jobs, maria):
    job = jobs.request(etl.stage(2, soft=[0]))
    jobs.work()
    maria.mark("etl", "r1", "work", 0, "success")
    job = jobs.to_the_end(job)
    assert (jobs.counts(job), jobs.why(job)[0]) == ({"skipped": 1}, "maria marked it as success by hand in Airflow")


def test_marked_by_hand_while_it_ran_is_said_too(etl, jobs, maria):
    job = sent(etl, jobs)
    begin(etl)
    maria.mark("etl", "r1", "work", 0, "success")
    maria.mark("etl", "r1", "work", 1, "failed")
    look(jobs)
    assert jobs.counts(job) == {"skipped": 1, "failed_again": 1, "sent": 2}
    assert jobs.why(job)[1] == "maria marked it as failed by hand in Airflow"


def test_a_mark_from_before_the_retry_says_nothing_about_it(etl, jobs, maria):
    etl.stage(2)
    maria.mark("etl", "r1", "work", 0, "failed")
    task = etl.mirrored()
    etl.fake.world.events[-1]["when"] = etl.fake.world.events[-1]["when"].replace(year=2020)
    job = jobs.to_the_end(jobs.request(task))
    assert (jobs.counts(job), jobs.why(job)[0]) == ({"recovered": 1}, "")


def test_a_run_marked_failed_ends_every_index_and_the_job_says_who_did_it(etl, jobs, maria):
    job = sent(etl, jobs)
    begin(etl)
    maria.mark_run("etl", "r1", "failed")
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"failed_again": 4}
    assert set(jobs.why(job).values()) == {"maria marked the whole run as failed by hand in Airflow"}
    assert happened(job)[0].startswith("maria marked the run as failed by hand in Airflow")


def test_a_run_marked_before_anything_began_skips_what_waited(etl, jobs, maria):
    job = sent(etl, jobs)
    maria.mark_run("etl", "r1", "success")
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"skipped": 4}
    assert set(jobs.why(job).values()) == {"maria marked the whole run as success by hand in Airflow"}


def test_what_had_ended_before_the_run_was_marked_keeps_its_own_word(etl, jobs, maria):
    job = sent(etl, jobs)
    begin(etl)
    etl.fake.finish("etl", "r1", "work", 0, result={"id": 0})
    etl.fake.finish("etl", "r1", "work", 1, error=("KeyError", "customer_1"))
    look(jobs)
    assert jobs.counts(job) == {"recovered": 1, "failed_again": 1, "sent": 2}
    etl.fake.clock.advance(60)
    maria.mark_run("etl", "r1", "success")
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"recovered": 1, "failed_again": 1, "skipped": 2}
    assert jobs.why(job)[0] == jobs.why(job)[1] == ""


def test_without_the_right_to_read_the_audit_log_it_is_said_without_a_name(etl, jobs, maria):
    job = sent(etl, jobs, 2)
    etl.fake.forbid("audit")
    maria.mark("etl", "r1", "work", 0, "success")
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"skipped": 1, "recovered": 1}
    assert jobs.why(job)[0].startswith("set to success in Airflow before its new try began, by hand")


def test_a_deleted_run_loses_its_indices_and_the_job_says_who_deleted_it(etl, jobs, maria):
    job = sent(etl, jobs)
    maria.delete_run("etl", "r1")
    look(jobs)
    job = selectors.job(job.pk)
    assert (job.state, jobs.counts(job)) == ("done", {"lost": 4})
    assert set(jobs.why(job).values()) == {"maria deleted the run in Airflow."}
    assert happened(job) == ["maria deleted the run in Airflow."]


def test_cleared_again_after_our_try_had_failed_counts_our_try(etl, jobs, maria):
    job = sent(etl, jobs, 2)
    look(jobs)
    begin(etl)
    etl.fake.finish("etl", "r1", "work", 0, error=("OSError", "disk full"))
    maria.clear("etl", "r1", "work", [0])
    look(jobs)
    items = {item.map_index: item for item in selectors.items(job)}
    assert (items[0].state, items[0].error_type, items[0].new_try_number) == ("failed_again", "OSError", 2)
    assert items[0].same_error is False
    assert items[0].why == "somebody else cleared it again after try 2 had ended"


def test_cleared_again_after_our_try_had_succeeded_counts_our_try(etl, jobs, maria):
    job = sent(etl, jobs, 2)
    look(jobs)
    begin(etl)
    etl.fake.finish("etl", "r1", "work", 1, result={"id": 1})
    maria.clear("etl", "r1", "work", [1])
    look(jobs)
    assert jobs.counts(job) == {"recovered": 1, "sent": 1}
    assert jobs.why(job)[1].startswith("somebody else cleared it again")


def test_cleared_again_while_our_try_ran_the_new_try_counts_and_it_is_said(etl, jobs, maria):
    job = sent(etl, jobs, 2)
    look(jobs)
    begin(etl)
    look(jobs)
    maria.clear("etl", "r1", "work", [0])
    look(jobs)
    assert jobs.counts(job) == {"sent": 2}, "its own try was cut off, so it has no result yet"

    def decide(row):
        if row.task_id == "work" and row.map_index == 0:
            raise Fatal("KeyError", "customer_0")
        return {"id": row.map_index}

    etl.fake.finish("etl", "r1", "work", 1, result={"id": 1})
    job = jobs.to_the_end(job, decide)
    assert jobs.counts(job) == {"failed_again": 1, "recovered": 1}
    assert jobs.why(job)[0].startswith("somebody else cleared it again while it waited or ran")


def test_cleared_again_before_our_try_began_is_no_second_thing(etl, jobs, maria):
    job = sent(etl, jobs, 2)
    maria.clear("etl", "r1", "work", [0, 1])
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 2}


def test_automatic_retries_of_our_own_try_are_nobody_elses_clear(etl, jobs):
    task = etl.stage(2, failed=[0, 1])
    etl.fake.world.dags["etl"].tasks["work"].retries = 2
    job = jobs.request(task)
    left = {0: 2, 1: 0}

    def decide(row):
        if row.task_id == "work" and left[row.map_index]:
            left[row.map_index] -= 1
            raise KeyError("not yet")
        return {"id": row.map_index}

    job = jobs.to_the_end(job, decide)
    assert (jobs.counts(job), set(jobs.why(job).values())) == ({"recovered": 2}, {""})


def test_a_paused_dag_is_said_until_somebody_unpauses_it(etl, jobs):
    etl.stage(2, failed=[1])
    etl.fake.world.dags["etl"].is_paused = True
    job = jobs.request(etl.mirrored())
    jobs.work()
    etl.server.dags.update(is_paused=True)
    look(jobs)
    assert "The Dag is paused in Airflow" in selectors.job(job.pk).state_reason
    etl.fake.world.dags["etl"].is_paused = False
    etl.server.dags.update(is_paused=False)
    job = jobs.to_the_end(job)
    assert (jobs.counts(job), job.state_reason) == ({"recovered": 1}, "")


def test_an_airflow_away_for_two_days_loses_nothing(etl, jobs):
    job = sent(etl, jobs, 2)
    etl.fake.down = True
    for _ in range(30):
        look(jobs, seconds=2 * 3600)
    job = selectors.job(job.pk)
    assert (job.state, jobs.counts(job)) == ("watching", {"sent": 2})
    assert "Airflow cannot be asked at present; what was sent runs on" in job.state_reason
    etl.fake.down = False
    look(jobs)
    assert jobs.counts(job) == {"sent": 2}, "what has not ended yet is still waited for"
    job = jobs.to_the_end(job)
    assert (jobs.counts(job), job.state_reason) == ({"recovered": 2}, "")


def test_while_airflow_is_away_it_is_not_asked_all_the_time(etl, jobs):
    job = sent(etl, jobs, 2)
    etl.fake.down = True
    look(jobs)
    look(jobs)
    look(jobs)
    wait = selectors.job(job.pk).next_at - selectors.job(job.pk).progress_at
    assert wait.total_seconds() > 8


def test_a_revoked_login_is_said_with_what_to_do_and_nothing_is_lost(etl, jobs, server):
    job = sent(etl, jobs, 2)
    etl.fake.auth.add_user("op", "another-password-now", "op")
    etl.fake.auth.secret = "and the old tokens hold no longer"
    for _ in range(5):
        look(jobs, seconds=8 * 3600)
    job = selectors.job(job.pk)
    assert (job.state, jobs.counts(job)) == ("watching", {"sent": 2})
    assert "login" in job.state_reason
    etl.fake.auth.add_user("op", etl.fake.password("op"), "op")
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 2}


def test_an_index_that_vanished_alone_is_lost_and_the_others_go_on(etl, jobs):
    job = sent(etl, jobs, 3)
    del etl.fake.world.rows["etl", "r1"]["work"][2]
    job = jobs.to_the_end(job)
    assert jobs.counts(job) == {"recovered": 2, "lost": 1}
    assert jobs.why(job)[2] == "Airflow no longer has it"
