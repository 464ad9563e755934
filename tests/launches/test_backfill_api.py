"""Backfills by REST: look, ask, follow, steer; and what others may not."""

from __future__ import annotations

import pytest

from panel.launches.guard_rails_changing import set_guard_rails
from panel.launches.models import Backfill
from tests.launches.backfilling import DAG, past_runs, watched, worked

pytestmark = pytest.mark.django_db

ASK = f"/api/v1/servers/prod/dags/{DAG}/backfills/"
LOOK = f"{ASK}dry-run/"
BODY = {
    "from_date": "2026-11-01T00:00:00Z",
    "to_date": "2026-11-05T00:00:00Z",
    "max_active_runs": 2,
    "params": {"region": "us"},
}


@pytest.fixture
def post(as_user, deployer, daily_dag):
    def send(path, body=None, user=deployer):
        return as_user(user).post(path, body or {}, content_type="application/json")

    return send


@pytest.fixture
def get(as_user, viewer, daily_dag):
    return lambda path, query=None: as_user(viewer).get(path, query)


def test_a_look_says_what_it_would_be_and_starts_nothing(post, fake_airflow):
    answer = post(LOOK, BODY)
    assert answer.status_code == 200
    told = answer.json()
    assert [date[:10] for date in told["dates"]] == [f"2026-11-0{number}" for number in range(1, 6)]
    assert (told["forecast"]["runs"], told["forecast"]["instances"]) == (5, None)
    assert "No run of this Dag that has ended is known here" in told["forecast"]["said"][0]
    assert (told["obstacles"], told["confirm"]) == ([], "")
    assert (Backfill.objects.count(), fake_airflow.world.backfills) == (0, {})


def test_a_look_with_a_past_has_numbers(post, server, fake_airflow):
    post(LOOK, BODY)
    past_runs(fake_airflow, server, [(400, 340), (300, 240)], conf={"region": "us"})
    told = post(LOOK, BODY).json()["forecast"]
    assert (told["instances"], told["based_on"], told["same_values"]) == (20, 2, True)
    assert told["seconds_low"] < told["seconds"] <= told["seconds_high"]
    assert told["tasks"] == [{"task_id": "report_shop", "low": 4, "typical": 4, "high": 4}]
    assert told["warnings"] == []


def test_asking_stores_it_once(post):
    body = BODY | {"idempotency_key": "k", "note": "why"}
    first, second = post(ASK, body), post(ASK, body)
    assert (first.status_code, second.status_code) == (201, 200)
    told = first.json()
    assert told["id"] == second.json()["id"]
    assert (told["state"], told["requested_by"], told["note"]) == ("submitting", "dora", "why")
    assert (told["from_date"], told["to_date"]) == ("2026-11-01T00:00:00Z", "2026-11-05T00:00:00Z")
    assert told["url"].endswith(f"/backfills/{told['id']}/")
    other = post(ASK, body | {"max_active_runs": 3})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"to_date": "2026-10-01T00:00:00Z"}, "to_date"),
        ({"from_date": "soon"}, "from_date"),
        ({"max_active_runs": 0}, "max_active_runs"),
        ({"reprocess": "all"}, "reprocess"),
        ({"params": {"depth": 9}}, "depth"),
        ({"params": {"shop": 9}}, "shop"),
        ({"max_activ_runs": 1}, "max_activ_runs"),
        ({"note": "x" * 801}, "note"),
    ],
)
def test_what_makes_no_sense_is_422_with_the_field(changes, field, post):
    for path in (ASK, LOOK):
        if path == LOOK and field == "note":
            continue
        answer = post(path, BODY | changes)
        assert answer.status_code == 422
        assert field in answer.json()["error"]["fields"]
    assert Backfill.objects.count() == 0


def test_a_second_one_is_409(post):
    post(ASK, BODY)
    answer = post(ASK, BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "backfill_active")
    assert "dora" in answer.json()["error"]["message"]


def test_a_protected_one_needs_the_word(post, admin, server):
    post(LOOK, BODY)
    set_guard_rails(user=admin, server=server, dag_id=DAG, protects="everything", needs_approval=False)
    assert post(LOOK, BODY).json()["confirm"] == DAG
    answer = post(ASK, BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "confirmation_needed")
    assert post(ASK, BODY | {"confirm": DAG}).status_code == 201


def test_where_approval_is_needed_it_is_409_unless_an_admin_asks(post, admin, server):
    post(LOOK, BODY)
    set_guard_rails(user=admin, server=server, dag_id=DAG, protects="everything")
    assert "ask an admin" in post(LOOK, BODY).json()["obstacles"][0]
    answer = post(ASK, BODY | {"confirm": DAG})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "approval_needed")
    assert post(ASK, BODY | {"confirm": DAG}, user=admin).status_code == 201


def test_while_airflow_is_away_a_look_is_503(post, fake_airflow):
    post(LOOK, BODY)
    fake_airflow.down = True
    assert post(LOOK, BODY).status_code == 503


def test_it_is_followed_and_steered(post, get, fake_airflow):
    path = f"/api/v1/backfills/{post(ASK, BODY).json()['id']}/"
    backfill = watched(worked(Backfill.objects.get()))
    told = get(path).json()
    assert (told["state"], told["planned"], told["counts"]["queued"]) == ("running", 5, 5)
    assert told["forecast"]["runs"] == 5
    assert post(f"{path}pause/").json()["state"] == "paused"
    assert post(f"{path}resume/").json()["state"] == "running"
    assert post(f"{path}cancel/").json()["state"] == "cancelled"
    watched(backfill)
    assert get(path).json()["counts"]["never_ran"] == 5
    answer = post(f"{path}pause/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_active")


def test_its_runs_are_listed_in_pages_and_by_state(post, get, fake_airflow):
    post(ASK, BODY)
    backfill = worked(Backfill.objects.get())
    fake_airflow.run_queued()
    watched(backfill)
    runs = get(f"/api/v1/backfills/{backfill.pk}/runs/", {"page_size": 2}).json()
    assert (runs["count"], len(runs["results"]), runs["next"] is not None) == (5, 2, True)
    first = runs["results"][0]
    assert (first["logical_date"], first["state"]) == ("2026-11-01T00:00:00Z", "success")
    assert first["run_id"] == "backfill__2026-11-01T00:00:00+00:00"
    assert first["duration"] is not None
    assert get(f"/api/v1/backfills/{backfill.pk}/runs/", {"state": "failed"}).json()["count"] == 0
    assert get(f"/api/v1/backfills/{backfill.pk}/runs/", {"state": "nonsense"}).status_code == 400


def test_the_list_is_filtered(post, get):
    post(ASK, BODY)
    for query, count in (({}, 1), ({"dag_id": DAG}, 1), ({"server": "other"}, 0), ({"state": "done"}, 0)):
        assert get("/api/v1/backfills/", query).json()["count"] == count
    assert get("/api/v1/backfills/", {"state": "nonsense"}).status_code == 400
    assert get("/api/v1/backfills/", {"sate": "done"}).status_code == 400


def test_secrets_are_masked(post, get, daily_dag):
    daily_dag.params["token"] = {"value": None, "schema": {"type": "string", "writeOnly": True}, "description": None}
    answer = post(ASK, BODY | {"params": {"token": "hush-hush-1"}})
    assert answer.status_code == 201
    assert "hush-hush-1" not in answer.content.decode()
    worked(Backfill.objects.get())
    assert "hush-hush-1" not in get(f"/api/v1/backfills/{answer.json()['id']}/").content.decode()


@pytest.mark.parametrize("who", ["viewer", "operator", "nobody"])
def test_others_may_not_start_or_steer(who, request, post):
    person = request.getfixturevalue(who)
    path = f"/api/v1/backfills/{post(ASK, BODY).json()['id']}/"
    for target in (ASK, LOOK, f"{path}pause/", f"{path}resume/", f"{path}cancel/"):
        assert post(target, BODY, user=person).status_code == 403
    assert Backfill.objects.get().state == "submitting"


def test_what_is_not_there_is_404(post, get):
    unknown = "/api/v1/backfills/00000000-0000-4000-8000-000000000000/"
    assert get(unknown).status_code == 404
    assert get(f"{unknown}runs/").status_code == 404
    assert post(f"{unknown}cancel/").status_code == 404
    assert post("/api/v1/servers/prod/dags/nothing/backfills/", BODY).status_code == 404
