"""The retry calls of the REST API."""

from __future__ import annotations

import pytest

from panel.mirror.models import Instance
from panel.retries.models import RetryJob
from tests.retries.conftest import pass_time

pytestmark = pytest.mark.django_db

JOBS = "/api/v1/retry-jobs/"


@pytest.fixture
def post(as_user, operator):
    def send(url: str, body: dict | None = None, user=operator):
        return as_user(user).post(url, body or {}, content_type="application/json")

    return send


def body_for(task, **more):
    return {"mapped_task": str(task.pk), "selection": {"outcomes": ["hard_failure", "soft_failure"]}} | more


def test_preview_says_everything_and_changes_nothing(etl, post):
    task = etl.stage(6, failed=[1, 4], soft=[2])
    etl.fake.start("etl", "r1", "work", 0)
    etl.mirrored()
    answer = post(f"{JOBS}preview/", body_for(task, selection={"indices": "0-2,4,9"}))
    assert answer.status_code == 200
    shown = answer.json()
    assert {name: shown[name] for name in ("count", "indices", "by_outcome", "downstream", "unread", "warnings")} == {
        "count": 3,
        "indices": "1-2,4",
        "by_outcome": {"soft_failure": 1, "hard_failure": 2},
        "downstream": ["report"],
        "unread": 0,
        "warnings": [],
    }
    assert shown["skipped"] == [
        {"why": "not in the map", "task_id": "work", "count": 1, "indices": "9"},
        {"why": "running now", "task_id": "work", "count": 1, "indices": "0"},
    ]
    assert sum(shown["by_error_group"].values()) == 3
    assert shown["estimate_seconds"] > 0
    assert shown["plan_token"]
    assert not RetryJob.objects.exists()
    assert etl.cleared() == []


def test_preview_tells_the_load_and_the_notes(etl, post):
    etl.stage(3, failed=[1])
    etl.fake.instance("etl", "r1", "work", 1).note = "asked the vendor"
    shown = post(f"{JOBS}preview/", body_for(etl.mirrored())).json()
    assert shown["load"] == {"at_once": 1, "pools": {"default_pool": 1}, "requests": 4}
    assert shown["notes_replaced"] == 1


def test_a_retry_on_the_latest_version(etl, post, jobs):
    task = etl.stage(3, failed=[1])
    answer = post(JOBS, body_for(task, reason="fixed it", run_on_latest_version=True))
    assert answer.json()["run_on_latest_version"] is True
    jobs.work()
    assert all(body["run_on_latest_version"] for body in etl.clears())
    token = post(f"{JOBS}preview/", body_for(task)).json()["plan_token"]
    assert post(JOBS, body_for(task, reason="x", plan_token=token, run_on_latest_version=True)).status_code == 422


def test_chunks_have_200_indices_unless_asked_otherwise(etl, post):
    task = etl.stage(3, failed=[0, 1])
    assert post(JOBS, body_for(task, selection={"indices": "0"}, reason="x")).json()["chunk_size"] == 200
    assert post(JOBS, body_for(task, reason="x", chunk_size=500)).json()["chunk_size"] == 500


def test_limits_are_told_by_status_code_and_time(etl, post, settings):
    settings.RETRY_MOST_INDICES, settings.RETRY_JOBS_PER_HOUR = {"operator": 2}, 1
    task = etl.stage(6, failed=range(4))
    answer = post(JOBS, body_for(task, reason="x"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "too_many_indices")
    assert post(JOBS, body_for(task, selection={"indices": "0"}, reason="x")).status_code == 201
    answer = post(JOBS, body_for(task, selection={"indices": "1"}, reason="x"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "budget_spent")
    assert 3_590 < int(answer.headers["Retry-After"]) <= 3_600


def test_a_retry_through_the_api_from_preview_to_the_end(etl, post, as_user, viewer, jobs):
    task = etl.stage(5, failed=[1, 4], soft=[2])
    token = post(f"{JOBS}preview/", body_for(task)).json()["plan_token"]
    body = body_for(task, reason="disk was full", plan_token=token, idempotency_key="k1", chunk_size=2)
    answer = post(JOBS, body)
    assert answer.status_code == 201
    created = answer.json()
    assert (created["state"], created["total"]) == ("planned", 3)
    assert created["url"].endswith(f"/retry-jobs/{created['id']}/")
    again = post(JOBS, body)
    assert (again.status_code, again.json()["id"]) == (200, created["id"])
    jobs.to_the_end(RetryJob.objects.get())
    client = as_user(viewer)
    detail = client.get(f"{JOBS}{created['id']}/").json()
    assert (detail["state"], detail["counts"]["recovered"]) == ("done", 3)
    assert sum(detail["counts"].values()) == detail["total"] == 3
    assert (detail["reason"], detail["user"], detail["summary"]) == ("disk was full", "olga", "3 retried, 3 recovered.")
    items = client.get(f"{JOBS}{created['id']}/items/").json()
    assert items["count"] == 3
    first = items["results"][0]
    expected = {
        "dag_id": "etl",
        "run_id": "r1",
        "task_id": "work",
        "map_index": 1,
        "state": "recovered",
        "try_number": 2,
    }
    assert {name: first[name] for name in expected} == expected
    assert client.get(JOBS).json()["results"][0]["id"] == created["id"]
    assert etl.tries() == {0: 1, 1: 2, 2: 2, 3: 1, 4: 2}


def test_counts_sum_to_the_total_at_every_moment(etl, post, as_user, viewer, jobs):
    task = etl.stage(5, failed=range(5))
    job_id = post(JOBS, body_for(task, reason="x", chunk_size=2)).json()["id"]
    for _ in range(4):
        detail = as_user(viewer).get(f"{JOBS}{job_id}/").json()
        assert sum(detail["counts"].values()) == detail["total"] == 5
        jobs.work()
        etl.run_airflow()
        pass_time(35)


def test_the_same_key_with_another_body_is_409(etl, post):
    task = etl.stage(3, failed=[0, 1])
    post(JOBS, body_for(task, reason="x", idempotency_key="k1"))
    answer = post(JOBS, body_for(task, reason="y", idempotency_key="k1"))
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "idempotency_key_reused"


def test_a_set_that_changed_since_the_preview_is_409_with_the_difference(etl, post):
    task = etl.stage(3, failed=[0, 1])
    token = post(f"{JOBS}preview/", body_for(task)).json()["plan_token"]
    etl.fake.finish("etl", "r1", "work", 0, result={"id": 0})
    etl.mirrored()
    answer = post(JOBS, body_for(task, reason="x", plan_token=token))
    assert answer.status_code == 409
    assert answer.json()["error"]["fields"]["removed"] == ["work: 0"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reasn": "typo"}, "reasn"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"selection": {}}, "selection"),
        ({"selection": {"outcomes": [], "indices": ""}}, "selection"),
        ({"selection": {"indices": "3,x"}}, "selection.indices"),
        ({"selection": {"outcome": ["hard_failure"]}}, "selection.outcome"),
        ({"selection": {"outcomes": ["broken"]}}, "selection.outcomes"),
        ({"selection": {"error_groups": ["x"]}}, "selection.error_groups"),
        ({"selection": {"duration_gt": 3}}, "selection.duration_gt"),
        ({"selection": {"duration_gte": "nan"}}, "selection.duration_gte"),
        ({"selection": {"duration_lte": -1}}, "selection.duration_lte"),
        ({"selection": {"duration_gte": 2, "duration_lte": 1}}, "selection.duration_lte"),
        ({"selection": {"try_number_gte": "many"}}, "selection.try_number_gte"),
        ({"mapped_task": "nonsense"}, "mapped_task"),
        ({"mapped_tasks": []}, "mapped_tasks"),
        ({"action": "delete"}, "action"),
        ({"action": "mark_running"}, "action"),
        ({"action": "mark_success", "canary": 1}, "canary"),
        ({"action": "mark_success", "include_downstream": False}, "include_downstream"),
        ({"chunk_size": 501}, "chunk_size"),
        ({"canary": 0}, "canary"),
        ({"plan_token": "made-up"}, "plan_token"),
    ],
)
def test_a_body_that_makes_no_sense_is_422_and_nothing_is_retried(etl, post, change, field):
    task = etl.stage(3, failed=[0, 1])
    answer = post(JOBS, body_for(task, reason="x") | change)
    assert answer.status_code == 422
    assert any(name == field or name.startswith(f"{field}.") for name in answer.json()["error"]["fields"]), (
        answer.json()
    )
    assert not RetryJob.objects.exists()


def test_what_the_list_shows_is_what_is_retried(etl, post, as_user, operator):
    task = etl.stage(6, failed=[0, 1, 2, 3])
    for index in range(4):
        Instance.objects.filter(mapped_task=task, map_index=index).update(duration=10.0 * index)
    selection = {"outcomes": ["hard_failure"], "duration_gte": 10, "duration_lte": 20, "try_number_gte": 1}
    shown = as_user(operator).get(
        f"/api/v1/mapped-tasks/{task.pk}/instances/?outcome=hard_failure&duration_gte=10&duration_lte=20&try_number_gte=1"
    )
    assert [row["map_index"] for row in shown.json()["results"]] == [1, 2]
    assert post(f"{JOBS}preview/", body_for(task, selection=selection)).json()["indices"] == "1-2"


def test_both_names_for_the_mapped_task_are_one_too_many(etl, post):
    task = etl.stage(3, failed=[0])
    assert post(JOBS, body_for(task, reason="x", mapped_tasks=[str(task.pk)])).status_code == 422
    assert post(JOBS, {"selection": {"indices": "0"}, "reason": "x"}).status_code == 422


def test_several_mapped_tasks_make_one_job(etl, post):
    first, second = etl.stage(3, failed=[0]), etl.stage(3, failed=[1], run_id="r2")
    body = {"mapped_tasks": [str(first.pk), str(second.pk)], "selection": {"outcomes": ["hard_failure"]}}
    answer = post(JOBS, body | {"reason": "x"})
    assert (answer.status_code, answer.json()["total"]) == (201, 2)


def test_nothing_to_retry_is_422_with_why(etl, post):
    task = etl.stage(3)
    answer = post(JOBS, body_for(task, reason="x", selection={"indices": "0-1"}))
    assert answer.status_code == 422
    assert "2 succeeded" in answer.json()["error"]["message"]


def test_unknown_things_are_404(etl, post, as_user, operator):
    nothing = "00000000-0000-0000-0000-000000000000"
    body = {"mapped_task": nothing, "selection": {"indices": "0"}}
    assert post(f"{JOBS}preview/", body).status_code == 404
    for path in ("", "items/"):
        assert as_user(operator).get(f"{JOBS}{nothing}/{path}").status_code == 404
    for change in ("pause", "resume", "cancel"):
        assert post(f"{JOBS}{nothing}/{change}/").status_code == 404


def test_pause_resume_and_cancel(etl, post):
    task = etl.stage(3, failed=[0])
    url = f"{JOBS}{post(JOBS, body_for(task, reason='x')).json()['id']}/"
    for change, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        answer = post(f"{url}{change}/")
        assert (answer.status_code, answer.json()["state"]) == (200, state)
    assert post(f"{url}resume/").status_code == 409


def test_airflow_away_or_silent_says_so(etl, post):
    task = etl.stage(3, failed=[0])
    etl.fake.down = True
    assert post(JOBS, body_for(task, reason="x")).status_code == 503
    etl.fake.down = False
    etl.fake.fail_next(hang=60, path="clearTaskInstances", times=9)
    assert post(JOBS, body_for(task, reason="x")).status_code == 504
    assert not RetryJob.objects.exists()


def test_a_viewer_sees_jobs_but_can_neither_preview_nor_change(etl, post, as_user, viewer, deployer):
    task = etl.stage(3, failed=[0])
    job_id = post(JOBS, body_for(task, reason="x")).json()["id"]
    for user in (viewer, deployer):
        assert as_user(user).get(f"{JOBS}{job_id}/").status_code == 200
        assert post(f"{JOBS}preview/", body_for(task), user).status_code == 403
        assert post(JOBS, body_for(task, reason="x"), user).status_code == 403
        for change in ("pause", "resume", "cancel"):
            assert post(f"{JOBS}{job_id}/{change}/", user=user).status_code == 403
    assert RetryJob.objects.get().state == "planned"


def test_people_without_a_group_and_nobody_see_nothing(etl, post, as_user, nobody, client):
    task = etl.stage(3, failed=[0])
    job_id = post(JOBS, body_for(task, reason="x")).json()["id"]
    for path in ("", f"{job_id}/", f"{job_id}/items/"):
        assert as_user(nobody).get(f"{JOBS}{path}").status_code == 403
        assert client.get(f"{JOBS}{path}").status_code == 401
    assert client.post(JOBS, {}, content_type="application/json").status_code == 401


def test_lists_filter_by_state_and_mapped_task(etl, post, as_user, viewer):
    first, second = etl.stage(3, failed=[0]), etl.stage(3, failed=[0], run_id="r2")
    one = post(JOBS, body_for(first, reason="x")).json()["id"]
    two = post(JOBS, body_for(second, reason="x")).json()["id"]
    post(f"{JOBS}{two}/cancel/")
    client = as_user(viewer)

    def ids(query: str) -> list[str]:
        return [row["id"] for row in client.get(f"{JOBS}?{query}").json()["results"]]

    assert ids("") == [two, one]
    assert ids("state=planned") == [one]
    assert ids(f"mapped_task={second.pk}") == [two]
    assert client.get(f"{JOBS}?state=broken").status_code == 400
    assert client.get(f"{JOBS}?stat=done").status_code == 400
    assert client.get(f"{JOBS}{one}/items/?state=pending").json()["count"] == 1
    assert client.get(f"{JOBS}{one}/items/?state=lost").json()["count"] == 0


def test_items_page_by_page(etl, post, as_user, viewer):
    task = etl.stage(5, failed=range(5))
    url = f"{JOBS}{post(JOBS, body_for(task, reason='x')).json()['id']}/items/?page_size=2"
    seen = []
    while url:
        page = as_user(viewer).get(url).json()
        seen += [row["map_index"] for row in page["results"]]
        url = page["next"]
    assert seen == list(range(5))
