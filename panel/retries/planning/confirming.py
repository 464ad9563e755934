"""The plan of a preview once more, without asking Airflow for all of it again while nothing moved there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from panel.airflow import Airflow, NotFound, TaskInstance
from panel.domain import states
from panel.domain.outcomes import Outcome
from panel.mirror.models import Instance, MappedTask
from panel.retries.asks import Ask
from panel.retries.choice import Plan, RunChoice, TaskChoice, grouped
from panel.retries.planning.choosing import candidates, choose
from panel.retries.planning.draft import Draft
from panel.retries.tokens import Shown, ShownRun, ShownTask, digest_of
from panel.servers.client import open_client

MARGIN: Final = timedelta(minutes=1)
"""Airflow stamps a row before it commits it, and by another clock than ours (AIRFLOW.md §3)."""
FEW_CHANGES: Final = 1_000
"""More changed rows than these, read a hundred a request, cost Airflow more than reading everything anew."""
INDICES_A_QUERY: Final = 10_000


def confirmed_plan(mapped_tasks: Sequence[MappedTask], ask: Ask, shown: Shown) -> Plan | None:
    """What the preview showed, where it still holds; ``None`` where only a new plan can tell.

    The mirror must name the same instances in the same tries. Then one count a run asks Airflow whether anything of it
    moved since the preview; what moved, running neighbours for the most part, is compared with the mirror row by row.
    Raises AirflowError.
    """
    plan = _as_shown(mapped_tasks, ask, shown)
    if plan is None or shown.seen_at is None or not plan.count:
        return None
    since = shown.seen_at - MARGIN
    with open_client(mapped_tasks[0].run.dag.server) as airflow:
        for run in plan.runs:
            # A mark also starts what failed below it: then the whole run must be as it was.
            alone = len(run.tasks) == 1 and not _needs_upstream(run) and not ask.action.marks_as
            task = run.tasks[0] if alone else None
            try:
                moved = airflow.instances.count_changed_since(
                    run.dag_id, run.run_id, since, task_id=task.task_id if task else ""
                )
                if moved > FEW_CHANGES or (moved and (task is None or _is_news(airflow, run, task, since))):
                    return None
            except NotFound:
                return None
    # What the rows were compared with must be what the plan was made of.
    return plan if all(_is_unchanged(mapped_task) for mapped_task in mapped_tasks) else None


def _as_shown(mapped_tasks: Sequence[MappedTask], ask: Ask, shown: Shown) -> Plan | None:
    """The plan by the mirror and the token alone; ``None`` where the mirror tells otherwise by now."""
    plan, drafts = choose(mapped_tasks, ask)
    if plan.picked != shown.picked:
        return None
    by_run = {(draft.choice.dag_id, draft.choice.run_id): draft for draft in drafts}
    runs = []
    for run in shown.runs:
        draft = by_run.get((run.dag_id, run.run_id))
        if draft is None:
            return None
        runs.append(_run(draft, run))
    if digest_of(runs) != shown.digest:
        return None
    plan.runs = runs
    plan.left_out += [group for draft in drafts for group in grouped(draft.reasons)]
    plan.left_out_by_airflow = list(shown.left_out)
    plan.left_out = sorted([*plan.left_out, *shown.left_out], key=lambda group: -group.count)
    return plan


def _run(draft: Draft, run: ShownRun) -> RunChoice:
    tasks = [_task(draft, task) for task in run.tasks]
    return RunChoice(run.dag_id, run.run_id, tasks, run.downstream, run.followers)


def _task(draft: Draft, task: ShownTask) -> TaskChoice:
    mapped_task_id = draft.mapped_task_id(task.task_id)
    picked = draft.choice.task(task.task_id)
    known = {one.map_index: one for one in picked.chosen} if picked else {}
    missing = [index for index in task.indices if index not in known]
    for start in range(0, len(missing), INDICES_A_QUERY):
        part = missing[start : start + INDICES_A_QUERY]
        rows = Instance.objects.filter(mapped_task_id=mapped_task_id, map_index__in=part)
        known |= {one.map_index: one for one in candidates(rows)}
    chosen = [known[index] for index in task.indices if index in known]
    if task.unmapped is not None:
        chosen.insert(0, task.unmapped)
    return TaskChoice(task.task_id, mapped_task_id, task.position, chosen, as_upstream=task.as_upstream)


def _needs_upstream(run: RunChoice) -> bool:
    return any(one.outcome is Outcome.UPSTREAM_FAILED for task in run.tasks for one in task.chosen)


def _is_news(airflow: Airflow, run: RunChoice, task: TaskChoice, since: datetime) -> bool:
    """Whether a changed row tells anything about what may be retried that the mirror does not know."""
    changed = airflow.instances.changed_since(run.dag_id, run.run_id, task.task_id, since)
    rows = {row.map_index: row for row in changed if row.map_index >= 0}
    known = Instance.objects.filter(mapped_task_id=task.mapped_task_id, map_index__in=list(rows))
    as_known = {
        index: (ti_id, try_number, state)
        for index, ti_id, try_number, state in known.values_list("map_index", "ti_id", "try_number", "state")
    }
    return any(_differs(row, as_known.get(index)) for index, row in rows.items())


def _is_unchanged(mapped_task: MappedTask) -> bool:
    return MappedTask.objects.filter(pk=mapped_task.pk, version=mapped_task.version).exists()


def _differs(row: TaskInstance, known: tuple[str, int, str] | None) -> bool:
    """A heartbeat is no difference, nor is any step between states in which nothing can be retried."""
    if known is None:
        return True
    if known == (row.id, row.try_number, row.state or ""):
        return False
    return known[2] in states.CLEARABLE or row.state in states.CLEARABLE
