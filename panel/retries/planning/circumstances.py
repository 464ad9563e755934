"""What stands around the chosen instances: the Dag's condition, its versions, notes that will be replaced, pools."""

from __future__ import annotations

from django.utils.translation import gettext as _

from panel import airflow as wire
from panel.airflow import Airflow, Rejected
from panel.mirror.models import Dag, Instance
from panel.problems import Unprocessable
from panel.retries.asks import Ask
from panel.retries.choice import Plan
from panel.retries.planning.draft import Draft

OWN_NOTE = "Mapboard retry "
"""How the notes of earlier retries begin. What they say stands with their jobs, so nothing is lost with them."""


def check_versions(airflow: Airflow, ask: Ask) -> None:
    """Raises Unprocessable where the server cannot run cleared instances on the latest version."""
    if ask.run_on_latest_version and not airflow.capabilities.clear_latest_version:
        problem = _(
            "This server runs Airflow %(version)s, which cannot retry on the latest version of a Dag; "
            "that needs Airflow 3.1 or newer. Retry without it: the instances keep the version of their run."
        ) % {"version": airflow.capabilities.version}
        raise Unprocessable(problem, {"run_on_latest_version": [problem]}, code="not_offered")


def look_around(plan: Plan, draft: Draft, airflow: Airflow, ask: Ask) -> None:
    """Note pools and versions by the rows of the dry run, and warn. Raises AirflowError."""
    dag = _condition(draft, airflow)
    draft.warnings += _about_dag(dag)
    _note_pools(draft)
    if airflow.capabilities.clear_note:
        plan.notes += _notes(draft)
    latest = (
        dag.latest_dag_version.version_number if isinstance(dag, wire.DagDetails) and dag.latest_dag_version else None
    )
    numbers = {row.dag_version.version_number for row in draft.rows.values() if row.dag_version is not None}
    older = sorted(number for number in numbers if number is not None and latest is not None and number < latest)
    if older:
        plan.outdated = plan.outdated or airflow.capabilities.clear_latest_version
        if not ask.run_on_latest_version:
            draft.warnings.append(_about_version(older[0], latest, offered=airflow.capabilities.clear_latest_version))


def _condition(draft: Draft, airflow: Airflow) -> wire.DagDetails | Dag:
    """The Dag as Airflow has it now; as the mirror had it last where Airflow does not tell."""
    try:
        return airflow.dags.details(draft.choice.dag_id)
    except Rejected:
        return draft.run.dag


def _about_dag(dag: wire.DagDetails | Dag) -> list[str]:
    warnings = []
    if dag.is_paused:
        warnings.append(_("The Dag %(dag)s is paused: what is retried waits in Airflow until somebody unpauses it."))
    if dag.has_import_errors:
        warnings.append(
            _(
                "Airflow cannot read the file of the Dag %(dag)s at present (import errors): "
                "what is retried may fail at once, or not start. Put that right first."
            )
        )
    elif dag.is_stale:
        warnings.append(
            _(
                "Airflow no longer finds the Dag %(dag)s in its files (it is stale): "
                "what is retried may not start. Put that right first."
            )
        )
    return [warning % {"dag": dag.dag_id} for warning in warnings]


def _about_version(number: int, latest: int | None, *, offered: bool) -> str:
    said = _("This run is of version %(number)s of the Dag; the latest is %(latest)s.") % {
        "number": number,
        "latest": latest,
    }
    todo = _("If the Dag was fixed since, retry on the latest version.") if offered else ""
    return f"{said} {todo}".strip()


def _note_pools(draft: Draft) -> None:
    """All instances of a task are in one pool, but for operators that choose it by index: then the last one counts."""
    for task in draft.choice.tasks:
        for one in task.chosen:
            row = draft.rows.get((task.task_id, one.map_index))
            if row is not None and row.pool:
                task.pool, task.pool_slots = row.pool, max(task.pool_slots, row.pool_slots or 1)


def _notes(draft: Draft) -> int:
    """Instances with a note of somebody's: by the dry run, and by the mirror for those it was not made for."""
    seen = sum(_is_of_people(row.note) for row in draft.rows.values())
    for task in draft.choice.tasks:
        unseen = {one.map_index for one in task.chosen if (task.task_id, one.map_index) not in draft.rows}
        if unseen:
            noted = Instance.objects.filter(mapped_task_id=task.mapped_task_id).exclude(note="")
            seen += sum(
                index in unseen and _is_of_people(note) for index, note in noted.values_list("map_index", "note")
            )
    return seen


def _is_of_people(note: str | None) -> bool:
    return bool(note) and not str(note).startswith(OWN_NOTE)
