"""Lists are complete whatever the server clamps a page to, and while rows come and go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from panel.airflow import paging
from tests.fakes.airflow import FakeAirflow, Task

CLAMPS = [1, 7, 25, 50, 100, None]
ROWS = 60
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(params=CLAMPS, ids=lambda clamp: f"clamp-{clamp}")
def clamp(request):
    return request.param


@pytest.fixture(params=["3.1.7", "3.2.2", "3.3.2"], ids=["offsets", "cursors-without-totals", "cursors"])
def staged(request, clamp):
    fake = FakeAirflow(request.param, clamp=clamp)
    fake.add_dag("etl", tasks=[Task("work", is_mapped=True, expands=ROWS), "other"])
    fake.add_run("etl", "r1", state="queued")
    fake.run_queued(lambda row: row.map_index)
    return fake


def test_changed_instances(client, staged):
    rows = list(client(staged).instances.changed_since("etl", "r1", "work", LONG_AGO))
    assert [row.map_index for row in rows] == list(range(ROWS))


def test_changed_instances_use_cursors_where_there_are_some(client, staged):
    list(client(staged).instances.changed_since("etl", "r1", "work", LONG_AGO))
    asked = dict(staged.calls("GET", "taskInstances")[0].query)
    assert ("cursor" in asked) == (staged.version != "3.1.7")


def test_only_what_changed_comes(client, staged):
    airflow = client(staged)
    staged.clock.advance(60)
    since = staged.clock.now()
    assert list(airflow.instances.changed_since("etl", "r1", "work", since)) == []
    airflow.instances.clear("etl", "r1", [("work", 7), ("work", 30)], dry_run=False)
    assert [row.map_index for row in airflow.instances.changed_since("etl", "r1", "work", since)] == [7, 30]


def test_chosen_indices(client, staged):
    wanted = [*range(3, ROWS, 2)]
    assert [row.map_index for row in client(staged).instances.at("etl", "r1", "work", wanted)] == wanted


def test_the_row_before_expansion_is_among_them(client, clamp):
    fake = FakeAirflow(clamp=clamp)
    fake.add_dag("etl", tasks=[Task("work", is_mapped=True)])
    fake.add_run("etl", "r1")
    assert [row.map_index for row in client(fake).instances.changed_since("etl", "r1", "work", LONG_AGO)] == [-1]


def test_xcom_indices(client, staged):
    assert [ref.map_index for ref in client(staged).xcoms.indices("etl", "r1", "work")] == list(range(ROWS))


def test_dags(client, clamp):
    fake = FakeAirflow(clamp=clamp)
    names = sorted(f"dag_{number}" for number in range(ROWS))
    for name in names:
        fake.add_dag(name)
    assert [dag.dag_id for dag in client(fake).dags.list()] == names


def test_runs_newest_first_up_to_the_limit(client, clamp):
    fake = FakeAirflow(clamp=clamp)
    fake.add_dag("etl")
    for number in range(ROWS):
        fake.add_run("etl", f"r{number}")
    airflow = client(fake)
    newest = [f"r{number}" for number in reversed(range(ROWS))]
    assert [run.dag_run_id for run in airflow.runs.list("etl", limit=30)] == newest[:30]
    assert [run.dag_run_id for run in airflow.runs.list(limit=1_000)] == newest


def test_a_run_is_found_among_many_that_begin_alike(client, clamp):
    fake = FakeAirflow(clamp=clamp)
    fake.add_dag("etl")
    for number in range(ROWS):
        fake.add_run("etl", f"r{number}")
    airflow = client(fake)
    for run_id in ("r5", "r59", "r9"):
        fake.forget_requests()
        assert airflow.runs.find("etl", run_id).dag_run_id == run_id
        assert len(fake.calls("GET", "dagRuns")) == 1, "the exact id comes first"


def test_import_errors(client, clamp):
    fake = FakeAirflow(clamp=clamp)
    for number in range(30):
        fake.add_import_error(f"dag_{number}.py", "SyntaxError")
    assert len(client(fake).dags.import_errors()) == 30


def test_bulk_reads_all_in_one_request(client, staged):
    rows = client(staged).instances.bulk("etl", "r1", ["work"])
    assert [row.map_index for row in rows] == list(range(ROWS))
    assert len(staged.calls("POST", "taskInstances/list")) == 1


def test_bulk_goes_on_where_one_request_is_not_enough(client, staged, monkeypatch):
    monkeypatch.setattr(paging, "BULK_PAGE", 7)
    rows = client(staged).instances.bulk("etl", "r1")
    assert sorted((row.task_id, row.map_index) for row in rows) == [("other", -1)] + [("work", i) for i in range(ROWS)]
    assert len(staged.calls("POST", "taskInstances/list")) == 9


def page_of(rows, total):
    return httpx.Response(200, json={"dags": [{"dag_id": name} for name in rows], "total_entries": total})


def test_a_row_that_moved_to_the_next_page_is_taken_once(answering):
    """A Dag was added in front while we were reading."""
    pages = iter([page_of(["b", "c"], 3), page_of(["c", "d"], 4)])
    assert [dag.dag_id for dag in answering(lambda request: next(pages)).dags.list()] == ["b", "c", "d"]


def test_rows_that_vanish_end_the_list(answering):
    pages = iter([page_of(["a"], 5), page_of([], 1)])
    assert [dag.dag_id for dag in answering(lambda request: next(pages)).dags.list()] == ["a"]


def test_a_server_that_ignores_the_offset_does_not_hold_us_for_ever(answering):
    seen = []

    def same(request):
        seen.append(request)
        return page_of(["a", "b"], 1_000)

    assert len(answering(same).dags.list()) == 2
    assert len(seen) == 2


def test_a_cursor_that_repeats_does_not_hold_us_for_ever(answering):
    def same(request):
        if request.url.path.endswith("/version"):
            return httpx.Response(200, json={"version": "3.3.2"})
        if request.url.path == "/openapi.json":
            return httpx.Response(404)
        return httpx.Response(200, json={"task_instances": [], "total_entries": 9, "next_cursor": "again"})

    assert list(answering(same).instances.changed_since("d", "r", "t", LONG_AGO)) == []


def test_a_time_without_a_zone_is_refused_before_it_is_sent(airflow, fake):
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="time zone"):
        airflow.instances.changed_since("etl", "r1", "work", naive)
    with pytest.raises(ValueError, match="time zone"):
        airflow.runs.list(updated_after=naive)
    assert not fake.calls("GET", "taskInstances")


def test_a_time_of_another_zone(client, staged):
    from datetime import timezone

    east = staged.clock.now().astimezone(timezone(timedelta(hours=9)))
    assert list(client(staged).instances.changed_since("etl", "r1", "work", east)) == []
    hour_ago = east - timedelta(hours=1)
    assert len(list(client(staged).instances.changed_since("etl", "r1", "work", hour_ago))) == ROWS
