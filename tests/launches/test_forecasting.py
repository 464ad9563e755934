"""What a backfill will be, told from runs that ended."""

from __future__ import annotations

import pytest

from panel.domain.timings import Span, Timings
from panel.launches.dag_forms import read_form
from panel.launches.forecast_history import forecast_for, history_of
from panel.launches.forecasting import START_SECONDS, Forecast, History, PastRun, Plan, forecast
from panel.mirror.models import Dag
from tests.launches.backfilling import DAG, past_runs


def run_of(start, seconds, *, size=40, at_once=10):
    """A run of ``size`` instances, so many at a time, which fill its time."""
    each = seconds / -(-size // at_once)
    spans = [
        Span("success", None, start + each * (number // at_once), start + each * (number // at_once + 1), each)
        for number in range(size)
    ]
    return PastRun(start, start + seconds, {"work": size}, Timings.of(spans)), spans


def history(*runs, **more):
    return History([run for run, _spans in runs], Timings.of(span for _run, spans in runs for span in spans), **more)


ALONE = history(run_of(0, 60), run_of(100, 60), run_of(200, 60))


def shared_pairs(at_once):
    """Four runs, two at a time: of each pair one has the instances at work first, then the other."""
    runs = []
    for start in (0, 100):
        for begin in (start, start + 30):
            run, spans = run_of(begin, 30, size=20, at_once=at_once)
            runs.append((PastRun(start, start + 60, run.sizes, run.timings), spans))
    return history(*runs)


def test_without_a_past_there_are_no_numbers():
    told = forecast(Plan(5, 2), History())
    assert (told.is_known, told.runs, told.at_once) == (False, 5, 2)
    assert (told.instances, told.seconds, told.peak_high, told.warnings) == (None, None, None, ())


def test_instances_are_runs_times_the_size_of_the_past():
    told = forecast(Plan(30, 2), ALONE)
    assert (told.instances, told.instances_low, told.instances_high, told.per_run) == (1200, 1200, 1200, 40)
    mixed = forecast(Plan(10, 2), history(run_of(0, 60, size=30), run_of(100, 60), run_of(200, 60, size=50)))
    assert (mixed.instances_low, mixed.instances, mixed.instances_high) == (300, 400, 500)


def test_one_run_at_a_time_takes_as_long_as_the_runs_of_the_past():
    told = forecast(Plan(10, 1), ALONE)
    assert told.seconds == pytest.approx(10 * (60 + START_SECONDS))
    assert told.seconds_low < told.seconds < told.seconds_high


def test_what_holds_the_instances_of_one_run_back_may_hold_all_runs_back():
    """Runs that were alone in the past, ten of forty instances at a time: nobody says whose limit that is."""
    told = forecast(Plan(10, 2), ALONE)
    assert told.sharing == "unknown"
    assert (told.peak_low, told.peak_high) == (10, 20)
    assert told.seconds_low < 5 * 60
    assert told.seconds_high > 10 * 60


def test_a_limit_of_the_dag_is_one_of_each_run():
    told = forecast(Plan(10, 2, max_active_tasks=10, has_task_limits=False), ALONE)
    assert (told.sharing, told.peak_high) == ("apart", 20)
    assert told.seconds == pytest.approx(5 * (60 + START_SECONDS))


def test_a_pool_is_a_limit_of_all_runs_together():
    told = forecast(Plan(10, 2, pool_slots=10), ALONE)
    assert (told.sharing, told.peak_low, told.peak_high) == ("shared", 10, 10)
    assert told.seconds == pytest.approx(10 * 60 + 5 * START_SECONDS), "more runs at once do not help"
    assert forecast(Plan(10, 4, pool_slots=25), ALONE).peak_high == 25
    assert forecast(Plan(10, 2, pool_slots=128), ALONE).peak_high == 20


def test_a_limit_that_was_lowered_since_holds_for_the_peak():
    assert forecast(Plan(10, 2, max_active_tasks=4), ALONE).peak_high == 8


def test_runs_that_overlapped_without_hindering_each_other():
    together = history(run_of(0, 60), run_of(0, 60), run_of(100, 60), run_of(100, 60))
    told = forecast(Plan(4, 2), together)
    assert (told.sharing, told.peak_low, told.peak_high) == ("apart", 20, 20)
    assert told.seconds == pytest.approx(2 * (60 + START_SECONDS))


def test_runs_that_overlapped_and_shared_a_limit():
    past = shared_pairs(8)
    told = forecast(Plan(4, 2), past)
    assert (told.sharing, told.peak_low, told.peak_high) == ("shared", 8, 8)
    assert told.seconds == pytest.approx(2 * (60 + START_SECONDS))
    faster = forecast(Plan(8, 8), past)
    assert faster.seconds == pytest.approx(8 * 60 / 2 + START_SECONDS), "more at once does not help"


def test_the_last_runs_may_be_fewer_at_once():
    past = history(run_of(0, 60), run_of(0, 60))
    assert forecast(Plan(5, 2), past).seconds == pytest.approx(3 * (60 + START_SECONDS))


def test_uneven_runs_make_a_wider_range():
    steady = forecast(Plan(4, 1), ALONE)
    uneven = forecast(Plan(4, 1), history(run_of(0, 20), run_of(100, 60), run_of(200, 140)))
    assert uneven.seconds == pytest.approx(steady.seconds)
    assert uneven.seconds_high > steady.seconds_high
    assert uneven.seconds_low < steady.seconds_low


def test_365_times_1000_says_what_to_lower_and_to_what():
    big = history(*(run_of(10_000 * number, 3600, size=1000, at_once=100) for number in range(3)))
    told = forecast(Plan(365, 10, max_active_tasks=100), big)
    assert told.instances == 365_000
    found = {one.code: (one.lower, one.to) for one in told.warnings}
    assert found["many_instances"] == ("runs", 50)
    assert found["many_at_once"] == ("max_active_runs", 1)
    lower, runs = found["long"]
    assert lower == "runs"
    assert forecast(Plan(runs, 10, max_active_tasks=100), big).seconds_high < 1.2 * 24 * 3600


def test_a_pool_that_bounds_the_peak_does_not_silence_the_warning():
    wide = history(*(run_of(1_000 * number, 600, size=100, at_once=100) for number in range(3)))
    (advice,) = forecast(Plan(10, 4, pool_slots=128), wide).warnings
    assert (advice.found, advice.limit, advice.lower, advice.to) == (400, 128, "max_active_runs", 1)
    assert forecast(Plan(10, 4, pool_slots=128, default_slots=None), wide).warnings == [], "a pool of its own"


def test_one_run_that_is_too_wide_by_itself_is_a_matter_of_the_dag():
    wide = history(run_of(0, 600, size=2000, at_once=500))
    found = {one.code: (one.lower, one.to) for one in forecast(Plan(3, 1), wide).warnings}
    assert found["many_at_once"] == ("max_active_tasks", 128)


def test_small_ones_have_no_warnings():
    assert forecast(Plan(10, 1), ALONE).warnings == []


def test_it_can_be_kept_and_read_again():
    told = forecast(Plan(365, 10), ALONE)
    assert Forecast.from_dict(told.as_dict()).as_dict() == told.as_dict()
    assert Forecast.from_dict({}) is None


@pytest.fixture
def mirrored(server, daily_dag, fake_airflow):
    """The form of the Dag was read, and it has three runs of the past, one after the other, 60 s each."""
    fields = read_form(server=server, dag_id=DAG).fields
    past_runs(fake_airflow, server, [(400, 340), (300, 240), (200, 140)])
    return fields


def told_of(server, fields, pools=None, **params):
    return forecast_for(
        server=server, dag_id=DAG, runs=6, max_active_runs=2, fields=fields, params=params, pools=pools or {}
    )


@pytest.mark.django_db
def test_the_mirrors_runs_are_the_past(server, mirrored):
    told = told_of(server, mirrored)
    assert (told.based_on, told.same_values, told.instances) == (3, True, 24)
    assert (told.peak_low, told.peak_high) == (2, 4)
    assert 3 * 60 <= told.seconds <= 6 * 62


@pytest.mark.django_db
def test_the_pools_of_its_mapped_tasks_bound_it(server, mirrored):
    assert told_of(server, mirrored, {"default_pool": 3}).peak_high == 3
    assert told_of(server, mirrored, {"default_pool": 2}).sharing == "shared"
    assert told_of(server, mirrored, {"default_pool": -1}).pool_slots is None, "without a bound"
    assert told_of(server, mirrored, {"other": 1}).pool_slots is None, "not known"
    assert [one.limit for one in told_of(server, mirrored, {"default_pool": 1}).warnings] == [1]
    Dag.objects.update(tasks=[{"task_id": "report_shop", "is_mapped": True, "pool": "shops"}])
    assert told_of(server, mirrored, {"default_pool": 1, "shops": 1}).warnings == [], "a limit that somebody chose"


@pytest.mark.django_db
def test_defaults_are_values_too(server, mirrored):
    assert told_of(server, mirrored, region="eu", depth=2).same_values


@pytest.mark.django_db
def test_runs_with_the_same_values_are_preferred(server, mirrored, fake_airflow):
    assert told_of(server, mirrored, region="us").same_values is False
    past_runs(fake_airflow, server, [(120, 90), (60, 30)], conf={"region": "us"})
    told = told_of(server, mirrored, region="us")
    assert (told.based_on, told.same_values) == (2, True)


@pytest.mark.django_db
def test_runs_that_failed_count_only_where_none_succeeded(server, mirrored, fake_airflow):
    dag = Dag.objects.get(dag_id=DAG)
    dag.runs.filter(run_id__startswith="manual__past-1").update(state="failed")
    assert len(history_of(dag, mirrored, {}).runs) == 2
    dag.runs.update(state="failed")
    assert len(history_of(dag, mirrored, {}).runs) == 3


@pytest.mark.django_db
def test_a_dag_that_the_mirror_does_not_know_has_no_past(server, daily_dag):
    assert not forecast_for(
        server=server, dag_id="nothing", runs=3, max_active_runs=1, fields=[], params={}, pools={}
    ).is_known
