"""The pages of backfills: ask, look, start, follow, pause, cancel; by people with other rights too."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from panel.launches.forecast_words import advice_words
from panel.launches.forecasting import Advice, Forecast, TaskSize
from panel.launches.guard_rails_changing import add_freeze, set_guard_rails
from panel.launches.models import Backfill
from panel.mirror.models import Dag
from tests.launches.backfilling import DAG, day, past_runs, text_of, worked

pytestmark = pytest.mark.django_db

FORM = f"/servers/prod/dags/{DAG}/backfill/"
LIST = f"/servers/prod/dags/{DAG}/backfills/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def entered(as_user, deployer, daily_dag):
    """``entered(client, to_date="…")``: the form filled in for 1 to 5 November."""

    def fill(client, **changes):
        form = client.get(FORM).context["form"]
        given = {
            "launch-form": form.reading.digest,
            "launch-key": form.conf.key,
            "launch-note": "the tariff was wrong",
            "backfill-from_date": "2026-11-01T00:00",
            "backfill-to_date": "2026-11-05T00:00",
            "backfill-reprocess": "none",
            "backfill-max_active_runs": "2",
            "p-region": '"us"',
            "p-depth": "3",
        }
        return given | changes

    return fill


@pytest.fixture
def dora(as_user, deployer):
    return as_user(deployer)


def test_the_form_begins_with_a_week_and_few_runs_at_a_time(dora, daily_dag):
    answer = dora.get(FORM)
    assert answer.status_code == 200
    initial = answer.context["form"].range.initial
    assert initial["to_date"] - initial["from_date"] == timedelta(days=6)
    assert (initial["reprocess"], initial["max_active_runs"]) == ("none", 2)
    assert "Leave it: only dates without a run are run" in text_of(answer)


def test_it_begins_with_no_more_runs_at_a_time_than_the_guard_rails_allow(dora, daily_dag, admin, server):
    dora.get(FORM)
    set_guard_rails(user=admin, server=server, dag_id=DAG, protects="nothing", active_runs=1)
    assert dora.get(FORM).context["form"].range.initial["max_active_runs"] == 1


def test_a_look_shows_the_dates_and_starts_nothing(dora, entered, fake_airflow):
    answer = dora.post(FORM, entered(dora))
    assert answer.status_code == 200
    assert "5 runs, one a date" in text_of(answer)
    assert "2026-11-05 00:00" in text_of(answer)
    assert "Start 5 runs" in text_of(answer)
    assert "No run of this Dag that has ended is known here" in text_of(answer)
    assert (Backfill.objects.count(), fake_airflow.world.backfills) == (0, {})


def test_a_look_says_what_it_comes_to(dora, entered, server, fake_airflow):
    dora.get(FORM)
    past_runs(fake_airflow, server, [(400, 340), (300, 240)], conf={"region": "us", "depth": 3})
    answer = dora.post(FORM, entered(dora))
    assert answer.context["forecast"].instances == 20
    shown = text_of(answer)
    assert "5 runs × 4" in shown
    assert "From the last 2 runs that ended, all with these values." in shown
    assert "No two runs of the past went on at once." in shown


def test_a_large_one_is_warned_about_with_what_to_lower(dora, entered, server, fake_airflow, monkeypatch):
    monkeypatch.setattr("panel.launches.forecasting.MANY_INSTANCES", 12)
    dora.get(FORM)
    past_runs(fake_airflow, server, [(400, 340), (300, 240)], conf={"region": "us", "depth": 3})
    shown = text_of(dora.post(FORM, entered(dora)))
    assert "5 runs × 4 = 20 instances" in shown
    assert "Shorten the range to 3 runs" in shown
    assert "Start 5 runs" in shown, "it is a warning"


def test_365_times_1000_in_words():
    told = Forecast(
        runs=365,
        at_once=10,
        tasks=[TaskSize("work", 1000, 1000, 1000)],
        instances=365_000,
        peak_high=1000,
        seconds_high=200_000,
        warnings=[
            Advice("many_instances", 365_000, 50_000, "runs", 50),
            Advice("many_at_once", 1_000, 128, "max_active_runs", 1),
            Advice("long", 200_000, 86_400, "runs", 157),
        ],
    )
    many, at_once, long = advice_words(told)
    assert "may take 2\N{NO-BREAK SPACE}d" in long
    assert "at most 157 runs" in long
    assert "1,000 instances want to run at once, and Airflow's default pool has 128 slots" in at_once
    assert "365 runs × 1,000 = 365,000 instances" in many
    assert "to 50 runs" in many
    assert "from 10 to 1" in at_once


def test_pools_that_may_not_be_seen_are_no_obstacle(dora, entered, server, fake_airflow):
    dora.get(FORM)
    past_runs(fake_airflow, server, [(400, 340), (300, 240)], conf={"region": "us", "depth": 3})
    fake_airflow.world.pools["default_pool"] = 2
    assert "The pool of its mapped tasks has 2 slots" in text_of(dora.post(FORM, entered(dora)))
    fake_airflow.forbid("pools")
    answer = dora.post(FORM, entered(dora))
    assert answer.status_code == 200
    assert answer.context["forecast"].pool_slots is None


def test_it_starts_once_however_often_one_clicks(dora, entered, fake_airflow):
    posted = entered(dora) | {"backfill-start": "1"}
    first, second = dora.post(FORM, posted), dora.post(FORM, posted)
    backfill = Backfill.objects.get()
    assert first["Location"] == second["Location"] == f"/backfills/{backfill.pk}/"
    assert (backfill.from_date, backfill.until, backfill.max_active_runs) == (day(1), day(5), 2)
    assert backfill.params == {"region": "us", "depth": 3}
    assert (backfill.note, backfill.username) == ("the tariff was wrong", "dora")
    worked(backfill)
    assert len(fake_airflow.world.backfills) == 1


def test_back_from_the_look_everything_is_as_it_was_entered(dora, entered):
    answer = dora.post(FORM, entered(dora) | {"launch-back": "1"})
    assert answer.status_code == 200
    form = answer.context["form"]
    assert form.range["from_date"].value() == "2026-11-01T00:00"
    assert form.conf.values == {"region": "us", "depth": 3}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backfill-from_date": ""}, "This field is required."),
        ({"backfill-to_date": "2026-10-01T00:00"}, "Before its beginning."),
        ({"backfill-max_active_runs": "0"}, "From 1 to 1000."),
        ({"backfill-reprocess": "all"}, "Select a valid choice."),
        ({"p-depth": "9"}, "Enter 5 or less."),
        ({"launch-note": "x" * 801}, "At most 800 characters."),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_starts(changes, said, dora, entered, fake_airflow):
    for more in ({}, {"backfill-start": "1"}):
        answer = dora.post(FORM, entered(dora) | changes | more, headers=HTMX)
        assert answer.status_code == 422
        assert said in text_of(answer)
        assert "<html" not in text_of(answer)
    assert Backfill.objects.count() == 0
    assert fake_airflow.calls("POST", "/backfills") == []


def test_all_that_is_wrong_is_said_at_once(dora, entered):
    wrong = {"backfill-to_date": "2026-10-01T00:00", "p-depth": "9"}
    shown = text_of(dora.post(FORM, entered(dora) | wrong))
    assert "Before its beginning." in shown
    assert "Enter 5 or less." in shown


def test_a_form_that_was_opened_before_the_dag_changed_is_noticed(dora, entered):
    answer = dora.post(FORM, entered(dora) | {"launch-form": "older", "backfill-start": "1"})
    assert answer.status_code == 422
    assert "have changed since" in text_of(answer)


def test_a_range_without_dates_cannot_be_started(dora, entered):
    noon = {"backfill-from_date": "2026-11-01T12:00", "backfill-to_date": "2026-11-01T13:00"}
    shown = text_of(dora.post(FORM, entered(dora) | noon))
    assert "There is nothing to run" in shown
    assert "backfill-start" not in shown


def test_one_that_is_active_is_named_before(dora, entered, backfilled):
    worked(backfilled(1, 2))
    shown = text_of(dora.post(FORM, entered(dora) | {"backfill-from_date": "2026-11-03T00:00"}))
    assert "dora started a backfill of this Dag" in shown
    assert "backfill-start" not in shown


def test_airflows_refusal_of_the_dry_run_stands_on_the_form(dora, entered, daily_dag, monkeypatch):
    posted = entered(dora)
    monkeypatch.setattr("panel.launches.backfill_looks.check_form", lambda *_: None)
    answer = dora.post(FORM, posted | {"p-depth": "4"})
    assert answer.status_code == 200
    daily_dag.params["depth"]["schema"]["maximum"] = 3
    monkeypatch.setattr("panel.launches.views_backfills.read_form", lambda **_: answer.context["reading"])
    answer = dora.post(FORM, posted | {"p-depth": "4"})
    assert answer.status_code == 422
    assert "4 is greater than the maximum of 3" in text_of(answer)


def test_while_airflow_is_away_nothing_is_looked_at_and_that_is_said(dora, entered, fake_airflow):
    posted = entered(dora)
    fake_airflow.down = True
    answer = dora.post(FORM, posted)
    assert answer.status_code == 503
    assert "Airflow cannot be asked now what it would run" in text_of(answer)


def test_a_freeze_is_said_on_form_and_look(dora, entered, admin, server):
    posted = entered(dora)
    now = timezone.now()
    hour = {"starts_at": now - timedelta(minutes=1), "ends_at": now + timedelta(hours=1)}
    add_freeze(user=admin, server=server, dag_id=DAG, reason="inventory", **hour)
    assert "inventory" in text_of(dora.get(FORM))
    assert "inventory" in text_of(dora.post(FORM, posted))
    assert dora.post(FORM, posted | {"backfill-start": "1"}).status_code == 409
    assert Backfill.objects.count() == 0


def test_a_protected_one_asks_for_the_word(dora, entered, admin, server):
    posted = entered(dora)
    set_guard_rails(user=admin, server=server, dag_id=DAG, protects="everything", needs_approval=False)
    assert f"Type <strong>{DAG}</strong> to confirm" in text_of(dora.post(FORM, posted))
    start = posted | {"backfill-start": "1"}
    wrong = dora.post(FORM, start | {"launch-confirm": "report"})
    assert wrong.status_code == 422
    assert f"“report” is not “{DAG}”." in text_of(wrong)
    assert Backfill.objects.count() == 0
    assert dora.post(FORM, start | {"launch-confirm": DAG}).status_code == 302
    assert Backfill.objects.get().protected


def test_where_approval_is_needed_only_an_admin_gets_a_button(dora, entered, admin, as_user, server):
    posted = entered(dora)
    set_guard_rails(user=admin, server=server, dag_id=DAG, protects="everything")
    shown = text_of(dora.post(FORM, posted))
    assert "ask an admin to start it" in shown
    assert "backfill-start" not in shown
    assert dora.post(FORM, posted | {"backfill-start": "1", "launch-confirm": DAG}).status_code == 409
    anna = as_user(admin)
    assert anna.post(FORM, entered(anna) | {"backfill-start": "1", "launch-confirm": DAG}).status_code == 302


def test_secrets_are_typed_again_and_shown_nowhere(dora, daily_dag, entered, fake_airflow):
    daily_dag.params["token"] = {
        "value": None, "schema": {"type": "string", "format": "password"}, "description": None, "source": None
    }  # fmt: skip
    posted = entered(dora, **{"p-token": "hush-hush-1"})
    look = dora.post(FORM, posted)
    assert look.status_code == 200
    assert "hush-hush-1" not in text_of(look)
    assert 'type="password"' in text_of(look)
    answer = dora.post(FORM, posted | {"backfill-start": "1"})
    worked(Backfill.objects.get())
    assert "hush-hush-1" not in text_of(dora.get(answer["Location"]))
    (made,) = fake_airflow.world.backfills.values()
    assert made.dag_run_conf["token"] == "hush-hush-1"


def test_a_dag_without_a_schedule_says_so_on_its_page_and_its_form(dora, server, deploy_dag):
    Dag.objects.create(server=server, dag_id="deploy", can_be_backfilled=False)
    page = text_of(dora.get("/servers/prod/dags/deploy/"))
    assert "No backfills: it has no schedule" in page
    assert "Backfill…" not in page
    assert "cannot be backfilled" in text_of(dora.get("/servers/prod/dags/deploy/backfill/"))


def test_the_dags_page_leads_to_the_form_and_the_list(dora, server, as_user, viewer):
    Dag.objects.create(server=server, dag_id=DAG, can_be_backfilled=True)
    page = text_of(dora.get(f"/servers/prod/dags/{DAG}/"))
    assert f'href="{FORM}"' in page
    assert f'href="{LIST}"' in page
    seen = text_of(as_user(viewer).get(f"/servers/prod/dags/{DAG}/"))
    assert f'href="{FORM}"' not in seen
    assert f'href="{LIST}"' in seen
