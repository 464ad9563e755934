"""Retries and marks on a real Airflow of every series: exactly the chosen indices, once, and the aggregator after them.

What happened is said by Airflow: by its try numbers and its audit log.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from panel.airflow import Airflow
from panel.airflow.capabilities import Capabilities
from panel.airflow.instances import InstancesNamespace
from panel.retries.models import RetryRun
from tests.live.story import InAirflow, Panel, add_server, at

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

DAG, GROUP, SLOW = "contract_mapped", "contract_group", "contract_slow"
INDICES = 12
RECOVER = {index for index in range(INDICES) if index % 5 in (1, 3)}
"""Hard and soft failures of the first try (tests/contract/dags/contract.py)."""
HOPELESS = {index for index in range(INDICES) if index % 5 == 2}
FIRST, SECOND, AFTER = "each.first", "each.second", "after"


@pytest.fixture
def panel(standalone, broker_url, person, as_user, woken) -> Panel:
    standalone.wait_for_dags([DAG, GROUP, SLOW])
    add_server(standalone)
    return Panel(as_user(person("olga", "operator", "deployer")), woken)


@pytest.fixture
def finished(panel, standalone, start) -> Callable[..., InAirflow]:
    """``finished("contract_mapped", n=12)``: a run just triggered, once it has ended."""

    def run(dag_id: str, **conf: object) -> InAirflow:
        held = InAirflow(standalone, dag_id, start(dag_id, **conf))
        until(lambda: held.run()["state"] in {"success", "failed"}, "the end of the run")
        return held

    return run


def until(look: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 240
    while not look():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.5)


def ids(held: InAirflow, *task_ids: str) -> dict[tuple[str, int], str]:
    return {(task_id, index): row["id"] for task_id in task_ids for index, row in held.rows(task_id).items()}


def counts(job: dict[str, Any]) -> dict[str, int]:
    return {state: count for state, count in job["counts"].items() if count}


def retry_job(panel: Panel, task: dict[str, Any], reason: str, **more: Any) -> dict[str, Any]:
    """A new job over these indices, just asked for."""
    body = {"mapped_task": task["id"], "reason": reason, "idempotency_key": reason, **more}
    job: dict[str, Any] = panel.post("retry-jobs/", body, 201)
    return job


def looked_at(panel: Panel, job: dict[str, Any], wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The job, once it is as wanted."""
    found: dict[str, Any] = panel.until(
        lambda: (now := panel.get(f"retry-jobs/{job['id']}/")) and wanted(now) and now, "the job"
    )
    return found


def test_the_failed_of_12_indices_run_once_more_and_the_aggregator_once_after_them(panel, airflow, finished):
    held = finished(DAG, n=INDICES)
    before = ids(held, "items", "work")
    task = panel.mapped_task(DAG, held.run_id, "work")
    job = panel.retry(task, "repaired", "retry-12", chunk_size=3)
    assert job["preview"]["count"] == job["total"] == len(RECOVER | HOPELESS)
    assert job["preview"]["downstream"] == ["summary"]
    assert (job["state"], counts(job)) == ("done", {"recovered": len(RECOVER), "failed_again": len(HOPELESS)})
    until(lambda: held.run()["state"] == "success", "the end of the run that went on")

    chosen = RECOVER | HOPELESS
    assert held.tries("work") == {index: 1 + (index in chosen) for index in range(INDICES)}
    assert {key for key, ti_id in ids(held, "items", "work").items() if ti_id != before[key]} == {
        ("work", index) for index in chosen
    }
    rows = held.rows("work")
    (summary,) = held.rows("summary").values()
    assert (summary["state"], summary["try_number"]) == ("success", 2)
    assert at(summary, "start_date") >= max(at(rows[index], "end_date") for index in chosen)
    cleared = Counter(key for one in held.audited_clears() for key in one)
    assert cleared == Counter({("summary", -1), *(("work", index) for index in chosen)}), "each once"
    notes = {row["note"] for row in (*(rows[index] for index in chosen), summary)}
    known = airflow.capabilities.clear_note
    assert notes == {f"Mapboard retry {job['id'][:8]} by olga: repaired" if known else None}


def test_an_index_of_a_mapped_group_takes_its_own_second_task_along(panel, airflow, finished):
    held = finished(GROUP)
    before = ids(held, FIRST, SECOND)
    task = panel.mapped_task(GROUP, held.run_id, FIRST)
    ask = {"mapped_task": task["id"], "selection": {"outcomes": ["hard_failure"]}}
    if not airflow.capabilities.clears_exact_indices:
        refused = panel.post("retry-jobs/preview/", ask, 502)
        assert "3.1.1 or newer is needed" in refused["error"]["message"]
        assert ids(held, FIRST, SECOND) == before
        more, with_it, after = {"include_downstream": False}, set(), 1
    else:
        more, with_it, after = {}, {(SECOND, 1)}, 2
    job = looked_at(
        panel, retry_job(panel, task, "region is back", **ask, **more), lambda now: now["finished_at"] is not None
    )
    assert counts(job) == {"recovered": 1}
    until(lambda: held.run()["state"] in {"success", "failed"}, "the end of the run that went on")

    assert held.tries(FIRST) == {0: 1, 1: 2, 2: 1}
    assert held.tries(SECOND) == {0: 1, 1: int(bool(with_it)), 2: 1}
    assert {key for key, ti_id in ids(held, FIRST, SECOND).items() if ti_id != before[key]} == {(FIRST, 1)} | with_it
    assert held.tries(AFTER) == {-1: after}
    if with_it:
        assert held.run()["state"] == held.rows(SECOND)[1]["state"] == "success"
        ended = max(at(row, "end_date") for task_id in (FIRST, SECOND) for row in held.rows(task_id).values())
        assert at(held.rows(AFTER)[-1], "start_date") >= ended


def test_a_server_that_clears_more_than_chosen_is_found_out_by_its_dry_run(panel, airflow, finished, monkeypatch):
    """Taken for one that clears single indices of several tasks: before 3.1.1 it would clear all of them."""
    exact = airflow.capabilities.clears_exact_indices
    held = finished(GROUP)
    before = ids(held, FIRST, SECOND, AFTER)
    task = panel.mapped_task(GROUP, held.run_id, FIRST)
    selection = {"outcomes": ["hard_failure"]}
    job = retry_job(panel, task, "cautious", selection=selection, include_downstream=False)
    # As planned before the server was exchanged for an older one.
    RetryRun.objects.update(followers={FIRST: [SECOND]})
    monkeypatch.setattr(Capabilities, "clears_exact_indices", True)
    if exact:
        job = looked_at(panel, job, lambda now: now["finished_at"] is not None)
        assert counts(job) == {"recovered": 1}
        assert held.tries(SECOND) == {0: 1, 1: 1, 2: 1}
        return
    preview = {"mapped_task": task["id"], "selection": selection}
    assert panel.post("retry-jobs/preview/", preview, 200)["count"] == 0, "it is in a job already"
    job = looked_at(panel, job, lambda now: now["state"] == "paused")
    assert "It would clear 4 instances more than were chosen" in job["state_reason"]
    panel.post(f"retry-jobs/{job['id']}/cancel/", {}, 200)
    looked_at(panel, job, lambda now: now["finished_at"] is not None)
    refused = panel.post("retry-jobs/preview/", preview, 422)
    assert refused["error"]["code"] == "too_much_cleared"
    assert ids(held, FIRST, SECOND, AFTER) == before
    assert held.audited_clears() == []


def test_an_index_that_somebody_starts_first_is_left_alone(
    panel, airflow: Airflow, standalone, start, finished, monkeypatch
):
    """Where the server has ``prevent_running_task`` the other one may come between our last look and our request."""
    held = InAirflow(standalone, SLOW, start(SLOW))
    until(lambda: held.rows("work")[0]["state"] == "running", "the start of index 0")
    airflow.instances.set_state(SLOW, held.run_id, "work", 0, "failed")
    until(lambda: held.run()["state"] == "failed", "the end of the run")
    task = panel.mapped_task(SLOW, held.run_id, "work")
    job = retry_job(panel, task, "too late", selection={"outcomes": ["hard_failure"]})

    def started_by_somebody() -> None:
        body = {"dry_run": False, "dag_run_id": held.run_id, "task_ids": [["work", 0]], "only_failed": False}
        standalone.call("POST", f"/dags/{SLOW}/clearTaskInstances", body, user="admin")
        until(lambda: held.rows("work")[0]["state"] == "running", "the second start of index 0")

    clear, refused = InstancesNamespace.clear, []

    def overtaken(self: InstancesNamespace, *arguments: Any, dry_run: bool, **more: Any) -> Any:
        if not dry_run and not refused:
            started_by_somebody()
            refused.append("")
        try:
            return clear(self, *arguments, dry_run=dry_run, **more)
        except Exception as error:
            refused.append(str(error))
            raise

    if airflow.capabilities.clear_prevent_running:
        monkeypatch.setattr(InstancesNamespace, "clear", overtaken)
    else:
        started_by_somebody()
    job = looked_at(panel, job, lambda now: now["finished_at"] is not None)
    assert counts(job) == {"skipped": 1}
    if airflow.capabilities.clear_prevent_running:
        assert len(refused) == 2
        assert "prevent_running_task" in refused[1]
    (item,) = panel.get(f"retry-jobs/{job['id']}/items/")["results"]
    assert item["why"] == "somebody else cleared it meanwhile (running)"
    row = held.rows("work")[0]
    assert (row["state"], row["try_number"]) == ("running", 2), "its process was not disturbed"
    airflow.instances.set_state(SLOW, held.run_id, "work", 0, "failed")


def test_marks_change_the_state_of_the_chosen_indices_and_start_nothing(panel, airflow, finished):
    held = finished(DAG, n=INDICES)
    task = panel.mapped_task(DAG, held.run_id, "work")
    states = {index: row["state"] for index, row in held.rows("work").items()}
    before = ids(held, "items", "work", "summary")
    hard = {index for index, state in states.items() if state == "failed"}
    assert hard == {1, 2, 6, 7, 11}

    marks = [
        ("mark_success", {"outcomes": ["hard_failure"]}, hard, "success"),
        ("mark_failed", {"indices": "0,4"}, {0, 4}, "failed"),
    ]
    for action, selection, indices, state in marks:
        job = retry_job(panel, task, f"by hand: {action}", selection=selection, action=action, include_settled=True)
        job = looked_at(panel, job, lambda now: now["finished_at"] is not None)
        assert (job["state"], counts(job)) == ("done", {"recovered": len(indices)})
        states |= dict.fromkeys(indices, state)
        rows = held.rows("work")
        assert {index: row["state"] for index, row in rows.items()} == states
        note = f"Mapboard {action.replace('_', ' as ')} {job['id'][:8]} by olga: by hand: {action}"
        assert {rows[index]["note"] for index in indices} == {note}
    assert ids(held, "items", "work", "summary") == before
    assert set(held.tries("work").values()) == {1}
    assert held.tries("summary") == {-1: 1}
    assert held.audited_clears() == []
