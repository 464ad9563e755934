"""Airflow refuses, is busy or slow: the job gives way, and goes on with what can go on."""

from __future__ import annotations

import pytest

from panel.airflow import NotSent
from panel.airflow.instances import InstancesNamespace
from panel.retries import selectors
from panel.retries.policies import Policy
from panel.retries.runner import requests, speed
from panel.retries.services import resume_job
from tests.fakes.airflow import Task
from tests.fakes.airflow.clearing import RUNNING, Clearing
from tests.fakes.airflow.wire import refuse
from tests.retries.conftest import pass_time

pytestmark = pytest.mark.django_db


def test_one_index_that_airflow_keeps_refusing_is_found_and_the_others_go(etl, jobs, monkeypatch):
    """Airflow says that something runs, but no look shows what."""
    task = etl.stage(40, failed=range(40))
    clear = Clearing._clear

    def refuse_13(self, dag, run, rows, *more):
        if any((row.task_id, row.map_index) == ("work", 13) for row in rows):
            raise refuse(409, RUNNING)
        clear(self, dag, run, rows, *more)

    monkeypatch.setattr(Clearing, "_clear", refuse_13)
    job = jobs.to_the_end(jobs.request(task))
    assert jobs.counts(job) == {"recovered": 39, "refused": 1}
    assert "kept refusing" in jobs.why(job)[13]
    assert etl.tries() == dict.fromkeys(range(40), 2) | {13: 1}


def test_a_slow_airflow_gets_smaller_chunks_and_pauses_until_it_is_quick_again(etl, jobs, monkeypatch):
    task = etl.stage(72, failed=range(72))
    took = iter([12.0, 12.0, 2.0, 2.0, 2.0])
    answered_in = requests.answered_in

    def slowly(job, chunk, _seconds):
        chunk.seconds = next(took)
        answered_in(job, chunk, chunk.seconds)

    monkeypatch.setattr(requests, "answered_in", slowly)
    monkeypatch.setattr(speed, "SMALLEST", 4)
    job = jobs.request(task, policy=Policy(chunk_size=32), include_downstream=False)
    jobs.work()
    assert len(etl.cleared()) == 1, "as long a pause as the answer took"
    jobs.to_the_end(job)
    assert [len(targets) for targets in etl.cleared()] == [32, 16, 8, 16]


def test_a_request_that_found_no_free_slot_was_not_sent_and_goes_at_the_next_try(etl, jobs, wire):
    task = etl.stage(2, failed=[0, 1])
    job = jobs.request(task)

    def busy():
        raise NotSent("all slots are in use")

    wire.before_clear.append(busy)
    jobs.work()
    assert jobs.counts(job) == {"pending": 2}, "nothing is unsure"
    assert jobs.counts(jobs.to_the_end(job)) == {"recovered": 2}


def test_airflow_gets_longer_for_a_large_chunk_than_for_a_page(etl, jobs, monkeypatch, settings):
    settings.AIRFLOW_TIMEOUT_SECONDS = 2.0
    task = etl.stage(150, failed=range(150))
    patient = []
    clear = InstancesNamespace.clear
    monkeypatch.setattr(
        InstancesNamespace, "clear", lambda *args, **more: patient.append(more.get("patience")) or clear(*args, **more)
    )
    jobs.to_the_end(jobs.request(task))
    _first_chunk, chunk, report = [one for one in patient if one is not None]
    assert chunk.timeout_seconds >= 100 * 0.041, "as slow as users report"
    assert report.timeout_seconds < chunk.timeout_seconds


def test_a_run_whose_downstream_is_refused_holds_up_neither_other_runs_nor_its_own_indices(
    etl, jobs, operator, monkeypatch
):
    first, second = etl.stage(2, failed=[0]), etl.stage(2, failed=[1], run_id="r2")
    clear = Clearing._clear

    def refuse_report_of_r1(self, dag, run, rows, *more):
        if any((row.run_id, row.task_id) == ("r1", "report") for row in rows):
            raise refuse(403, "Forbidden")
        clear(self, dag, run, rows, *more)

    monkeypatch.setattr(Clearing, "_clear", refuse_report_of_r1)
    job = jobs.request(first, second)
    jobs.work()
    etl.run_airflow()
    pass_time(35)
    jobs.work()
    assert etl.tries("report", "r2") == {-1: 2}
    assert etl.states() == {0: "success", 1: "success"}, "nothing waits in r1"
    assert jobs.counts(job) == {"recovered": 2}
    assert "Put that right, then resume the job" in selectors.job(job.pk).state_reason
    assert "Forbidden" in selectors.job(job.pk).state_reason
    monkeypatch.setattr(Clearing, "_clear", clear)
    resume_job(user=operator, job=job)
    jobs.to_the_end(job)
    assert etl.tries("report") == {-1: 2}


def test_the_oldest_airflow_clears_large_downstream_task_by_task(etl, jobs):
    etl.fake.version, etl.fake.numbers = "3.0.6", (3, 0, 6)
    etl.fake.add_dag(
        "etl",
        tasks=[
            Task("work", is_mapped=True, downstream=["load"]),
            Task("load", is_mapped=True, downstream=["report"], trigger_rule="all_done"),
            Task("report", trigger_rule="all_done"),
        ],
    )
    etl.fake.add_run("etl", "r1")
    for task_id in ("work", "load"):
        etl.fake.expand("etl", "r1", task_id, 5)
        for index in range(5):
            error = ("KeyError", "x") if (task_id, index) == ("work", 0) else None
            etl.fake.finish("etl", "r1", task_id, index, error=error, result={"id": index})
    etl.fake.finish("etl", "r1", "report")
    etl.fake.finish_run("etl", "r1")
    etl.fake.forget_requests()
    job = jobs.to_the_end(jobs.request(etl.mirrored(), policy=Policy(chunk_size=3)))
    assert jobs.counts(job) == {"recovered": 1}
    assert etl.cleared() == [[["work", 0]], ["load"], ["report"]]
    assert etl.tries("load") == dict.fromkeys(range(5), 2)
    assert etl.tries("report") == {-1: 2}
