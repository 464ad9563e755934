"""What Airflow says about the tasks above upstream_failed indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext as _

from panel.airflow import Airflow, TaskInstance
from panel.domain import states
from panel.domain.outcomes import Outcome
from panel.mirror.models import Instance
from panel.retries import selectors
from panel.retries.choice import Candidate, TaskChoice
from panel.retries.planning.draft import Draft, shown
from panel.retries.upstream import failed_above, unfinished_above

_MATTERS: Final = (
    None, "failed", "upstream_failed", "scheduled", "queued", "running", "restarting", "deferred", "up_for_retry",
    "up_for_reschedule",
)  # fmt: skip


def add_upstream(draft: Draft, airflow: Airflow) -> None:
    """Put the failed upstream of upstream_failed indices into the plan, or leave those indices out."""
    blocked = [
        (task, frozenset(c.map_index for c in task.chosen if c.outcome is Outcome.UPSTREAM_FAILED))
        for task in draft.choice.tasks
    ]
    blocked = [(task, indices) for task, indices in blocked if indices]
    if not blocked:
        return
    names = sorted(set().union(*(draft.structure.above(task.task_id) for task, indices in blocked)))
    if not names:
        return
    rows = airflow.instances.bulk(draft.choice.dag_id, draft.choice.run_id, names, states=_MATTERS)
    found: dict[str, dict[int, TaskInstance]] = {}
    for row in rows:
        found.setdefault(row.task_id, {})[row.map_index] = row
    above = {task_id: {index: row.state for index, row in of.items()} for task_id, of in found.items()}
    for task, indices in blocked:
        _without_waiting(draft, task, unfinished_above(draft.structure, task.task_id, indices, above))
        left = indices & frozenset(candidate.map_index for candidate in task.chosen)
        for upstream, wanted in failed_above(draft.structure, task.task_id, left, above).items():
            _add_task(draft, task, upstream, [found[upstream][index] for index in sorted(wanted)])


def _without_waiting(draft: Draft, task: TaskChoice, waiting: dict[str, frozenset[int]]) -> None:
    for upstream, indices in waiting.items():
        why = _("its upstream task %(task)s has not finished") % {"task": upstream}
        draft.leave_out(task, why, indices)


def _add_task(draft: Draft, below: TaskChoice, upstream: str, rows: Sequence[TaskInstance]) -> None:
    """Add the failed upstream instances; indices below one that is in another job are left out instead."""
    mapped_task_id = draft.mapped_task_id(upstream)
    busy = selectors.open_elsewhere(mapped_task_id, [row.map_index for row in rows])
    together = draft.structure.same_group(upstream, below.task_id)
    if busy:
        blocked = frozenset(busy) if together else frozenset(candidate.map_index for candidate in below.chosen)
        why = _("its upstream task %(task)s is already in job %(job)s") % {
            "task": upstream,
            "job": next(iter(busy.values())).short_id,
        }
        draft.leave_out(below, why, blocked)
    wanted = [row for row in rows if row.map_index not in busy]
    if not wanted or not below.chosen:
        return
    known = draft.choice.task(upstream)
    if known is None:
        known = TaskChoice(upstream, mapped_task_id, draft.structure.position(upstream), [], as_upstream=True)
        draft.choice.tasks.append(known)
    before = len(known.chosen)
    known.add(_with_errors(known, wanted))
    if len(known.chosen) == before:
        return
    draft.warnings.append(
        _("Indices of %(task)s failed because of %(upstream)s, which is retried with them: %(indices)s.")
        % {"task": below.task_id, "upstream": upstream, "indices": shown(row.map_index for row in wanted)}
    )


def _with_errors(task: TaskChoice, rows: Sequence[TaskInstance]) -> list[Candidate]:
    """Candidates of Airflow's rows, with the errors that the mirror knows."""
    known = {
        row.map_index: row for row in Instance.objects.filter(mapped_task_id=task.mapped_task_id, error_type__gt="")
    }
    outcome = {states.FAILED: Outcome.HARD_FAILURE}
    return [
        Candidate(
            map_index=row.map_index,
            ti_id=row.id,
            try_number=row.try_number,
            outcome=outcome.get(row.state or "", Outcome.UPSTREAM_FAILED),
            label=row.rendered_map_index or "",
            error_type=known[row.map_index].error_type if row.map_index in known else "",
            error_message=known[row.map_index].error_message if row.map_index in known else "",
            error_group=known[row.map_index].error_group if row.map_index in known else "",
        )
        for row in rows
    ]
