"""Structured logs: where the error of a failed instance stands."""

from __future__ import annotations

import pytest

from panel.airflow import Invalid, NotFound
from tests.logged_errors import told

DAG = "contract_mapped"


def test_the_error_of_a_failed_instance(site, mapped):
    client = site.client()
    assert told(client.logs.last_error(DAG, mapped, "work", 1, 1)) == ("RuntimeError", "item 1 crashed")
    assert told(client.logs.last_error(DAG, mapped, "work", 1, 2)) == ("ValueError", "item 2 never works")
    assert client.logs.last_error(DAG, mapped, "work", 1, 0) is None
    assert client.logs.last_error(DAG, mapped, "summary", 1) is None


def test_an_error_comes_with_its_cause_and_its_frames(site, mapped):
    log = site.client().logs.read(DAG, mapped, "work", 1, 2)
    assert log.continuation_token is None
    entry = [entry for entry in log.content if entry.error_detail][-1]
    assert (entry.event, entry.level) == ("Task failed with exception", "error")
    assert [(one.exc_type, one.exc_value, one.is_cause) for one in entry.error_detail] == [
        ("ValueError", "item 2 never works", False),
        ("KeyError", "'missing'", True),
    ]
    assert entry.error_detail[0].frames[-1].name == "work"
    assert entry.timestamp is not None


def test_a_log_begins_with_where_it_is_from(site, mapped):
    events = [entry.event for entry in site.client().logs.read(DAG, mapped, "work", 1, 0).content]
    assert events[0] == "::group::Log message source details"
    assert "::endgroup::" in events


def test_an_upstream_failed_instance_has_a_log_of_try_0(site, group):
    client = site.client()
    events = [entry.event for entry in client.logs.read("contract_group", group, "each.second", 0, 1).content]
    assert events[-1] == "Task did not run because upstream task(s) failed."
    assert client.logs.last_error("contract_group", group, "each.second", 0, 1) is None


@pytest.mark.parametrize(("try_number", "index"), [(7, 0), (1, 99), (1, -1), (0, 0)])
def test_a_try_that_does_not_exist(site, mapped, try_number, index):
    with pytest.raises(NotFound) as caught:
        site.client().logs.read(DAG, mapped, "work", try_number, index)
    assert caught.value.detail == "TaskInstance not found"


def test_a_token_of_ones_own(site, mapped):
    with pytest.raises(Invalid, match="Bad Signature"):
        site.client().logs.read(DAG, mapped, "work", 1, 0, token="mine")


def test_the_log_of_an_old_try_stays(site, own_mapped):
    client = site.client()
    client.instances.clear(DAG, own_mapped, [("work", 1)], dry_run=False)
    site.finished(DAG, own_mapped)
    assert told(client.logs.last_error(DAG, own_mapped, "work", 1, 1)) == ("RuntimeError", "item 1 crashed")
    assert client.logs.last_error(DAG, own_mapped, "work", 2, 1) is None


def test_a_log_that_goes_on(site):
    client = site.client()
    run_id = site.start("contract_slow")
    site.until(lambda: site.states("contract_slow", run_id), lambda states: states.get(("work", 0)) == "running")
    assert client.logs.read("contract_slow", run_id, "work", 1, 0).continuation_token is not None
    client.instances.set_state("contract_slow", run_id, "work", 0, "success")
    site.finished("contract_slow", run_id)
