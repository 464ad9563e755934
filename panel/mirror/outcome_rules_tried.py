"""Trying an outcome rule on the stored results of one mapped task. Nothing is written, Airflow is not asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Count, F

from panel.domain import states
from panel.domain.json_pointers import MISSING
from panel.domain.outcome_rules import Rule, derive
from panel.domain.outcomes import Outcome, ResultState
from panel.domain.rule_suggestions import Suggestions, suggest
from panel.domain.texts import plain
from panel.mirror.models import Instance, InstanceResult, MappedTask, OutcomeRule
from panel.mirror.sync.rows import MESSAGE_LENGTH

MOST_TRIED: Final = 10_000
"""Results a try-out looks at, evenly spread over the map, so that it answers while somebody types."""
MOST_READ_FOR_SUGGESTIONS: Final = 1_000
MOST_EXAMPLES: Final = 12
MOST_ALIKE: Final = 3
"""Examples whose outcome stays, of one value of the status."""


@dataclass(frozen=True, slots=True)
class Example:
    """One instance before and after; ``status`` is what the pointer finds (MISSING where nothing is)."""

    map_index: int
    label: str
    status: Any
    message: str
    before: str
    after: str

    @property
    def changes(self) -> bool:
        return self.before != self.after

    @property
    def has_status(self) -> bool:
        return self.status is not MISSING


@dataclass(slots=True)
class TryOut:
    """What a rule would do. ``tried`` of ``total`` results were looked at; ``to_read`` of them are kept as previews
    that do not tell, and would be read from Airflow again. ``after`` counts outcomes among those tried."""

    total: int
    tried: int = 0
    to_read: int = 0
    failing: int = 0
    to_failure: int = 0
    to_success: int = 0
    new_messages: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def changed(self) -> int:
        return self.to_failure + self.to_success


def try_rule(mapped_task: MappedTask, rule: Rule) -> TryOut:
    """What the rule would make of the stored results of this mapped task."""
    read = Instance.objects.filter(mapped_task=mapped_task, result_state=ResultState.READ.value)
    found = TryOut(total=read.count())
    step = -(-found.total // MOST_TRIED)
    changing: list[Example] = []
    staying: dict[str, list[Example]] = {}
    for before, held in _with_values(mapped_task, step or 1):
        found.tried += 1
        if held.shortened and not rule.is_sure_of(held.value):
            found.to_read += 1
            continue
        verdict = derive(states.SUCCESS, ResultState.READ, held.value, rule)
        _count(found, before, verdict.outcome, plain(verdict.message, MESSAGE_LENGTH))
        alike = changing if verdict.outcome != before.outcome else staying.setdefault(verdict.outcome, [])
        if len(alike) < (MOST_EXAMPLES if alike is changing else MOST_ALIKE):
            alike.append(_example(before, rule, held.value, verdict.outcome, verdict.message))
    found.examples = (changing + [example for alike in staying.values() for example in alike])[:MOST_EXAMPLES]
    return found


def suggestions_for(mapped_task: MappedTask) -> Suggestions:
    """Places in the first results that a rule could look at."""
    values = InstanceResult.objects.filter(mapped_task=mapped_task).order_by("map_index")
    return suggest(values.values_list("value", flat=True)[:MOST_READ_FOR_SUGGESTIONS])


@dataclass(frozen=True, slots=True)
class Reach:
    """How many mapped tasks a rule would hold for, and how many of its scope have a more specific rule."""

    mapped_tasks: int
    exceptions: int


def reach(mapped_task: MappedTask, *, dag_id: str, task_id: str) -> Reach:
    """That of a rule for this place; tasks of several runs count once a run."""
    server = mapped_task.run.dag.server
    narrower = OutcomeRule.objects.filter(server=server).exclude(dag_id=dag_id, task_id=task_id)
    inside = MappedTask.objects.filter(run__dag__server=server, run__deleted_at=None)
    if dag_id:
        narrower, inside = narrower.filter(dag_id=dag_id), inside.filter(run__dag__dag_id=dag_id)
    if task_id:
        narrower, inside = narrower.none(), inside.filter(task_id=task_id)
    places = set(narrower.values_list("dag_id", "task_id"))
    counted = inside.order_by().values_list("run__dag__dag_id", "task_id").annotate(n=Count("pk"))
    return Reach(sum(n for dag, task, n in counted if not {(dag, task), (dag, "")} & places), len(places))


def _with_values(mapped_task: MappedTask, step: int) -> Iterator[tuple[Instance, InstanceResult]]:
    """Instances and their results, every ``step``-th index, in two queries side by side."""
    spread = {"place": 0} if step > 1 else {}
    rows = Instance.objects.annotate(place=F("map_index") % step).filter(mapped_task=mapped_task, **spread)
    rows = rows.filter(result_state=ResultState.READ.value)
    held = InstanceResult.objects.annotate(place=F("map_index") % step).filter(mapped_task=mapped_task, **spread)
    columns = ("map_index", "label", "outcome", "error_message")
    by_index = {row.map_index: row for row in rows.only(*columns, "mapped_task_id")}
    for result in held.order_by("map_index").iterator(2_000):
        if row := by_index.get(result.map_index):
            yield row, result


def _count(found: TryOut, before: Instance, after: Outcome, message: str) -> None:
    fails = after is Outcome.SOFT_FAILURE
    found.failing += fails
    if after != before.outcome:
        found.to_failure += fails
        found.to_success += not fails
    elif fails and message != before.error_message:
        found.new_messages += 1


def _example(before: Instance, rule: Rule, value: Any, after: Outcome, message: str) -> Example:
    return Example(
        map_index=before.map_index,
        label=before.label,
        status=rule.status_in(value),
        message=message[:300],
        before=before.outcome,
        after=after.value,
    )
