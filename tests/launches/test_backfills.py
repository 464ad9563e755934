"""A stored backfill becomes exactly one in Airflow; what Airflow holds afterwards is the proof."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from panel.access.models import AuditEvent
from panel.airflow import BackfillOrder
from panel.launches.backfill_submission import submit_backfill
from panel.launches.backfills import cancel_backfill, request_backfill
from panel.launches.guard_rails_changing import add_freeze, set_guard_rails
from panel.launches.models import Backfill
from panel.mirror.models import Dag
from panel.problems import Conflicting, Unprocessable
from panel.servers.client import open_client
from tests.launches.backfilling import DAG, asked, day, fresh, worked

pytestmark = pytest.mark.django_db


def made_in(fake_airflow):
    return list(fake_airflow.world.backfills.values())


def posts_in(fake_airflow):
    return [one for one in fake_airflow.calls("POST", "/backfills") if not one.path.endswith("dry_run")]


def by_somebody_else(server, first, last, **more):
    order = {"dag_id": DAG, "from_date": day(first), "to_date": day(last), "max_active_runs": 2} | more
    with open_client(server) as airflow:
        return airflow.backfills.create(BackfillOrder(**order))


def test_airflow_gets_what_was_asked_for(backfilled, fake_airflow):
    backfill = worked(backfilled(1, 3, reprocess="failed", max_active_runs=7, run_backwards=True))
    assert backfill.state == "running"
    (made,) = made_in(fake_airflow)
    assert (made.id, made.from_date, made.to_date.replace(microsecond=0)) == (backfill.airflow_id, day(1), day(3))
    assert (made.dag_run_conf, made.reprocess_behavior, made.max_active_runs) == ({"region": "us"}, "failed", 7)
    assert [run.logical_date for run in backfill.runs.all()] == [day(3), day(2), day(1)]
    assert (backfill.planned, backfill.counts) == (3, {"waiting": 3})


def test_submitting_again_makes_no_second_one(backfilled, fake_airflow):
    backfill = worked(backfilled())
    fake_airflow.forget_requests()
    worked(backfill)
    assert len(made_in(fake_airflow)) == 1
    assert fake_airflow.requests == []


def test_a_double_click_is_one_backfill(backfilled, fake_airflow):
    one, two = backfilled(key="k"), backfilled(key="k")
    assert one.pk == two.pk
    worked(one)
    worked(two)
    assert len(made_in(fake_airflow)) == 1


def test_two_clicks_at_the_same_moment_are_one_backfill(server, deployer, daily_dag, monkeypatch):
    """The second looked for its key before the first was stored."""
    ask = {"user": deployer, "server": server, "dag_id": DAG, "asked": asked(), "idempotency_key": "k"}
    first = request_backfill(**ask).backfill
    looked = []

    def too_early(user, key):
        looked.append(key)
        return None if len(looked) == 1 else first

    monkeypatch.setattr("panel.launches.backfills.backfill_of_key", too_early)
    again = request_backfill(**ask)
    assert (again.backfill.pk, again.created) == (first.pk, False)
    assert Backfill.objects.count() == 1


def test_a_key_with_another_body_is_refused(backfilled):
    backfilled(1, 3, key="k")
    with pytest.raises(Conflicting) as caught:
        backfilled(1, 4, key="k")
    assert caught.value.code == "idempotency_key_reused"


def test_a_lost_answer_after_airflow_did_the_work_makes_no_second_one(backfilled, fake_airflow):
    fake_airflow.fail_next(method="POST", path="/api/v2/backfills", skip=1, drop=True, after=True)  # the dry run passes
    backfill = worked(backfilled())
    assert backfill.state == "submitting"
    (made,) = made_in(fake_airflow)
    again = worked(backfill)
    assert (again.state, again.airflow_id) == ("running", made.id)
    assert len(posts_in(fake_airflow)) == 1, "it must be looked up, not sent again"


def test_a_time_out_before_airflow_did_anything_is_sent_again(backfilled, fake_airflow):
    fake_airflow.fail_next(method="POST", path="/api/v2/backfills", skip=1, hang=60)
    backfill = worked(backfilled())
    assert (backfill.state, made_in(fake_airflow)) == ("submitting", [])
    assert worked(backfill).state == "running"
    assert len(made_in(fake_airflow)) == 1
    assert backfill.runs.count() == 3


def test_a_lost_answer_is_found_also_when_it_is_over_by_then(backfilled, fake_airflow):
    fake_airflow.fail_next(method="POST", path="/api/v2/backfills", skip=1, drop=True, after=True)
    backfill = worked(backfilled())
    fake_airflow.run_queued()
    assert made_in(fake_airflow)[0].completed_at is not None
    assert worked(backfill).state == "running", "the next look tells that it is done"
    assert len(posts_in(fake_airflow)) == 1


def test_losing_the_race_to_our_own_first_request_is_no_second_one(backfilled, fake_airflow, monkeypatch):
    """The request that was given up on arrives in Airflow between our look and our second request."""
    from panel.launches import backfill_submission

    really = backfill_submission._ours
    looked = []

    def look_then_lose_the_race(airflow, one):
        looked.append(one)
        if len(looked) == 1:
            airflow.backfills.create(backfill_submission.order_of(one))
            fake_airflow.forget_requests()
            return None
        return really(airflow, one)

    backfill = backfilled()
    Backfill.objects.filter(pk=backfill.pk).update(sent_at=timezone.now())
    monkeypatch.setattr(backfill_submission, "_ours", look_then_lose_the_race)
    monkeypatch.setattr(backfill_submission, "active_backfill", lambda *_: None)
    monkeypatch.setattr(backfill_submission, "planned_dates", lambda _: [day(1)])
    assert worked(backfill).state == "running"
    assert len(made_in(fake_airflow)) == 1
    assert len(posts_in(fake_airflow)) == 1, "answered with 409"


def test_a_killed_workers_backfill_goes_on(backfilled, fake_airflow):
    backfill = backfilled()
    ago = timezone.now() - timedelta(seconds=1)
    Backfill.objects.filter(pk=backfill.pk).update(claim=uuid4(), claimed_until=ago, sent_at=ago)
    assert worked(backfill).state == "running"
    assert len(made_in(fake_airflow)) == 1


def test_a_worker_killed_after_airflow_did_the_work_leaves_one(backfilled, fake_airflow, monkeypatch):
    from panel.launches import backfill_submission

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    backfill = backfilled()
    monkeypatch.setattr(backfill_submission, "_settle", die)
    with pytest.raises(Killed):
        submit_backfill(backfill_id=backfill.pk)
    monkeypatch.undo()
    monkeypatch.setattr("panel.servers.client.transport_for", lambda server: fake_airflow.transport())
    assert worked(backfill).state == "submitting", "the dead worker's claim holds for a while"
    Backfill.objects.filter(pk=backfill.pk).update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert worked(backfill).state == "running"
    assert len(made_in(fake_airflow)) == 1


def test_it_waits_while_airflow_is_away_and_goes_on_when_it_is_back(backfilled, fake_airflow):
    backfill = backfilled()
    fake_airflow.down = True
    backfill = worked(backfill)
    assert backfill.state == "submitting"
    assert backfill.message
    assert backfill.next_attempt_at > timezone.now()
    fake_airflow.down = False
    assert worked(backfill).state == "running"


def test_one_asked_for_while_airflow_was_away_is_checked_before_it_is_sent(server, deployer, daily_dag, fake_airflow):
    from panel.launches.dag_forms import read_form

    read_form(server=server, dag_id=DAG)
    fake_airflow.down = True
    backfill = request_backfill(user=deployer, server=server, dag_id=DAG, asked=asked()).backfill
    fake_airflow.down = False
    daily_dag.params["shop"] = {"value": None, "schema": {"type": "string"}, "description": None, "source": None}
    backfill = worked(backfill)
    assert (backfill.state, list(backfill.fields)) == ("refused", ["shop"])
    assert posts_in(fake_airflow) == []


def test_when_its_time_is_over_it_is_refused_and_nothing_starts(backfilled, fake_airflow):
    backfill = backfilled()
    fake_airflow.down = True
    Backfill.objects.filter(pk=backfill.pk).update(deadline_at=timezone.now())
    backfill = worked(backfill)
    assert backfill.state == "refused"
    assert "Nothing was started" in backfill.message


def test_a_late_one_that_airflow_may_have_is_looked_up_before_it_is_given_up(backfilled, fake_airflow):
    fake_airflow.fail_next(method="POST", path="/api/v2/backfills", skip=1, drop=True, after=True)
    backfill = worked(backfilled())
    Backfill.objects.filter(pk=backfill.pk).update(deadline_at=timezone.now())
    fake_airflow.down = True
    assert worked(backfill).state == "submitting"
    fake_airflow.down = False
    assert worked(backfill).state == "running"


def test_one_that_somebody_else_started_is_named_in_the_refusal(backfilled, server, fake_airflow):
    backfill = backfilled(1, 3)
    other = by_somebody_else(server, 10, 12)
    backfill = worked(backfill)
    assert backfill.state == "refused"
    assert f"number {other.id}" in backfill.message
    assert "2026-11-10" in backfill.message
    assert "outside of Mapboard" in backfill.message
    assert len(made_in(fake_airflow)) == 1


def test_the_same_range_by_somebody_else_is_not_taken_for_ours(backfilled, server, fake_airflow):
    backfill = backfilled(1, 3)
    by_somebody_else(server, 1, 3, conf={"region": "us"})
    assert worked(backfill).state == "refused"


def test_a_second_one_of_ours_is_refused_at_once_and_names_the_first(backfilled, person):
    backfilled(1, 3)
    with pytest.raises(Conflicting, match="dora started a backfill of this Dag") as caught:
        backfilled(5, 6, user=person("dirk", "deployer"))
    assert caught.value.code == "backfill_active"


def test_a_range_with_nothing_to_run_is_refused_and_leaves_nothing_in_airflow(backfilled, fake_airflow):
    fake_airflow.add_run(DAG, "scheduled__1", state="success", logical_date=day(1), run_type="scheduled")
    backfill = worked(backfilled(1, 1))
    assert backfill.state == "refused"
    assert "nothing to run" in backfill.message
    assert made_in(fake_airflow) == []


def test_params_that_do_not_fit_are_refused_with_a_message_at_each(backfilled):
    with pytest.raises(Unprocessable) as caught:
        backfilled(params={"depth": 9, "shop": 1})
    assert set(caught.value.fields) == {"depth", "shop"}
    assert Backfill.objects.count() == 0


def test_a_range_that_is_none_is_refused(backfilled):
    for wrong, field in (((5, 1), "to_date"), ((400, 401), "from_date")):
        with pytest.raises(Unprocessable) as caught:
            backfilled(*wrong)
        assert list(caught.value.fields) == [field]
    for wrong in ({"max_active_runs": 0}, {"reprocess": "all"}, {"note": "x" * 801}):
        with pytest.raises(Unprocessable) as caught:
            backfilled(**wrong)
        assert list(caught.value.fields) == list(wrong)


def test_a_dag_without_a_schedule_is_refused_in_plain_words(server, deployer, deploy_dag, fake_airflow):
    Dag.objects.create(server=server, dag_id="deploy", can_be_backfilled=False)
    with pytest.raises(Conflicting, match="no schedule"):
        request_backfill(
            user=deployer, server=server, dag_id="deploy", asked=asked(params={"version": "1", "env": "prod"})
        )


def test_a_freeze_refuses_it_also_one_set_after_it_was_asked_for(backfilled, server, admin, fake_airflow):
    backfill = backfilled()
    now = timezone.now()
    hour = {"starts_at": now - timedelta(minutes=1), "ends_at": now + timedelta(hours=1)}
    add_freeze(user=admin, server=server, dag_id=DAG, reason="end of the year", **hour)
    backfill = worked(backfill)
    assert backfill.state == "refused"
    assert "end of the year" in backfill.message
    with pytest.raises(Conflicting, match="end of the year"):
        backfilled()
    assert made_in(fake_airflow) == []


def test_a_protected_one_is_confirmed_by_typing(server, deployer, daily_dag, admin, backfilled):
    backfilled()  # the Dag is known by now
    Backfill.objects.all().delete()
    us = [("region", "us")]
    set_guard_rails(user=admin, server=server, dag_id=DAG, protects="values", values=us, needs_approval=False)
    ask = {"user": deployer, "server": server, "dag_id": DAG, "asked": asked()}
    for typed in (None, "", "eu"):
        with pytest.raises(Unprocessable) as caught:
            request_backfill(**ask, confirm=typed)
        assert caught.value.code == "confirmation_needed"
    assert request_backfill(**ask, confirm="us").backfill.protected
    Backfill.objects.all().delete()
    other = asked(params={"region": "eu"})
    assert not request_backfill(**(ask | {"asked": other})).backfill.protected


def test_where_launches_need_approval_only_an_admin_starts_one(server, deployer, daily_dag, admin, backfilled):
    backfilled()
    Backfill.objects.all().delete()
    set_guard_rails(user=admin, server=server, dag_id=DAG, protects="everything")
    with pytest.raises(Conflicting, match="ask an admin"):
        request_backfill(user=deployer, server=server, dag_id=DAG, asked=asked(), confirm=DAG)
    backfill = request_backfill(user=admin, server=server, dag_id=DAG, asked=asked(), confirm=DAG).backfill
    assert worked(backfill).state == "running"


def test_guard_rails_set_after_it_was_asked_for_hold_too(backfilled, server, admin, fake_airflow):
    backfill = backfilled()
    set_guard_rails(user=admin, server=server, dag_id=DAG, protects="everything", needs_approval=False)
    backfill = worked(backfill)
    assert backfill.state == "refused"
    assert "guard rails were set" in backfill.message
    assert made_in(fake_airflow) == []


def test_no_more_runs_at_a_time_than_the_guard_rails_allow(backfilled, server, admin):
    backfilled()
    Backfill.objects.all().delete()
    set_guard_rails(user=admin, server=server, dag_id=DAG, protects="nothing", active_runs=1)
    with pytest.raises(Unprocessable) as caught:
        backfilled()
    assert list(caught.value.fields) == ["max_active_runs"]


def test_who_lost_the_right_starts_nothing(backfilled, deployer, fake_airflow):
    backfill = backfilled()
    deployer.groups.clear()
    backfill = worked(backfill)
    assert (backfill.state, made_in(fake_airflow)) == ("refused", [])
    assert "may no longer launch" in backfill.message


@pytest.mark.parametrize("who", ["viewer", "operator", "nobody"])
def test_others_may_not_ask_for_one(who, request, server, daily_dag):
    with pytest.raises(PermissionDenied):
        request_backfill(user=request.getfixturevalue(who), server=server, dag_id=DAG, asked=asked())


def test_one_of_which_nothing_was_sent_can_be_taken_back(backfilled, deployer, fake_airflow):
    backfill = cancel_backfill(user=deployer, backfill=backfilled())
    assert backfill.state == "cancelled"
    assert worked(backfill).state == "cancelled"
    assert made_in(fake_airflow) == []


def test_a_cancel_between_look_and_send_wins(backfilled, deployer, fake_airflow, monkeypatch):
    backfill = backfilled()
    monkeypatch.setattr(
        "panel.launches.backfill_submission._ours",
        lambda airflow, one: cancel_backfill(user=deployer, backfill=Backfill.objects.get(pk=one.pk)) and None,
    )
    assert worked(backfill).state == "cancelled"
    assert made_in(fake_airflow) == []


def test_two_backfills_of_a_dag_never_have_the_same_tag(backfilled, deployer, monkeypatch):
    first = cancel_backfill(user=deployer, backfill=backfilled())
    monkeypatch.setattr("panel.launches.backfills.uuid4", lambda: type(first.id)(int=first.id.int + 999_999))
    second = backfilled()
    assert (second.until, second.to_date != first.to_date) == (first.until, True)
    assert second.to_date.microsecond != 0


def test_airflows_own_refusal_is_told_at_the_param(backfilled, daily_dag, fake_airflow):
    backfill = backfilled(params={"depth": 5})
    daily_dag.params["depth"]["schema"]["maximum"] = 3  # the Dag changed since
    backfill = worked(backfill)
    assert (backfill.state, list(backfill.fields)) == ("refused", ["depth"])


def test_a_server_that_was_removed_is_said(backfilled, server):
    backfill = backfilled()
    server.delete()
    assert "removed from Mapboard" in worked(backfill).message


def test_every_change_leaves_a_trace_without_values(backfilled):
    backfill = worked(backfilled())
    rows = AuditEvent.objects.filter(target_kind="backfill", target_id=str(backfill.pk)).order_by("pk")
    assert [row.action for row in rows] == ["launches.request_backfill", "launches.start_backfill"]
    assert "us" not in str([row.detail for row in rows])
    assert fresh(backfill).username == "dora"
