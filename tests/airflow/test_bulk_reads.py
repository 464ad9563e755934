"""``airflow.bulk_reads``: found by content type, and what stands in for it where the plug-in is absent."""

from __future__ import annotations

import httpx
import pytest

from panel.airflow import BearerToken, Forbidden, NotFound, ServerFault, Unauthorized, Unreachable, Unsupported
from tests.fakes.airflow import Task

MAPPED = {"Content-Type": "application/vnd.mapboard.mapped-results+json"}
PATH = "/mapboard/dags/etl/dagRuns/r1/taskInstances/work/results"


@pytest.fixture
def etl(fake):
    """A mapped task of six: 0 and 3 returned something, 1 returned nothing, 2 failed, 4 and 5 have not run."""
    fake.plugin = True
    fake.add_dag("etl", tasks=[Task("work", is_mapped=True)])
    fake.add_run("etl", "r1")
    fake.expand("etl", "r1", "work", 6)
    fake.finish("etl", "r1", "work", 0, result={"status": "ok"})
    fake.finish("etl", "r1", "work", 1)
    fake.finish("etl", "r1", "work", 2, error=("ValueError", "no"))
    fake.finish("etl", "r1", "work", 3, result=[1, "ä"])
    return fake


def plugin_answers(answering, status=200, headers=None, **more):
    """A server with the plug-in whose results route answers this."""

    def handler(request):
        if request.url.path == "/mapboard/format":
            return httpx.Response(200, json={"format": 1}, headers=MAPPED)
        if request.url.path == PATH:
            return httpx.Response(status, headers=headers or MAPPED, **more)
        return httpx.Response(200, json={"version": "3.3.2"})

    return answering(handler)


def test_every_index_with_its_state_try_and_result(airflow, etl):
    page = airflow.bulk_reads.results("etl", "r1", "work")
    assert [(row.map_index, row.state, row.try_number, row.has_value, row.value) for row in page.rows] == [
        (0, "success", 1, True, {"status": "ok"}),
        (1, "success", 1, False, None),
        (2, "failed", 1, False, None),
        (3, "success", 1, True, [1, "ä"]),
        (4, None, 0, False, None),
        (5, None, 0, False, None),
    ]
    assert page.next_after is None
    assert page.rows[0].timestamp >= page.rows[0].start_date
    assert len(etl.calls(path=PATH)) == 1


def test_pages_follow_each_other_without_a_gap(airflow, etl):
    found, after = [], -1
    while after is not None:
        page = airflow.bulk_reads.results("etl", "r1", "work", after=after, limit=4)
        found += [row.map_index for row in page.rows]
        after = page.next_after
    assert found == [0, 1, 2, 3, 4, 5]
    assert len(etl.calls(path=PATH)) == 2


def test_the_value_of_an_earlier_try_is_not_given(airflow, etl):
    airflow.instances.clear("etl", "r1", [("work", 0)], dry_run=False)
    cleared = airflow.bulk_reads.results("etl", "r1", "work").rows[0]
    assert (cleared.state, cleared.has_value, cleared.value) == (None, False, None)


def test_a_large_value_is_told_and_not_sent(airflow, etl):
    etl.finish("etl", "r1", "work", 4, result="x" * 65_535)
    large = airflow.bulk_reads.results("etl", "r1", "work").rows[4]
    assert (large.has_value, large.truncated, large.size, large.value) == (True, True, 65_537, None)
    assert airflow.xcoms.get("etl", "r1", "work", 4).value == "x" * 65_535


def test_it_is_looked_for_once_a_client(airflow, etl):
    assert airflow.bulk_reads.available()
    assert airflow.bulk_reads.available()
    assert len(etl.calls(path="/mapboard/format")) == 1


def test_a_server_without_the_plugin(airflow, fake):
    assert not airflow.bulk_reads.available()
    with pytest.raises(Unsupported):
        airflow.bulk_reads.results("etl", "r1", "work")
    assert not fake.calls(path=PATH)


@pytest.mark.parametrize(
    "other",
    [
        {"status_code": 404, "json": {"detail": "Not Found"}},
        {"status_code": 403, "text": "only /api here"},
        {"status_code": 401, "text": "who are you"},
        {"status_code": 302, "headers": {"Location": "https://login.example.com/"}},
        {"status_code": 200, "json": {"format": 1}},
        {"status_code": 200, "text": "garbage", "headers": MAPPED},
        {"status_code": 200, "json": {"format": 2}, "headers": MAPPED},
    ],
    ids=["absent", "hidden", "guarded", "login page", "another JSON", "garbage", "a later format"],
)
def test_whatever_else_stands_there_is_no_plugin(answering, other):
    def handler(request):
        return (
            httpx.Response(**other)
            if "mapboard" in request.url.path
            else httpx.Response(200, json={"version": "3.3.2"})
        )

    assert not answering(handler).bulk_reads.available()


def test_a_server_that_is_unwell_says_nothing_about_the_plugin(airflow, etl):
    etl.fail_next(path="/mapboard/format", status=503, times=3)
    with pytest.raises(ServerFault):
        airflow.bulk_reads.available()
    assert airflow.bulk_reads.available()


def test_a_server_that_is_away_says_nothing_about_the_plugin(airflow, etl):
    etl.down = True
    with pytest.raises(Unreachable):
        airflow.bulk_reads.available()
    etl.down = False
    assert airflow.bulk_reads.available()


def test_a_plugin_removed_meanwhile(airflow, etl):
    airflow.bulk_reads.results("etl", "r1", "work")
    etl.plugin = False
    with pytest.raises(Unsupported):
        airflow.bulk_reads.results("etl", "r1", "work")


def test_an_answer_in_a_later_format(answering):
    airflow = plugin_answers(answering, json={"format": 2, "rows": [{"map_index": 0}]})
    with pytest.raises(Unsupported, match="format 2"):
        airflow.bulk_reads.results("etl", "r1", "work")


def test_fields_of_a_later_plugin_are_ignored(answering):
    row = {"map_index": 0, "state": "success", "duration": 1.5}
    airflow = plugin_answers(answering, json={"format": 1, "rows": [row], "took": 3})
    assert airflow.bulk_reads.results("etl", "r1", "work").rows[0].state == "success"


def test_a_run_or_task_that_is_not_there(airflow, etl):
    with pytest.raises(NotFound, match="`r2`"):
        airflow.bulk_reads.results("etl", "r2", "work")


@pytest.mark.parametrize("what", ["xcom", "read"])
def test_without_access_nothing_is_read(airflow, etl, what):
    assert airflow.bulk_reads.available()
    etl.forbid(what)
    with pytest.raises(Forbidden):
        airflow.bulk_reads.results("etl", "r1", "work")


def test_a_login_that_is_not_taken(client, etl):
    with pytest.raises(Unauthorized):
        client(etl, credentials=BearerToken("nobody-knows-this-token")).bulk_reads.results("etl", "r1", "work")


@pytest.mark.parametrize("asked", [{"after": -2}, {"limit": 0}, {"limit": 10_001}])
def test_a_page_that_cannot_be(airflow, etl, asked):
    with pytest.raises(ValueError, match="Pages"):
        airflow.bulk_reads.results("etl", "r1", "work", **asked)
