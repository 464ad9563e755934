"""Airflow's word on instances that are to be marked, and what it runs again below them by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.airflow import Airflow, NotFound, TaskInstance
from panel.domain import states
from panel.retries.choice import Candidate, TaskChoice
from panel.retries.planning.draft import Draft, shown

OWN_NOTE: Final = "Mapboard "
"""How the notes of retries and marks begin; what they say stands with their jobs."""
LOOKED_AT: Final = 500
"""Of a run: somebody waits for the preview, and every chunk is looked at once more right before it is marked."""


def compare_marks(draft: Draft, airflow: Airflow) -> None:
    """Leave out what moved since it was mirrored; say what Airflow clears below the rest."""
    left = LOOKED_AT
    for task in draft.choice.tasks:
        _compare(draft, task, airflow, task.chosen[:left])
        left = max(0, left - len(task.chosen))
    _say_what_runs_again(draft, airflow)
    _say_whose_notes_go(draft)


def _compare(draft: Draft, task: TaskChoice, airflow: Airflow, candidates: list[Candidate]) -> None:
    if not candidates:
        return
    targets = [(task.task_id, candidate.map_index) for candidate in candidates]
    rows = airflow.instances.clear(draft.choice.dag_id, draft.choice.run_id, targets, dry_run=True)
    by_index = {row.map_index: row for row in rows}
    draft.rows |= {(row.task_id, row.map_index): row for row in rows}
    gone: dict[str, list[int]] = {}
    for candidate in candidates:
        if why := _moved(candidate, by_index.get(candidate.map_index)):
            gone.setdefault(why, []).append(candidate.map_index)
    for why, indices in gone.items():
        draft.leave_out(task, why, indices)


def _moved(candidate: Candidate, row: TaskInstance | None) -> str:
    if row is None:
        return _("Airflow no longer has it")
    if row.id != candidate.ti_id:
        return _("ran again meanwhile")
    return "" if row.state in states.CLEARABLE else _("runs or waits meanwhile")


def _say_what_runs_again(draft: Draft, airflow: Airflow) -> None:
    """Whatever the mark is, Airflow clears each failed and upstream_failed instance below, of whatever index, and
    restarts the run for them (AIRFLOW.md §5, seen on 3.3.2).
    """
    below = frozenset[str]().union(*(draft.structure.below(task.task_id) for task in draft.choice.tasks if task.chosen))
    if not below:
        return
    names = sorted(below, key=draft.structure.position)
    try:
        rows = airflow.instances.bulk(
            draft.choice.dag_id, draft.choice.run_id, names, states=[states.FAILED, states.UPSTREAM_FAILED]
        )
    except NotFound:
        return
    found = _by_task(rows)
    for task in draft.choice.tasks:
        for candidate in task.chosen:  # marked first, from below upwards: then Airflow no longer finds it failed
            found.get(task.task_id, set()).discard(candidate.map_index)
    draft.choice.downstream = [name for name in names if found.get(name)]
    count = sum(len(found[name]) for name in draft.choice.downstream)
    if count:
        what = "; ".join(f"{name}: {shown(found[name])}" for name in draft.choice.downstream)
        draft.warnings.append(
            ngettext(
                "What is marked does not run again. But Airflow itself clears what failed below it, of any index, "
                "and restarts the run for it: %(count)s instance (%(what)s).",
                "What is marked does not run again. But Airflow itself clears what failed below it, of any index, "
                "and restarts the run for it: %(count)s instances (%(what)s).",
                count,
            )
            % {"count": count, "what": what[:1_000]}
        )


def _say_whose_notes_go(draft: Draft) -> None:
    chosen = {(task.task_id, candidate.map_index) for task in draft.choice.tasks for candidate in task.chosen}
    rows = (row for key, row in draft.rows.items() if key in chosen)
    count = sum(bool(row.note) and not str(row.note).startswith(OWN_NOTE) for row in rows)
    if count:
        words = ngettext(
            "%(count)s note in Airflow is replaced by the reason.",
            "%(count)s notes in Airflow are replaced by the reason.",
            count,
        )
        draft.warnings.append(words % {"count": count})


def _by_task(rows: Iterable[TaskInstance]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for row in rows:
        found.setdefault(row.task_id, set()).add(row.map_index)
    return found
