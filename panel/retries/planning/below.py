"""Airflow's dry run beside the plan: what it leaves out, what changed, what runs again downstream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.airflow import Airflow, ClearedInstance, TaskInstance, Unsupported
from panel.domain import states
from panel.problems import Unprocessable
from panel.retries.asks import Ask
from panel.retries.choice import Candidate, TaskChoice
from panel.retries.planning.draft import Draft, shown

DRY_RUN_INDICES: Final = 500
"""Of a run. Airflow needs about half a second for them, and somebody waits for the preview; every chunk is compared
once more right before it is sent."""

Pairs = Sequence[tuple[TaskChoice, Candidate]]


def compare(draft: Draft, airflow: Airflow, ask: Ask) -> None:
    """Airflow's dry run beside the plan: what it leaves out, what changed, what runs again downstream."""
    pairs = [(task, candidate) for task in draft.choice.tasks for candidate in task.chosen]
    checked = _checked(draft)
    below: dict[str, set[int]] = {}
    gone: dict[tuple[str, str], list[int]] = {}
    rows = {(row.task_id, row.map_index): row for row in _dry_run(draft, airflow, ask, checked)} if checked else {}
    draft.rows |= rows
    for task, candidate in checked:
        row = rows.pop((task.task_id, candidate.map_index), None)
        if why := _disagreement(candidate, row):
            gone.setdefault((task.task_id, why), []).append(candidate.map_index)
    for task_id, index in rows:
        below.setdefault(task_id, set()).add(index)
    for task in draft.choice.tasks:
        for (task_id, why), indices in gone.items():
            if task_id == task.task_id:
                draft.leave_out(task, why, indices)
    _sort_below(draft, below, {(task.task_id, candidate.map_index) for task, candidate in pairs})
    if len(pairs) > len(checked):
        draft.warnings.append(
            _(
                "Airflow's dry run was made for the first %(checked)s of %(count)s indices. "
                "Each chunk is checked again right before it is sent."
            )
            % {"checked": len(checked), "count": len(pairs)}
        )


def _checked(draft: Draft) -> list[tuple[TaskChoice, Candidate]]:
    """What the dry run is made for: all there is, or as many as fit, of each task the first."""
    tasks = [task for task in draft.choice.tasks if task.chosen]
    left = DRY_RUN_INDICES
    checked = []
    for place, task in enumerate(sorted(tasks, key=lambda task: len(task.chosen))):
        part = task.chosen[: max(1, left // (len(tasks) - place))]
        checked += [(task, candidate) for candidate in part]
        left -= len(part)
    return checked


def _dry_run(draft: Draft, airflow: Airflow, ask: Ask, part: Pairs) -> list[ClearedInstance]:
    targets = [(task.task_id, candidate.map_index) for task, candidate in part]
    dag_id, run_id = draft.choice.dag_id, draft.choice.run_id
    try:
        return airflow.instances.clear(
            dag_id,
            run_id,
            targets,
            dry_run=True,
            include_downstream=ask.include_downstream,
            run_on_latest_version=ask.run_on_latest_version,
        )
    except Unsupported:
        tasks = {target[0] for target in targets}
        if not ask.include_downstream or len(tasks) > 1 or tasks & draft.structure.grouped:
            raise
    # Before 3.1.1 Airflow cannot say it for single indices; for one plain mapped task the Dag's structure can.
    (task_id,) = tasks
    draft.choice.downstream = sorted(draft.structure.below(task_id), key=draft.structure.position)
    return airflow.instances.clear(dag_id, run_id, targets, dry_run=True)


def _disagreement(candidate: Candidate, row: TaskInstance | None) -> str:
    if row is None:
        return _("Airflow no longer has it")
    if row.state not in states.CLEARABLE:
        return _("runs or waits meanwhile")
    return "" if row.id == candidate.ti_id else _("ran again meanwhile")


def _sort_below(draft: Draft, below: dict[str, set[int]], chosen: set[tuple[str, int]]) -> None:
    """Downstream rows are followers inside a mapped group, else tasks that run again once after all."""
    plan, structure = draft.choice, draft.structure
    downstream = dict.fromkeys(plan.downstream)
    for task_id, indices in below.items():
        leaders = [
            task.task_id
            for task in plan.tasks
            if structure.same_group(task.task_id, task_id) and task_id in structure.below(task.task_id)
        ]
        for leader in leaders:
            plan.followers.setdefault(leader, []).append(task_id)
        more = {index for index in indices if (task_id, index) not in chosen}
        if leaders or not more:
            continue
        if plan.task(task_id) is not None:
            raise _too_much(task_id, more)
        downstream[task_id] = None
    plan.downstream = sorted(downstream, key=structure.position)
    for leader, tasks in plan.followers.items():
        plan.followers[leader] = sorted(tasks, key=structure.position)


def _too_much(task_id: str, indices: set[int]) -> Unprocessable:
    problem = ngettext(
        "Airflow would also clear %(count)s index of %(task)s that you did not choose: %(indices)s. "
        "Choose it as well, or retry without the tasks downstream.",
        "Airflow would also clear %(count)s indices of %(task)s that you did not choose: %(indices)s. "
        "Choose them as well, or retry without the tasks downstream.",
        len(indices),
    ) % {"count": len(indices), "task": task_id, "indices": shown(indices)}
    return Unprocessable(problem, {"selection": [problem]}, code="too_much_cleared")
