"""Backfills: what Airflow makes of a range of dates, what it refuses, and what pause and cancel do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from panel.airflow import BackfillOrder, Conflict, Invalid, NotFound

DAG = "contract_daily"


@pytest.fixture
def order(site, request):
    """``order(3)``: three days that no other test uses; ``order(3, reprocess="failed")``."""
    first = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=next(site.weeks))

    def make(days: int, **more) -> BackfillOrder:
        tag = timedelta(microseconds=123_457)
        return BackfillOrder(
            **{
                "dag_id": DAG,
                "from_date": first,
                "to_date": first + timedelta(days=days - 1) + tag,
                "max_active_runs": 2,
            }
            | more
        )

    return make


def completed(site, backfill):
    return site.until(lambda: site.client().backfills.get(backfill.id), lambda one: one.completed_at is not None)


def runs_of(site, order):
    dates = (order.from_date, order.to_date)
    return site.client().runs.list(DAG, dates=dates, run_type="backfill", order_by="logical_date")


def test_the_dag_says_that_it_can_be_backfilled(site):
    details = site.client().dags.details(DAG)
    assert details.can_be_backfilled is True
    assert (details.max_active_tasks, details.max_active_runs) == (8, 1)
    assert details.has_task_concurrency_limits is True
    assert site.client().dags.details("contract_mapped").can_be_backfilled is False


def test_pools_have_slots(site):
    slots = {pool.name: pool.slots for pool in site.client().pools.list()}
    assert slots["default_pool"] == 128


def test_a_dry_run_names_the_dates_both_ends_included_and_makes_nothing(site, order):
    dates = [row.logical_date for row in site.client().backfills.dry_run(order(3))]
    first = order(3).from_date
    assert dates == [first, first + timedelta(days=1), first + timedelta(days=2)]
    backwards = site.client().backfills.dry_run(order(3, run_backwards=True))
    assert [row.logical_date for row in backwards] == dates[::-1]
    assert runs_of(site, order(3)) == []


def test_a_range_without_a_date_of_the_schedule_makes_nothing(site, order):
    noon = order(1).from_date + timedelta(hours=12)
    none = order(1, from_date=noon, to_date=noon + timedelta(hours=1))
    assert site.client().backfills.dry_run(none) == []
    with pytest.raises(Invalid, match="No runs to create"):
        site.client().backfills.create(none)


def test_a_backfill_makes_its_runs_and_keeps_what_was_asked_to_the_microsecond(site, order):
    client, asked = site.client(), order(2, conf={"n": 3}, reprocess="failed")
    made = client.backfills.create(asked)
    assert (made.from_date, made.to_date) == (asked.from_date, asked.to_date)
    assert (made.dag_run_conf, made.reprocess_behavior, made.max_active_runs) == ({"n": 3}, "failed", 2)
    assert (made.is_paused, made.completed_at) == (False, None)
    assert client.backfills.list(DAG, limit=1)[0].id == made.id == client.backfills.get(made.id).id
    runs = runs_of(site, asked)
    assert [run.logical_date for run in runs] == [asked.from_date, asked.from_date + timedelta(days=1)]
    assert {run.run_type for run in runs} == {"backfill"}
    assert {run.dag_run_id for run in runs} == {f"backfill__{run.logical_date.isoformat()}" for run in runs}
    assert all(run.conf == {"n": 3} for run in runs)
    done = completed(site, made)
    assert {run.state for run in runs_of(site, asked)} == {"success"}
    with pytest.raises(Conflict, match="already completed"):
        client.backfills.pause(done.id)
    with pytest.raises(Conflict, match="already completed"):
        client.backfills.cancel(done.id)
    assert client.backfills.dry_run(order(2)) == [], "there are runs of these dates"
    again = client.backfills.dry_run(order(2, reprocess="completed"))
    assert len(again) == 2
    assert client.backfills.dry_run(order(2, reprocess="failed")) == []


def test_one_backfill_of_a_dag_at_a_time_and_what_cancel_leaves(site, order):
    client, asked = site.client(), order(6, max_active_runs=1)
    made = client.backfills.create(asked)
    client.backfills.pause(made.id)
    with pytest.raises(Conflict, match="There is already a running backfill"):
        client.backfills.create(order(1))
    assert client.backfills.pause(made.id).is_paused
    assert not client.backfills.unpause(made.id).is_paused
    client.backfills.pause(made.id)
    gone = client.backfills.cancel(made.id)
    assert gone.completed_at is not None
    assert gone.is_paused
    never_ran = [run for run in runs_of(site, asked) if run.state == "failed"]
    assert never_ran
    assert all(run.end_date is None for run in never_ran)


@pytest.mark.parametrize("conf", [{"n": 99}, {"n": "x"}])
def test_a_conf_that_breaks_a_params_schema(site, order, conf):
    for call in (site.client().backfills.dry_run, site.client().backfills.create):
        with pytest.raises(Invalid) as caught:
            call(order(1, conf=conf))
        assert caught.value.status == 422
        assert list(caught.value.fields) == ["n"]


def test_ranges_that_are_none(site, order):
    client, first = site.client(), order(1).from_date
    with pytest.raises(Invalid, match="must not be after"):
        client.backfills.dry_run(order(1, to_date=first - timedelta(days=1)))
    soon = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(Invalid, match="future dates"):
        client.backfills.dry_run(order(1, from_date=soon, to_date=soon))


def test_dags_that_cannot_be_backfilled(site, order):
    with pytest.raises(Invalid, match="non-periodic schedule"):
        site.client().backfills.create(order(1, dag_id="contract_mapped"))
    with pytest.raises(NotFound, match="Could not find dag nope"):
        site.client().backfills.dry_run(order(1, dag_id="nope"))
    assert site.client().backfills.list("nope") == []


def test_an_unknown_backfill(site):
    with pytest.raises(NotFound, match="Backfill not found"):
        site.client().backfills.get(999_999)
