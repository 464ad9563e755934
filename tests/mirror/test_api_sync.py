"""REST: asking for one mapped task to be brought up to date, and waiting for it."""

from __future__ import annotations

import pytest

from panel.mirror import sync_requests
from panel.mirror.models import SyncRequest

pytestmark = pytest.mark.django_db

TASK = {"server": "prod", "dag_id": "etl", "run_id": "r1", "task_id": "work"}


@pytest.fixture
def post(as_user, viewer, server):
    browser = as_user(viewer)

    def ask(**body):
        return browser.post("/api/v1/mapped-tasks/sync/", TASK | body, content_type="application/json")

    return ask


@pytest.fixture
def working(monkeypatch, worker):
    """While the web process waits, the worker works."""
    monkeypatch.setattr("panel.mirror.sync_requests.time.sleep", lambda seconds: worker.work())


@pytest.fixture
def finished(etl):
    etl.add_run("etl", "r1")
    etl.expand("etl", "r1", "work", 3)
    etl.finish("etl", "r1", "work", 0, result={"id": 0})
    etl.finish("etl", "r1", "work", 1, result={"status": "error", "message": "no rows"})
    etl.finish("etl", "r1", "work", 2, error=("ValueError", "boom"))
    etl.finish_run("etl", "r1", "failed")
    return etl


def test_a_mapped_task_that_was_never_seen_is_answered_with_state_and_results(post, finished, working):
    answer = post(wait=True)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert {name: body[name] for name in TASK} == TASK
    assert body["complete"] is True
    assert body["total"] == 3
    assert {name: n for name, n in body["counts"].items() if n} == {
        "success": 1,
        "soft_failure": 1,
        "hard_failure": 1,
    }
    assert body["metrics"]["failure_rate"] == 0.3333
    assert body["unread_results"] == 0
    assert body["run_state"] == "failed"


def test_it_sees_what_changed_since_the_last_time(post, finished, working):
    post(wait=True)
    finished.finish("etl", "r1", "work", 2, result={"id": 2})
    body = post(wait=True).json()
    assert body["counts"]["hard_failure"] == 0
    assert body["counts"]["success"] == 2


def test_the_web_process_asks_airflow_nothing(post, finished):
    finished.forget_requests()
    post(wait=False)
    assert finished.requests == []


def test_without_waiting_it_is_accepted_and_the_worker_woken_once(post, finished, woken, worker):
    answers = [post(wait=False), post(wait=False)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["complete"] is False
    assert woken.names() == ["mirror.answer_sync_request"]
    worker.work()
    again = post(wait=False)
    assert again.status_code == 202  # asked anew: what was read then may be old by now
    assert again.json()["id"] == answers[0].json()["id"]


def test_a_wait_that_takes_too_long_is_accepted(post, finished, monkeypatch):
    monkeypatch.setattr("panel.mirror.sync_requests.WAIT_SECONDS", 0.01)
    answer = post(wait=True)
    assert answer.status_code == 202
    assert answer.json()["complete"] is False


def test_when_too_many_wait_the_next_is_answered_at_once(post, finished, monkeypatch):
    monkeypatch.setattr("panel.mirror.sync_requests.time.sleep", lambda seconds: pytest.fail("it waited"))
    for _ in range(sync_requests.MOST_WAITERS):
        sync_requests._waiters.acquire()
    try:
        assert post(wait=True).status_code == 202
    finally:
        for _ in range(sync_requests.MOST_WAITERS):
            sync_requests._waiters.release()


@pytest.mark.parametrize(
    "wrong", [{"run_id": "no such run"}, {"task_id": "report"}, {"task_id": "nope"}, {"dag_id": "nope"}]
)
def test_what_airflow_does_not_know_is_a_404_said_by_the_worker(post, finished, working, wrong):
    answer = post(wait=True, **wrong)
    assert answer.status_code == 404, answer.content
    assert SyncRequest.objects.get().state == SyncRequest.State.NOT_FOUND


def test_a_run_that_vanished_is_a_404(post, finished, working):
    post(wait=True)
    finished.remove_run("etl", "r1")
    assert post(wait=True).status_code == 404


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"drop": True, "times": 99}, 503, "airflow_unreachable"),
        ({"hang": 60, "times": 99}, 504, "airflow_timed_out"),
        ({"html": True, "times": 99}, 502, "airflow_bad_payload"),
        ({"garbage": True, "times": 99}, 502, "airflow_bad_payload"),
        ({"status": 403, "detail": "Forbidden", "times": 99}, 502, "airflow_refused"),
    ],
)
def test_an_airflow_that_does_not_answer_as_it_should(post, finished, working, fault, status, code):
    finished.fail_next(path="dagRuns", **fault)
    answer = post(wait=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "field"), [({"taskid": "work"}, "taskid"), ({"task_id": ""}, "task_id"), ({"wait": "maybe"}, "wait")]
)
def test_a_body_that_makes_no_sense_is_a_422(post, body, field):
    answer = post(**body)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["fields"]


def test_an_unknown_server_is_a_404(post):
    assert post(server="nope").status_code == 404


def test_only_people_who_may_view(as_user, nobody, client):
    for browser, status in ((client, 401), (as_user(nobody), 403)):
        assert browser.post("/api/v1/mapped-tasks/sync/", TASK, content_type="application/json").status_code == status


def test_a_request_whose_wake_up_was_lost_is_found_by_the_sweep(post, finished, worker, woken, later):
    post(wait=False)
    woken.clear()
    later(15)
    worker.beat()
    assert SyncRequest.objects.get().state == SyncRequest.State.DONE
