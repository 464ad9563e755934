"""Puts a Dag, a run, a mapped task and its instances into the mirror, as a sync would have left them.

    task = mirrored_task(server, outcomes=["success", "hard_failure", "soft_failure"])

Nothing is asked of Airflow. The fake on the wire knows none of it, unless a test tells it as well.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from panel.domain.outcome_rules import DEFAULT_RULE
from panel.domain.outcomes import Outcome, ResultState
from panel.mirror.claims import claim
from panel.mirror.models import Dag, DagRun, Instance, MappedTask, mapped_task_uuid
from panel.mirror.sync.rows import put_error, put_no_result, put_result
from panel.mirror.sync.store import finish, store
from panel.servers.models import Server

STATES: dict[Outcome, str] = {
    Outcome.SUCCESS: "success",
    Outcome.SOFT_FAILURE: "success",
    Outcome.UNKNOWN_RESULT: "success",
    Outcome.HARD_FAILURE: "failed",
    Outcome.UPSTREAM_FAILED: "upstream_failed",
    Outcome.RETRYING: "up_for_retry",
    Outcome.RUNNING: "running",
    Outcome.WAITING: "scheduled",
    Outcome.SKIPPED: "skipped",
    Outcome.REMOVED: "removed",
}
UNFINISHED = {Outcome.RETRYING, Outcome.RUNNING, Outcome.WAITING}


def mirrored_dag(
    server: Server,
    dag_id: str = "etl.daily",
    *,
    mapped_task_ids: Sequence[str] = ("process_file",),
    downstream: Sequence[str] = (),
    **fields: Any,
) -> Dag:
    """A Dag whose mapped tasks all feed the ``downstream`` ones (trigger rule all_done)."""
    tasks = [_task(task_id, is_mapped=True, downstream=list(downstream)) for task_id in mapped_task_ids]
    tasks += [_task(task_id, is_mapped=False, downstream=[]) for task_id in downstream]
    dag, _created = Dag.objects.get_or_create(
        server=server,
        dag_id=dag_id,
        defaults={
            "display_name": dag_id,
            "mapped_task_ids": list(mapped_task_ids),
            "tasks": tasks,
            "structure_version": "1:fixed",
            "structure_synced_at": timezone.now(),
            "synced_at": timezone.now(),
        }
        | fields,
    )
    return dag


def mirrored_run(dag: Dag, run_id: str = "manual__1", *, state: str = "success", **fields: Any) -> DagRun:
    now = timezone.now()
    run, _created = DagRun.objects.get_or_create(
        dag=dag,
        run_id=run_id,
        defaults={
            "state": state,
            "run_type": "manual",
            "run_after": now - timedelta(minutes=10),
            "queued_at": now - timedelta(minutes=10),
            "start_date": now - timedelta(minutes=10),
            "end_date": now if state in {"success", "failed"} else None,
            "synced_at": now,
            "changed_at": now - timedelta(minutes=1),
        }
        | fields,
    )
    return run


def mirrored_task(
    server: Server,
    outcomes: Sequence[Outcome | str] = (),
    *,
    dag_id: str = "etl.daily",
    run_id: str = "manual__1",
    task_id: str = "process_file",
    run_state: str | None = None,
    downstream: Sequence[str] = (),
    labels: Mapping[int, str] | None = None,
    results: Mapping[int, Any] | None = None,
    errors: Mapping[int, tuple[str, str]] | None = None,
    tries: Mapping[int, int] | None = None,
    durations: Mapping[int, float | None] | None = None,
    unexpanded_state: str = "",
) -> MappedTask:
    """A mapped task with one instance for each of ``outcomes``, from index 0 on; the rollup is the real one.

    The other mappings are by map index. ``run_state`` is worked out of the outcomes unless it is given.
    """
    wanted = [Outcome(outcome) for outcome in outcomes]
    state = run_state or _run_state(wanted)
    dag = mirrored_dag(server, dag_id, mapped_task_ids=[task_id], downstream=downstream)
    run = mirrored_run(dag, run_id, state=state)
    now = timezone.now()
    mapped_task = MappedTask.objects.create(
        id=mapped_task_uuid(server.slug, dag_id, run_id, task_id),
        run=run,
        task_id=task_id,
        synced_at=now,
        watermark=now,
        full_synced_at=now,
        unexpanded_state=unexpanded_state,
        rule_revision=DEFAULT_RULE.revision,
    )
    rows = []
    for index, outcome in enumerate(wanted):
        row = _instance(mapped_task, index, outcome, (tries or {}).get(index, 1), now)
        row.label = (labels or {}).get(index, "")
        row.label_folded = row.label.casefold() or None
        if durations and index in durations:
            row.duration = durations[index]
        _judge(row, outcome, (results or {}).get(index), (errors or {}).get(index))
        rows.append(row)
    held = claim(mapped_task)
    assert held is not None
    store(held, rows)
    finish(held)
    held.succeed(due_at=None, complete=mapped_task.unread_results == 0)
    return MappedTask.objects.select_related("run__dag__server").get(pk=mapped_task.pk)


def _instance(mapped_task: MappedTask, index: int, outcome: Outcome, try_number: int, now: datetime) -> Instance:
    started = outcome is not Outcome.WAITING
    ended = outcome not in {Outcome.WAITING, Outcome.RUNNING}
    return Instance(
        mapped_task=mapped_task,
        map_index=index,
        ti_id=str(uuid.uuid4()),
        state=STATES[outcome],
        outcome=outcome.value,
        try_number=try_number,
        queued_at=now - timedelta(minutes=6),
        start_date=now - timedelta(minutes=5) + timedelta(seconds=index) if started else None,
        end_date=now - timedelta(minutes=4) + timedelta(seconds=2 * index) if ended else None,
        duration=60.0 + index if ended else None,
    )


def _judge(row: Instance, outcome: Outcome, result: Any, error: tuple[str, str] | None) -> None:
    if outcome is Outcome.SUCCESS:
        put_result(row, result if result is not None else {"id": row.map_index}, 4096)
    elif outcome is Outcome.SOFT_FAILURE:
        said = error[1] if error else f"no rows in part {row.map_index}"
        put_result(row, result or {"id": row.map_index, "status": "failed", "error": said}, 4096)
    elif outcome is Outcome.UNKNOWN_RESULT:
        put_no_result(row, ResultState.FORBIDDEN, "Forbidden")
    elif outcome in {Outcome.HARD_FAILURE, Outcome.RETRYING}:
        put_error(row, *(error or ("ValueError", f"item {row.map_index} is broken")))
    assert row.outcome == outcome.value


def _run_state(outcomes: Sequence[Outcome]) -> str:
    if UNFINISHED & set(outcomes):
        return "running"
    return "failed" if {Outcome.HARD_FAILURE, Outcome.UPSTREAM_FAILED} & set(outcomes) else "success"


def _task(task_id: str, *, is_mapped: bool, downstream: list[str]) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "is_mapped": is_mapped,
        "downstream": downstream,
        "trigger_rule": "all_success" if is_mapped else "all_done",
        "retries": 0,
        "pool": "default_pool",
    }
