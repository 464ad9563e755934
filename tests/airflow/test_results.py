"""What tasks leave behind: XComs and logs."""

from __future__ import annotations

import pytest

from panel.airflow import BadPayload, Forbidden, Invalid, LogEntry, NotFound
from tests.fakes.airflow import KeepRunning
from tests.logged_errors import told


def test_a_value(airflow, etl):
    assert airflow.xcoms.get("etl", "r1", "work", 3).value == {"task": "work", "index": 3}
    assert airflow.xcoms.get("etl", "r1", "agg").value == {"task": "agg", "index": -1}


@pytest.mark.parametrize("value", [0, False, "", [], {}, "ü", 2**80, 1.5, {"a": [None]}])
def test_any_json_value(airflow, etl, value):
    etl.push_xcom("etl", "r1", "work", 3, value)
    assert airflow.xcoms.get("etl", "r1", "work", 3).value == value


@pytest.mark.parametrize(("task_id", "index"), [("work", 1), ("work", 2), ("work", -1), ("work", 99), ("nope", -1)])
def test_a_value_that_is_not_there(airflow, etl, task_id, index):
    with pytest.raises(NotFound, match="XCom entry with key: `return_value` not found"):
        airflow.xcoms.get("etl", "r1", task_id, index)


def test_which_indices_have_a_value(airflow, etl):
    etl.push_xcom("etl", "r1", "work", 1, "x", key="other")
    refs = airflow.xcoms.indices("etl", "r1", "work")
    assert [ref.map_index for ref in refs] == [0, 3, 4]
    assert all(ref.timestamp is not None for ref in refs)
    assert [ref.map_index for ref in airflow.xcoms.indices("etl", "r1", "work", key="other")] == [1]


def test_values_without_access(airflow, etl):
    etl.forbid("xcom")
    for call in (lambda: airflow.xcoms.get("etl", "r1", "work", 3), lambda: airflow.xcoms.indices("etl", "r1", "work")):
        with pytest.raises(Forbidden):
            call()
    assert airflow.instances.get("etl", "r1", "work", 3).state == "success"


# Logs


def line(event, level="info", error=None):
    detail = error and [{"exc_type": error[0], "exc_value": error[1], "is_cause": False, "frames": []}]
    return {"timestamp": "2026-11-22T06:46:17Z", "event": event, "level": level} | (
        {"error_detail": detail} if detail else {}
    )


def test_a_log(airflow, etl):
    log = airflow.logs.read("etl", "r1", "work", 1, 1)
    assert log.continuation_token is None
    assert log.content[-1].event == "Task failed with exception"
    assert log.content[-1].error_detail[0].exc_type == "RuntimeError"
    assert log.content[-1].error_detail[0].frames[-1].name == "work"


def test_a_log_in_pages(airflow, etl):
    etl.log_page_size = 2
    etl.set_log("etl", "r1", "work", 0, 1, [line(f"line {number}") for number in range(5)])
    events, token = [], None
    while True:
        log = airflow.logs.read("etl", "r1", "work", 1, 0, token=token)
        events += [entry.event for entry in log.content]
        token = log.continuation_token
        if token is None:
            break
    assert events[2:] == [f"line {number}" for number in range(5)]


def test_a_log_that_goes_on(airflow, fake):
    def still(row):
        raise KeepRunning

    fake.add_dag("slow")
    fake.add_run("slow", "r1")
    fake.run_queued(still)
    assert airflow.logs.read("slow", "r1", "work", 1).continuation_token is not None


def test_logs_that_are_not_there(airflow, etl):
    with pytest.raises(NotFound, match="TaskInstance not found"):
        airflow.logs.read("etl", "r1", "work", 7, 0)
    with pytest.raises(Invalid, match="Bad Signature"):
        airflow.logs.read("etl", "r1", "work", 1, 0, token="mine")
    etl.instance("etl", "r1", "work", 0).logs.clear()
    assert "Log file not found" in airflow.logs.read("etl", "r1", "work", 1, 0).content[0].event


def test_a_task_may_log_anything(airflow, etl):
    """Structured loggers let tasks choose their own keys, ours among them."""
    entries = [
        {"event": "mine", "level": 40, "error_detail": "text"},
        {"event": {"a": 1}},
        {"no": "event"},
        7,
        None,
        {"event": "kept", "timestamp": "not a time"},
        line("Task failed", "error", ("KeyError", "x")),
    ]
    etl.set_log("etl", "r1", "work", 1, 1, entries)
    events = [entry.event for entry in airflow.logs.read("etl", "r1", "work", 1, 1).content][2:]
    assert events == ["mine", "{'a': 1}", "", "7", "None", "kept", "Task failed"]
    assert told(airflow.logs.last_error("etl", "r1", "work", 1, 1)) == ("KeyError", "x")


def test_a_log_of_bare_lines(airflow, etl):
    etl.fail_next(json={"content": ["one", "two"], "continuation_token": None}, path="/logs/")
    assert airflow.logs.read("etl", "r1", "work", 1, 0).content == [LogEntry(event="one"), LogEntry(event="two")]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        ([line("fine")], None),
        ([line("Task failed", "error", ("KeyError", "'x'"))], ("KeyError", "'x'")),
        ([line("a", "error", ("A", "1")), line("retrying"), line("b", "error", ("B", "2"))], ("B", "2")),
        ([line("a", "error", ("A", "1")), line("Cleanup failed", "error")], ("A", "1")),
        ([line("first", "error"), line("Process killed (OOM)", "error"), line("bye")], ("", "Process killed (OOM)")),
        ([line("Killed", "CRITICAL")], ("", "Killed")),
    ],
)
@pytest.mark.parametrize("page_size", [None, 2])
def test_the_last_error(airflow, etl, lines, expected, page_size):
    etl.log_page_size = page_size
    etl.set_log("etl", "r1", "work", 1, 1, lines)
    assert told(airflow.logs.last_error("etl", "r1", "work", 1, 1)) == expected


def test_the_last_error_reads_five_pages_at_most(airflow, etl):
    etl.log_page_size = 1
    etl.set_log("etl", "r1", "work", 1, 1, [line("more")] * 50 + [line("x", "error")])
    assert airflow.logs.last_error("etl", "r1", "work", 1, 1) is None
    assert len(etl.calls("GET", "/logs/")) == 5


def test_the_last_error_of_a_huge_log(airflow, etl):
    etl.set_log("etl", "r1", "work", 1, 1, [line("x" * 1_000_000)] * 3)
    with pytest.raises(BadPayload, match="more than 2 MB"):
        airflow.logs.last_error("etl", "r1", "work", 1, 1)
    assert len(airflow.logs.read("etl", "r1", "work", 1, 1).content) == 5
