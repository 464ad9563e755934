"""Marking by hand: what it changes, what it starts below, and where a bulk request stops."""

from __future__ import annotations

import pytest

from panel.airflow import Conflict, Invalid

DAG = "contract_mapped"
GROUP = "contract_group"


@pytest.fixture
def own_group(site) -> str:
    """A failed run of ``contract_group``: index 1 failed in the group's first task, and so in its second."""
    run_id = site.start(GROUP)
    site.finished(GROUP, run_id)
    return run_id


def test_many_are_marked_at_once_with_a_note_and_nothing_of_them_runs(site, own_mapped):
    client = site.client()
    before = client.instances.get(DAG, own_mapped, "work", 1)
    assert client.instances.mark(DAG, own_mapped, "work", [1, 2, 99], "success", note="checked") == []
    states = site.states(DAG, own_mapped)
    assert [states["work", index] for index in (1, 2)] == ["success", "success"]
    after = client.instances.get(DAG, own_mapped, "work", 1)
    assert (after.id, after.try_number, after.note) == (before.id, 1, "checked")
    # Nothing below had failed: the run stays as it was.
    assert client.runs.find(DAG, own_mapped).state == "success"
    assert client.instances.get(DAG, own_mapped, "summary").try_number == 1


@pytest.mark.parametrize("state", ["failed", "skipped"])
def test_what_succeeded_can_be_marked_too(site, own_mapped, state):
    assert site.client().instances.mark(DAG, own_mapped, "work", [0, 3], state) == []
    states = site.states(DAG, own_mapped)
    assert [states["work", index] for index in (0, 3, 5)] == [state, state, "success"]


def test_one_that_is_so_already_is_refused_and_a_bulk_request_ends_at_it(site, own_mapped):
    client = site.client()
    with pytest.raises(Conflict, match="Task id work is already in success state"):
        client.instances.set_state(DAG, own_mapped, "work", 0, "success", note="no")
    assert client.instances.get(DAG, own_mapped, "work", 0).note is None
    said = client.instances.mark(DAG, own_mapped, "work", [0, 1, 2], "success")
    assert said == ["Task id work is already in success state"]
    assert site.states(DAG, own_mapped)["work", 0] == "success"


def test_an_unknown_run_marks_nothing(site):
    assert site.client().instances.mark(DAG, "nope", "work", [1], "success") == []


def test_a_state_that_cannot_be_set(site, own_mapped):
    with pytest.raises(Invalid):
        site.client().instances.mark(DAG, own_mapped, "work", [1], "running")


def test_what_failed_below_is_cleared_and_the_run_goes_on(site, own_group):
    """``first`` of index 1 failed: marking it lets its second task run."""
    client = site.client()
    states = site.states(GROUP, own_group)
    assert (states["each.first", 1], states["each.second", 1]) == ("failed", "upstream_failed")
    tries = client.instances.get(GROUP, own_group, "after").try_number
    before = client.instances.get(GROUP, own_group, "each.second", 1)
    assert client.instances.mark(GROUP, own_group, "each.first", [1], "success") == []
    assert client.instances.get(GROUP, own_group, "each.second", 1).id != before.id
    site.finished(GROUP, own_group)
    states = site.states(GROUP, own_group)
    assert states["each.first", 1] == "success"
    assert (states["each.second", 1], client.instances.get(GROUP, own_group, "each.second", 1).try_number) == (
        "failed",  # it ran, and found no result of the first: a mark brings none
        1,
    )
    assert client.instances.get(GROUP, own_group, "each.first", 1).try_number == 1
    assert client.instances.get(GROUP, own_group, "after").try_number == tries  # it had succeeded: left as it is


def test_marking_as_failed_restarts_what_failed_below_as_well(site, own_group):
    client = site.client()
    before = client.instances.get(GROUP, own_group, "each.second", 1)
    assert client.instances.mark(GROUP, own_group, "each.first", [0], "failed") == []
    assert client.instances.get(GROUP, own_group, "each.second", 1).id != before.id
    assert client.instances.get(GROUP, own_group, "each.second", 0).state == "success"
    site.finished(GROUP, own_group)
    assert site.states(GROUP, own_group)["each.second", 1] == "upstream_failed"
