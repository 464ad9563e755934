"""Making a plan: the mirror's rows, Airflow's word on them, and what runs again below. It changes nothing.

Airflow is read within bounds, so a plan is never made inside a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from panel.airflow import Airflow
from panel.mirror.models import MappedTask
from panel.mirror.sync.clocks import safe_time
from panel.retries.asks import Ask
from panel.retries.choice import Plan, grouped
from panel.retries.planning.above import add_upstream
from panel.retries.planning.below import compare
from panel.retries.planning.choosing import MOST_ITEMS, choose
from panel.retries.planning.circumstances import check_versions, look_around
from panel.retries.planning.confirming import confirmed_plan
from panel.retries.planning.marks import compare_marks
from panel.servers.client import open_client

__all__ = ["MOST_ITEMS", "confirmed_plan", "make_plan"]


def make_plan(mapped_tasks: Sequence[MappedTask], ask: Ask) -> Plan:
    """What a retry of these mapped tasks (of one server, freshly synced) would do now.

    Raises AirflowError, and Unprocessable when the choice is too large, the server cannot do what is asked for or
    Airflow would clear more than chosen.
    """
    began = timezone.now()
    plan, drafts = choose(mapped_tasks, ask)
    if plan.count:
        with open_client(mapped_tasks[0].run.dag.server) as airflow:
            check_versions(airflow, ask)
            for draft in drafts:
                if ask.action.marks_as:
                    compare_marks(draft, airflow)
                    continue
                add_upstream(draft, airflow)
                compare(draft, airflow, ask)
                look_around(plan, draft, airflow, ask)
            plan.seen_at = _seen_at(mapped_tasks, airflow, began)
    for draft in drafts:
        draft.settle()
        plan.left_out += grouped(draft.reasons)
        plan.left_out_by_airflow += grouped(draft.reasons[draft.by_mirror :])
        plan.warnings += draft.warnings
    plan.warnings = list(dict.fromkeys(plan.warnings))  # several runs of a Dag say some things alike
    plan.runs = [run for run in plan.runs if run.count]
    plan.left_out.sort(key=lambda group: -group.count)
    return plan


def _seen_at(mapped_tasks: Sequence[MappedTask], airflow: Airflow, began: datetime) -> datetime | None:
    """Since when Airflow's changes may be unknown: the mirror's rows are as old as their last read."""
    read = [mapped_task.watermark for mapped_task in mapped_tasks if mapped_task.watermark is not None]
    return min(safe_time(airflow, began), *read) if len(read) == len(mapped_tasks) else None
