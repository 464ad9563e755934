"""A retry from asking to the last result, by what the fake Airflow got and holds."""

from __future__ import annotations

from collections import Counter

import pytest

from panel.domain.outcomes import Outcome
from panel.retries import runner, selectors
from panel.retries.policies import Policy
from panel.retries.report import closing_sentence
from panel.servers import client
from tests.fakes.airflow import Fatal
from tests.retries.conftest import pass_time

pytestmark = pytest.mark.django_db


def test_it_retries_the_failed_indices_and_no_other(etl, jobs):
    task = etl.stage(6, failed=[1, 4], soft=[2])
    job = jobs.to_the_end(jobs.request(task))
    assert job.state == "done"
    assert jobs.counts(job) == {"recovered": 3}
    assert etl.tries() == {0: 1, 1: 2, 2: 2, 3: 1, 4: 2, 5: 1}
    assert closing_sentence(job) == "3 retried, 3 recovered."


def test_the_tasks_downstream_run_again_once_after_all_chunks(etl, jobs):
    task = etl.stage(7, failed=range(7))
    order = []
    job = jobs.to_the_end(
        jobs.request(task, policy=Policy(chunk_size=2)), lambda row: order.append(row.task_id) or {"id": row.map_index}
    )
    assert jobs.counts(job) == {"recovered": 7}
    assert order == ["work"] * 7 + ["report"]
    assert etl.tries("report") == {-1: 2}
    assert [len(targets) for targets in etl.cleared()] == [2, 2, 2, 1, 1]
    assert [body["reset_dag_runs"] for body in etl.clears()] == [False] * 4 + [True]
    assert etl.cleared()[-1] == ["report"]


def test_without_downstream_the_last_chunk_restarts_the_run(etl, jobs):
    task = etl.stage(3, failed=range(3))
    job = jobs.to_the_end(jobs.request(task, policy=Policy(chunk_size=2), include_downstream=False))
    assert jobs.counts(job) == {"recovered": 3}
    assert [body["reset_dag_runs"] for body in etl.clears()] == [False, True]
    assert etl.tries("report") == {-1: 1}


def test_each_clear_is_exact_and_guarded(etl, jobs):
    task = etl.stage(3, failed=[1])
    job = jobs.request(task, reason="disk was full")
    jobs.work()
    for body in etl.clears():
        assert not body["only_failed"]
        assert not body["include_downstream"]
        assert body["prevent_running_task"]
        assert body["note"].endswith("by olga: disk was full")
    row = etl.fake.instance("etl", "r1", "work", 1)
    assert row.note == f"Mapboard retry {job.short_id} by olga: disk was full"


def test_no_chunk_is_larger_than_asked_the_first_is_small_and_no_index_goes_twice(etl, jobs):
    task = etl.stage(1_100, failed=range(1_100))
    job = jobs.to_the_end(jobs.request(task))
    sent = Counter(index for targets in etl.cleared()[:-1] for _task, index in targets)
    assert sent == Counter(range(1_100))
    assert [len(targets) for targets in etl.cleared()] == [50, 200, 200, 200, 200, 200, 50, 1]
    assert jobs.counts(job) == {"recovered": 1_100}
    assert set(etl.tries().values()) == {2}


def test_after_the_first_chunk_a_list_tells_what_changed_and_no_dry_run(etl, jobs, server, monkeypatch):
    monkeypatch.setattr("panel.retries.runner.jobs.SLICE_SECONDS", -1.0)  # one chunk, then another task has its turn
    task = etl.stage(260, failed=range(260))
    job = jobs.request(task)
    etl.fake.forget_requests()
    runner.run_job(job.pk)
    with client.open_client(server) as airflow:
        airflow.instances.clear("etl", "r1", [("work", 100)], dry_run=False, reset_dag_runs=False)
    etl.fake.forget_requests()
    runner.run_job(job.pk)
    (chunk,) = etl.cleared()
    assert [index for _task, index in chunk] == [*range(50, 100), *range(101, 250)]
    assert len(etl.fake.calls("POST", "/clearTaskInstances")) == 1
    assert {index: why for index, why in jobs.why(job).items() if why} == {
        100: "somebody else cleared it meanwhile (waiting)"
    }


def test_an_airflow_that_is_not_exact_gets_a_dry_run_before_each_chunk(etl, jobs):
    etl.fake.version, etl.fake.numbers = "3.1.0", (3, 1, 0)
    client.forget_capabilities()
    task = etl.stage(260, failed=range(260))
    jobs.request(task, include_downstream=False)
    jobs.work()
    calls = [(one.body["dry_run"], len(one.body["task_ids"])) for one in etl.fake.calls("POST", "/clearTaskInstances")]
    assert calls == [(True, 260), *[(True, 50), (False, 50)], *[(True, 200), (False, 200)], *[(True, 10), (False, 10)]]


def test_of_a_job_with_a_pace_each_chunk_counts(etl, jobs):
    task = etl.stage(210, failed=range(210))
    jobs.request(task, policy=Policy(chunks_per_minute=1))
    jobs.work()
    assert [len(chunk) for chunk in etl.cleared()] == [200]


def test_failing_again_hard_or_softly_is_said_with_the_error(etl, jobs):
    task = etl.stage(4, failed=[0, 1], soft=[2])

    def decide(row):
        if row.task_id == "work" and row.map_index == 0:
            raise Fatal("KeyError", "customer_900")
        if row.task_id == "work" and row.map_index == 1:
            raise OSError("disk full")
        return {"id": row.map_index, "status": "ERROR", "error": "bad row 7"} if row.map_index == 2 else None

    job = jobs.to_the_end(jobs.request(task), decide)
    items = {item.map_index: item for item in selectors.items(job)}
    assert jobs.counts(job) == {"failed_again": 3}
    assert [items[index].outcome for index in range(3)] == ["hard_failure", "hard_failure", "soft_failure"]
    assert [items[index].same_error for index in range(3)] == [True, False, True]
    assert items[1].error_type == "OSError"
    sentence = closing_sentence(job)
    assert sentence.startswith("3 retried, 0 recovered, 3 failed again (")
    assert "KeyError, same as before" in sentence
    assert "OSError, not as before" in sentence


def test_a_stale_result_is_not_taken_for_the_new_one(etl, jobs):
    task = etl.stage(3, soft=[1])
    job = jobs.request(task)
    jobs.work()
    for _ in range(3):  # cleared, but Airflow has not started it: the old soft failure is still readable there
        pass_time(35)
        jobs.work()
    assert jobs.counts(job) == {"sent": 1}
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 1}


def test_several_runs_in_one_job_each_in_its_own_right(etl, jobs):
    first, second = etl.stage(4, failed=[0, 1, 2]), etl.stage(3, failed=[2], run_id="r2")
    job = jobs.to_the_end(jobs.request(first, second, policy=Policy(chunk_size=2)))
    assert jobs.counts(job) == {"recovered": 4}
    assert etl.cleared("r1") == [[["work", 0], ["work", 1]], [["work", 2]], ["report"]]
    assert etl.cleared("r2") == [[["work", 2]], ["report"]]
    assert etl.tries("report", "r2") == {-1: 2}


def test_a_run_still_active_takes_each_chunk_at_once_and_the_aggregator_runs_once(etl, jobs):
    task = etl.stage(4, failed=[0, 1, 2], finish=False)
    order = []
    job = jobs.to_the_end(
        jobs.request(task, policy=Policy(chunk_size=1)), lambda row: order.append(row.task_id) or {"id": row.map_index}
    )
    assert jobs.counts(job) == {"recovered": 3}
    assert order.count("report") == 1
    assert order[-1] == "report"


def test_a_downstream_task_that_runs_now_is_waited_for(etl, jobs):
    task = etl.stage(3, failed=[1], finish=False)
    etl.fake.start("etl", "r1", "report")
    job = jobs.request(task)
    jobs.work()
    assert etl.cleared() == [[["work", 1]]]
    assert "report" in selectors.job(job.pk).state_reason
    etl.fake.finish("etl", "r1", "report", result={})
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 1}
    assert etl.cleared() == [[["work", 1]], ["report"]]
    assert etl.tries("report") == {-1: 2}


def test_settled_indices_are_retried_when_ticked_expressly(etl, jobs):
    task = etl.stage(3, failed=[1])
    preview = jobs.preview(task, indices="0-1", include_settled=True)
    assert "did not fail" in preview.plan.warnings[0]
    job = jobs.to_the_end(jobs.request(task, indices="0-1", include_settled=True))
    assert etl.tries() == {0: 2, 1: 2, 2: 1}
    assert jobs.counts(job) == {"recovered": 2}


def test_an_older_airflow_gets_no_field_it_does_not_know(etl, jobs):
    etl.fake.version, etl.fake.numbers = "3.1.7", (3, 1, 7)
    task = etl.stage(3, failed=[1])
    job = jobs.to_the_end(jobs.request(task))
    assert jobs.counts(job) == {"recovered": 1}
    for body in etl.clears():
        assert not {"note", "prevent_running_task"} & body.keys()


def test_the_oldest_airflow_clears_exactly_the_chosen_indices(etl, jobs):
    etl.fake.version, etl.fake.numbers = "3.0.6", (3, 0, 6)
    task = etl.stage(4, failed=[1, 2])
    assert jobs.preview(task).plan.downstream == ["report"]
    job = jobs.to_the_end(jobs.request(task))
    assert jobs.counts(job) == {"recovered": 2}
    assert etl.tries() == {0: 1, 1: 2, 2: 2, 3: 1}
    assert etl.tries("report") == {-1: 2}


def test_an_index_whose_result_may_not_be_read_counts_with_the_reason(etl, jobs):
    task = etl.stage(2, failed=[1])
    etl.fake.forbid("xcom")
    job = jobs.to_the_end(jobs.request(task, outcomes=[Outcome.HARD_FAILURE]))
    assert jobs.counts(job) == {"recovered": 1}
    assert "cannot be read" in jobs.why(job)[1]


def test_the_mirror_may_be_deleted_under_a_job(etl, jobs, server):
    task = etl.stage(3, failed=[1])
    job = jobs.request(task)
    jobs.work()
    server.dags.all().delete()
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 1}
