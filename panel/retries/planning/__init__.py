"""Making a plan: the mirror's rows, Airflow's word on them, and what runs again below. It changes nothing.

Airflow is read within bounds, so a plan is never made inside a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from panel.mirror.models import MappedTask
from panel.retries.asks import Ask
from panel.retries.choice import Plan, grouped
from panel.retries.planning.above import add_upstream
from panel.retries.planning.below import compare
from panel.retries.planning.choosing import choose
from panel.servers.client import open_client


def make_plan(mapped_tasks: Sequence[MappedTask], ask: Ask) -> Plan:
    """What a retry of these mapped tasks (of one server, freshly synced) would do now.

    Raises AirflowError, and Unprocessable when the choice is too large or Airflow would clear more than chosen.
    """
    plan, drafts = choose(mapped_tasks, ask)
    if plan.count:
        with open_client(mapped_tasks[0].run.dag.server) as airflow:
            for draft in drafts:
                add_upstream(draft, airflow)
                compare(draft, airflow, ask)
    for draft in drafts:
        draft.settle()
        plan.left_out += grouped(draft.reasons)
        plan.warnings += draft.warnings
    plan.runs = [run for run in plan.runs if run.count]
    plan.left_out.sort(key=lambda group: -group.count)
    return plan
