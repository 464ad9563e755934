"""Which outcome rule holds for a mapped task: the most specific of those of the task, its Dag and its server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.db.models import Q

from panel.domain.outcome_rules import DEFAULT_RULE, Rule
from panel.mirror.models import MappedTask, OutcomeRule


class Scope(StrEnum):
    """What a rule is set for, the most specific first."""

    TASK = "task"
    DAG = "dag"
    SERVER = "server"
    DEFAULT = "default"


SCOPES: Final = (Scope.TASK, Scope.DAG, Scope.SERVER)
"""Those for which a rule can be set."""


@dataclass(frozen=True, slots=True)
class RuleInPlace:
    """A rule and what it was set for; the default has no row."""

    scope: Scope
    rule: Rule
    row: OutcomeRule | None = None


def rule_for(mapped_task: MappedTask) -> Rule:
    """The rule that holds now. Who writes outcomes asks ``sync.outcome_rules.rule_of_pass`` instead, under a claim."""
    return rules_for(mapped_task)[0].rule


def rules_for(mapped_task: MappedTask) -> list[RuleInPlace]:
    """Every rule set for the task, its Dag or its server, and the default: the first one holds."""
    dag = mapped_task.run.dag
    rows = OutcomeRule.objects.filter(
        Q(dag_id=dag.dag_id, task_id=mapped_task.task_id) | Q(dag_id=dag.dag_id, task_id="") | Q(dag_id="", task_id=""),
        server=dag.server_id,
    )
    return in_place(rows)


def in_place(rows: Iterable[OutcomeRule]) -> list[RuleInPlace]:
    """The rules of these rows, the most specific first, and the default."""
    known = [RuleInPlace(scope_of(row), rule_of(row), row) for row in rows]
    known.sort(key=lambda held: SCOPES.index(held.scope))
    return [*known, RuleInPlace(Scope.DEFAULT, DEFAULT_RULE)]


def rule_of(row: OutcomeRule) -> Rule:
    return Rule(row.status_pointer, tuple(row.failing_values), row.message_pointer)


def scope_of(row: OutcomeRule) -> Scope:
    return Scope.TASK if row.task_id else Scope.DAG if row.dag_id else Scope.SERVER
