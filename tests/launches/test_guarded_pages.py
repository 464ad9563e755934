"""Pages and REST of protected launches: confirm, wait, decide; setting guard rails and freezes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from panel.launches.dag_forms import read_form
from panel.launches.guard_rails_changing import add_freeze, set_guard_rails
from panel.launches.models import FreezeWindow, GuardRails, Launch

pytestmark = pytest.mark.django_db
URL = "/servers/prod/dags/deploy/launch/"
RAILS = "/servers/prod/dags/deploy/guard-rails/"
SET = f"{RAILS}set/"
API = "/api/v1/servers/prod/dags/deploy/launches/"


@pytest.fixture
def guard(server, admin, deploy_dag):
    read_form(server=server, dag_id="deploy")

    def set_them(**columns):
        given = {"protects": "values", "values": [("env", "prod")]} | columns
        return set_guard_rails(user=admin, server=server, dag_id="deploy", **given)

    return set_them


@pytest.fixture
def second(person):
    return person("dirk", "deployer")


@pytest.fixture
def waiting(guard, launched) -> Launch:
    guard()
    return launched(env="prod")


def text_of(response):
    return " ".join(response.content.decode().split())


def filled_in(client, **more):
    form = client.get(URL).context["form"]
    posted = {"launch-form": form.reading.digest, "launch-key": form.key, "p-env": '"prod"', "p-replicas": "2"}
    return posted | {"p-version": "1.2.3"} | more


@pytest.mark.parametrize("htmx", [True, False])
def test_a_protected_launch_is_shown_whole_before_it_is_confirmed(htmx, guard, as_user, deployer, launched, submitted):
    submitted(launched(env="staging", version="1.2.2"))
    guard()
    client = as_user(deployer)
    headers = {"HX-Request": "true"} if htmx else {}
    answer = client.post(URL, filled_in(client), headers=headers)
    page = text_of(answer)
    assert answer.status_code == 200
    assert ("<html" in page) is not htmx
    assert "env = prod is protected." in page
    assert "Type <strong>prod</strong> to confirm" in page
    rows = {row.name: row for row in answer.context["comparison"].rows}
    assert (rows["env"].value, rows["env"].last, rows["env"].changed) == ("prod", "staging", True)
    assert (rows["version"].value, rows["version"].last) == ("1.2.3", "1.2.2")
    assert rows["replicas"].changed is False
    assert Launch.objects.count() == 1


def test_the_word_has_to_be_right(guard, as_user, deployer):
    guard()
    client = as_user(deployer)
    posted = filled_in(client)
    wrong = client.post(URL, posted | {"launch-confirm": "prd"})
    assert wrong.status_code == 422
    assert "“prd” is not “prod”." in text_of(wrong)
    assert not Launch.objects.exists()
    right = client.post(URL, dict(wrong.context["form"].carried) | {"launch-confirm": "prod"})
    launch = Launch.objects.get()
    assert right["Location"] == f"/launches/{launch.pk}/"
    assert (launch.state, launch.params["version"]) == ("awaiting_approval", "1.2.3")


def test_back_to_the_form_keeps_what_was_typed(guard, as_user, deployer):
    guard()
    client = as_user(deployer)
    confirm = client.post(URL, filled_in(client))
    page = text_of(client.post(URL, dict(confirm.context["form"].carried) | {"launch-back": "1"}))
    assert 'name="p-version" type="text" value="1.2.3"' in page
    assert "launch-confirm" not in page
    assert not Launch.objects.exists()


def test_what_needs_no_confirmation_starts_at_once(guard, as_user, deployer):
    guard()
    client = as_user(deployer)
    client.post(URL, filled_in(client, **{"p-env": '"staging"'}))
    assert Launch.objects.get().state == "submitting"


def test_a_freeze_is_said_before_and_turns_it_down(server, admin, deploy_dag, as_user, deployer):
    now = timezone.now()
    add_freeze(user=admin, server=server, starts_at=now, ends_at=now + timedelta(hours=1), reason="<b>release</b>")
    client = as_user(deployer)
    page = text_of(client.get(URL))
    assert "Nothing can be launched now" in page
    assert "&lt;b&gt;release&lt;/b&gt;" in page
    answer = client.post(URL, filled_in(client))
    assert answer.status_code == 409
    assert not Launch.objects.exists()


def test_somebody_else_decides_on_its_page(waiting, as_user, second):
    client = as_user(second)
    page = text_of(client.get(f"/launches/{waiting.pk}/"))
    assert "Approve and start" in page
    assert "dora asked for it" in page
    client.post(f"/launches/{waiting.pk}/decide/", {"decision": "approve", "comment": "go"})
    waiting.refresh_from_db()
    assert (waiting.state, waiting.decision_comment) == ("submitting", "go")
    assert "Approved by <strong>dirk</strong>" in text_of(client.get(f"/launches/{waiting.pk}/"))


def test_the_one_who_asked_sees_why_they_cannot(waiting, as_user, deployer):
    page = text_of(as_user(deployer).get(f"/launches/{waiting.pk}/"))
    assert "Approve and start" not in page
    assert "approved by somebody else" in page
    assert "Cancel this launch" in page
    as_user(deployer).post(f"/launches/{waiting.pk}/decide/", {"decision": "approve"})
    waiting.refresh_from_db()
    assert waiting.state == "awaiting_approval"


def test_a_viewer_sees_whom_to_ask(waiting, as_user, viewer):
    page = text_of(as_user(viewer).get(f"/launches/{waiting.pk}/"))
    assert "Approving takes the group deployer" in page
    assert as_user(viewer).post(f"/launches/{waiting.pk}/decide/", {"decision": "approve"}).status_code == 403


@pytest.mark.parametrize("decision", ["", "maybe"])
def test_what_is_no_decision_decides_nothing(decision, waiting, as_user, second):
    as_user(second).post(f"/launches/{waiting.pk}/decide/", {"decision": decision})
    waiting.refresh_from_db()
    assert waiting.state == "awaiting_approval"


def test_a_rejection_without_a_reason_is_asked_for_one(waiting, as_user, second):
    answer = as_user(second).post(f"/launches/{waiting.pk}/decide/", {"decision": "reject"}, follow=True)
    assert "Say why" in text_of(answer)
    waiting.refresh_from_db()
    assert waiting.state == "awaiting_approval"


def test_the_list_says_what_waits_for_whom(waiting, as_user, second, deployer, viewer):
    assert "1 launch waits for your yes or no" in text_of(as_user(second).get("/launches/"))
    for user in (deployer, viewer):
        assert "waits for your yes" not in text_of(as_user(user).get("/launches/"))


def test_a_poll_of_the_page_notices_the_decision(waiting, as_user, second, deployer):
    client = as_user(deployer)
    version = client.get(f"/launches/{waiting.pk}/").context["board"].version
    poll = f"/launches/{waiting.pk}/?v={version}"
    assert client.get(poll, headers={"HX-Request": "true"}).status_code == 204
    as_user(second).post(f"/launches/{waiting.pk}/decide/", {"decision": "reject", "comment": "no"})
    assert "rejected" in text_of(client.get(poll, headers={"HX-Request": "true"}))


# ── REST ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def send(client, url, body=None):
    return client.post(url, json.dumps(body or {}), content_type="application/json")


def test_rest_answers_202_and_waits(guard, as_user, deployer, second):
    guard()
    asked = {"params": {"version": "1", "env": "prod"}, "idempotency_key": "k"}
    answer = send(as_user(deployer), API, asked)
    assert answer.status_code == 202
    launch = answer.json()
    assert (launch["state"], launch["protected"], launch["decided_by"]) == ("awaiting_approval", True, "")
    assert launch["expires_at"]
    again = send(as_user(deployer), API, asked)
    assert (again.status_code, again.json()["id"]) == (200, launch["id"])
    own = send(as_user(deployer), f"/api/v1/launches/{launch['id']}/approve/")
    assert own.status_code == 409
    yes = send(as_user(second), f"/api/v1/launches/{launch['id']}/approve/", {"comment": "go"})
    assert yes.status_code == 200
    assert (yes.json()["state"], yes.json()["decided_by"]) == ("submitting", "dirk")
    assert send(as_user(second), f"/api/v1/launches/{launch['id']}/reject/", {"comment": "no"}).status_code == 409


def test_rest_rejects_with_a_reason(waiting, as_user, second):
    url = f"/api/v1/launches/{waiting.pk}/reject/"
    assert send(as_user(second), url).status_code == 422
    assert send(as_user(second), url, {"comment": "x" * 501}).status_code == 422
    assert send(as_user(second), url, {"comment": "no", "force": True}).status_code == 422
    assert send(as_user(second), url, {"comment": "no"}).json()["state"] == "rejected"


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_rest_decisions_take_the_right(verb, waiting, as_user, viewer, client):
    url = f"/api/v1/launches/{waiting.pk}/{verb}/"
    assert send(as_user(viewer), url, {"comment": "x"}).status_code == 403
    assert send(client, url, {"comment": "x"}).status_code == 401


def test_rest_confirms_what_nobody_approves(guard, as_user, deployer):
    guard(needs_approval=False)
    body = {"params": {"version": "1", "env": "prod"}}
    refused = send(as_user(deployer), API, body)
    assert refused.status_code == 422
    assert list(refused.json()["error"]["fields"]) == ["confirm"]
    assert refused.json()["error"]["code"] == "confirmation_needed"
    assert send(as_user(deployer), API, body | {"confirm": "prod"}).status_code == 201


def test_rest_says_when_there_is_room_again(guard, as_user, deployer):
    guard(protects="nothing", values=[], launches_an_hour=1)
    body = {"params": {"version": "1"}}
    assert send(as_user(deployer), API, body).status_code == 201
    refused = send(as_user(deployer), API, body)
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 3_500


# ── Setting them ─────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def known(as_user, admin, deploy_dag):
    client = as_user(admin)
    client.get(URL)  # reads the params
    return client


ENTERED = {"protects": "values", "values": "env = prod", "needs_approval": "on", "approval_hours": "8",
           "launches_an_hour": "", "active_runs": "3"}  # fmt: skip


def test_an_admin_sets_them_and_everybody_reads_them(known, as_user, viewer):
    assert "Nothing: a launch starts" in text_of(known.get(RAILS))
    assert known.post(SET, ENTERED)["Location"] == RAILS
    rails = GuardRails.objects.get()
    assert (rails.values, rails.needs_approval, rails.approval_hours) == ([("env", "prod")], True, 8)
    assert (rails.launches_an_hour, rails.active_runs) == (None, 3)
    page = text_of(as_user(viewer).get(RAILS))
    assert "Somebody else has to approve it within 8 hours." in page
    assert "rails-form" not in page
    assert "env = prod</textarea>" in text_of(known.get(RAILS))


@pytest.mark.parametrize("who", ["viewer", "operator", "deployer"])
def test_nobody_else_sets_them(who, known, request, as_user):
    client = as_user(request.getfixturevalue(who))
    assert client.post(SET, ENTERED).status_code == 403
    assert client.post("/servers/prod/dags/deploy/freezes/", {"reason": "x"}).status_code == 403
    assert not GuardRails.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"values": "evn = prod"}, "The Dag has no param “evn”."),
        ({"values": ""}, "Say which values protect a launch"),
        ({"approval_hours": "soon"}, "Enter a whole number."),
        ({"approval_hours": "9999"}, "From 1 to 336."),
        ({"protects": "most"}, "Select a valid choice"),
    ],
)
def test_what_makes_no_sense_is_said_beside_its_field(wrong, words, known):
    answer = known.post(SET, ENTERED | wrong)
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert not GuardRails.objects.exists()


def test_a_freeze_is_set_seen_and_ended(known, as_user, viewer):
    begins = datetime.now(UTC).replace(microsecond=0, second=0)
    entered = {"starts_at": begins.strftime("%Y-%m-%dT%H:%M"), "reason": "<i>night</i>", "whole_server": "on"}
    entered["ends_at"] = (begins + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M")
    assert known.post("/servers/prod/dags/deploy/freezes/", entered).status_code == 302
    freeze = FreezeWindow.objects.get()
    assert (freeze.starts_at, freeze.ends_at, freeze.dag_id) == (begins, begins + timedelta(hours=3), "")
    page = text_of(as_user(viewer).get(RAILS))
    assert "&lt;i&gt;night&lt;/i&gt;" in page
    assert "End now" not in page
    assert "End now" in text_of(known.get(RAILS))
    known.post(f"/servers/prod/dags/deploy/freezes/{freeze.pk}/end/")
    assert "None: launches may start at any time." in text_of(known.get(RAILS))
    assert known.post("/servers/prod/dags/deploy/freezes/999/end/", follow=True).status_code == 200


def test_a_freeze_that_makes_no_sense_is_said(known):
    entered = {"starts_at": "2026-01-02T00:00", "ends_at": "2026-01-01T00:00", "reason": "x"}
    answer = known.post("/servers/prod/dags/deploy/freezes/", entered)
    assert answer.status_code == 422
    assert "After its beginning" in text_of(answer)
    assert "<details" in text_of(answer)
    assert not FreezeWindow.objects.exists()


@pytest.mark.parametrize(
    ("zone", "begins"),
    [("Europe/Berlin", "2026-12-24T17:00:00+00:00"), ("", "2026-12-24T18:00:00+00:00")],
)
def test_the_times_of_a_freeze_are_on_the_clock_of_who_set_it(zone, begins, known):
    zones = {"starts_at_zone": zone, "ends_at_zone": zone}
    entered = {"starts_at": "2026-12-24T18:00", "ends_at": "2027-01-02T08:00", "reason": "holidays"} | zones
    assert known.post("/servers/prod/dags/deploy/freezes/", entered).status_code == 302
    assert FreezeWindow.objects.get().starts_at == datetime.fromisoformat(begins)


@pytest.mark.parametrize(
    ("zone", "words"),
    [("Moon/Base", "This time zone is not known."), ("Europe/Berlin", "This time does not exist in Europe/Berlin")],
)
def test_a_time_that_no_clock_shows_is_said(zone, words, known):
    zones = {"starts_at_zone": zone, "ends_at_zone": zone}
    entered = {"starts_at": "2027-03-28T02:30", "ends_at": "2027-03-29T08:00", "reason": "x"} | zones
    answer = known.post("/servers/prod/dags/deploy/freezes/", entered)
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert not FreezeWindow.objects.exists()


def test_an_unknown_dag_has_none(known):
    assert known.get("/servers/prod/dags/depoly/guard-rails/").status_code == 404
    assert known.get("/servers/moon/dags/deploy/guard-rails/").status_code == 404


# ── Setting them by REST ─────────────────────────────────────────────────────────────────────────────────────────
REST_RAILS = "/api/v1/servers/prod/dags/deploy/guard-rails/"
FREEZES = "/api/v1/servers/prod/freezes/"


def put(client, body):
    return client.put(REST_RAILS, json.dumps(body), content_type="application/json")


def test_rest_sets_and_tells_them(known, as_user, viewer):
    assert known.get(REST_RAILS).json()["protects"] == "nothing"
    body = {"protects": "values", "values": [{"param": "env", "value": "prod"}], "approval_hours": 2, "active_runs": 5}
    assert put(known, body).status_code == 200
    told = as_user(viewer).get(REST_RAILS).json()
    assert {name: told[name] for name in body} == body
    assert (told["needs_approval"], told["launches_an_hour"]) == (True, None)
    assert put(known, {"protects": "values"}).status_code == 422
    assert put(known, {"protects": "everything", "why": "x"}).status_code == 422
    assert put(as_user(viewer), body).status_code == 403


def test_rest_freezes_and_ends(known, as_user, viewer):
    now = timezone.now()
    body = {"starts_at": now.isoformat(), "ends_at": (now + timedelta(hours=1)).isoformat(), "reason": "night"}
    made = send(known, FREEZES, body)
    assert made.status_code == 201
    assert made.json()["dag_id"] == ""
    assert [one["id"] for one in as_user(viewer).get(FREEZES).json()["results"]] == [made.json()["id"]]
    url = f"{FREEZES}{made.json()['id']}/"
    assert as_user(viewer).delete(url).status_code == 403
    assert known.delete(url).status_code == 204
    assert as_user(viewer).get(FREEZES).json()["results"] == []
    assert known.delete(f"{FREEZES}999/").status_code == 404
    assert send(known, FREEZES, body | {"ends_at": body["starts_at"]}).status_code == 422
    assert send(known, FREEZES, body | {"dag_id": "depoly"}).status_code == 422
    assert send(as_user(viewer), FREEZES, body).status_code == 403
