"""Which outcome rule holds for a mapped task: the most specific of those of the task, its Dag and its server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet

from panel.domain.outcome_rules import DEFAULT_RULE, Rule
from panel.mirror.models import Dag, MappedTask, OutcomeRule
from panel.mirror.selectors import findable
from panel.servers.models import Server


class Scope(StrEnum):
    """What a rule is set for, the most specific first."""

    TASK = "task"
    DAG = "dag"
    SERVER = "server"
    DEFAULT = "default"


SCOPES: Final = (Scope.TASK, Scope.DAG, Scope.SERVER)
"""Those for which a rule can be set."""
MOST_NAMES: Final = 100
"""Tasks a query: SQLite refuses expressions nested deeper than 1,000."""


@dataclass(frozen=True, slots=True)
class RuleInPlace:
    """A rule and what it was set for; the default has no row."""

    scope: Scope
    rule: Rule
    row: OutcomeRule | None = None


def rule_for(mapped_task: MappedTask) -> Rule:
    """The rule that holds. Asked once an object: a pass keeps the rule it began with (``sync.outcome_rules``)."""
    if mapped_task.rule is None:
        mapped_task.rule = rules_for(mapped_task)[0].rule
    return mapped_task.rule


def rules_for(mapped_task: MappedTask) -> list[RuleInPlace]:
    """Every rule set for the task, its Dag or its server, and the default: the first one holds."""
    dag = mapped_task.run.dag
    rows = OutcomeRule.objects.filter(
        Q(dag_id=dag.dag_id, task_id=mapped_task.task_id) | Q(dag_id=dag.dag_id, task_id="") | Q(dag_id="", task_id=""),
        server=dag.server_id,
    )
    return in_place(rows)


def rule_set_for(server: Server, dag_id: str, task_id: str) -> OutcomeRule | None:
    """The row for exactly this place."""
    rows = OutcomeRule.objects.select_related("server")
    return rows.filter(server=server, dag_id=findable(dag_id), task_id=findable(task_id)).first()


def rules_matching(names: Mapping[str, str]) -> QuerySet[OutcomeRule]:
    """Rules by exact names: any of ``server`` (slug), ``dag_id``, ``task_id``."""
    wanted = {"server__slug" if name == "server" else name: findable(value) for name, value in names.items()}
    return OutcomeRule.objects.select_related("server").filter(**wanted)


def in_place(rows: Iterable[OutcomeRule]) -> list[RuleInPlace]:
    """The rules of these rows, the most specific first, and the default."""
    known = [RuleInPlace(scope_of(row), rule_of(row), row) for row in rows]
    known.sort(key=lambda held: SCOPES.index(held.scope))
    return [*known, RuleInPlace(Scope.DEFAULT, DEFAULT_RULE)]


def rule_of(row: OutcomeRule) -> Rule:
    return Rule(row.status_pointer, tuple(row.failing_values), row.message_pointer)


def scope_of(row: OutcomeRule) -> Scope:
    return Scope.TASK if row.task_id else Scope.DAG if row.dag_id else Scope.SERVER


def is_known(server: Server, dag_id: str, task_id: str) -> bool:
    """Whether a rule for this place can come to hold: the mirror has the server's Dag, and the Dag the mapped task."""
    if not dag_id:
        return not task_id
    dag = Dag.objects.filter(server=server, dag_id=findable(dag_id)).first()
    if dag is None or not task_id:
        return dag is not None
    seen = MappedTask.objects.filter(run__dag=dag, task_id=findable(task_id))
    return task_id in dag.mapped_task_ids or seen.exists()


def stale_tasks(server: Server, *, most: int) -> list[UUID]:
    """Mapped tasks whose outcomes were derived by another rule than the one that holds, those of new runs first.

    Those that were never read have no outcomes. Rules are compared in Python, by the few names and revisions there
    are: the database would need an expression a rule.
    """
    revisions = {(row.dag_id, row.task_id): rule_of(row).revision for row in server.outcome_rules.all()}
    tasks = MappedTask.objects.filter(run__dag__server=server, run__deleted_at=None)
    tasks = tasks.exclude(rule_revision="", full_synced_at=None)
    names = tasks.order_by().values_list("run__dag__dag_id", "task_id", "rule_revision").distinct()
    stale = [triple for triple in names if triple[2] != _holding(revisions, triple[0], triple[1])]
    if not stale:
        return []
    chosen = Q()
    for dag_id, task_id, revision in stale[:MOST_NAMES]:
        chosen |= Q(run__dag__dag_id=dag_id, task_id=task_id, rule_revision=revision)
    return list(tasks.filter(chosen).order_by("-run__run_after", "pk").values_list("pk", flat=True)[:most])


def _holding(revisions: dict[tuple[str, str], str], dag_id: str, task_id: str) -> str:
    places = ((dag_id, task_id), (dag_id, ""), ("", ""))
    return next((revisions[place] for place in places if place in revisions), DEFAULT_RULE.revision)


def place_of(mapped_task: MappedTask, scope: Scope) -> tuple[str, str]:
    """``dag_id`` and ``task_id`` of the row of a rule for this scope."""
    dag_id = mapped_task.run.dag.dag_id
    return {Scope.TASK: (dag_id, mapped_task.task_id), Scope.DAG: (dag_id, "")}.get(scope, ("", ""))
