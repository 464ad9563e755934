"""What the mirror alone says: which rows match, and which of them may be retried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from panel.domain.outcomes import Outcome
from panel.mirror import selectors as mirror
from panel.mirror.models import Instance, MappedTask
from panel.problems import Unprocessable
from panel.retries import selectors
from panel.retries.asks import Ask
from panel.retries.choice import Candidate, LeftOut, Plan, TaskChoice, outside, why_not
from panel.retries.models import RetryJob
from panel.retries.planning.draft import Draft
from panel.retries.tokens import digest_of

MOST_ITEMS: Final = 100_000
OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}


def choose(mapped_tasks: Sequence[MappedTask], ask: Ask) -> tuple[Plan, list[Draft]]:
    """The plan so far. Raises Unprocessable when it is too large."""
    drafts: dict[int, Draft] = {}
    left_out: list[LeftOut] = []
    unread = 0
    for mapped_task in mapped_tasks:
        if mapped_task.run_id not in drafts:
            drafts[mapped_task.run_id] = Draft.of(mapped_task.run)
        draft = drafts[mapped_task.run_id]
        draft.choice.tasks.append(_choice(mapped_task, ask, draft))
        unread += int(mapped_task.counts.get(Outcome.UNKNOWN_RESULT, 0))
        if ask.selection.indices:
            existing = frozenset(mirror.instances(mapped_task).values_list("map_index", flat=True))
            beyond = outside(ask.selection.indices, mapped_task.task_id, existing)
            left_out += [beyond] if beyond else []
    plan = Plan(runs=[draft.choice for draft in drafts.values()], left_out=left_out, unread=unread)
    if plan.count > MOST_ITEMS:
        raise Unprocessable(
            _("%(count)s indices are too many for one retry; at most %(most)s. Choose fewer.")
            % {"count": plan.count, "most": MOST_ITEMS}
        )
    for draft in drafts.values():
        draft.by_mirror = len(draft.reasons)
    plan.picked = digest_of(plan.runs, *(draft.run.dag.structure_version for draft in drafts.values()))
    return plan, list(drafts.values())


def _choice(mapped_task: MappedTask, ask: Ask, draft: Draft) -> TaskChoice:
    busy = selectors.open_elsewhere(mapped_task.pk)
    chosen = []
    for candidate in candidates(mirror.select_instances(mapped_task, ask.selection)):
        index = candidate.map_index
        if why := _busy_words(busy, index) or why_not(
            candidate.outcome, include_settled=ask.include_settled, marks_as=ask.action.marks_as
        ):
            draft.reasons.append((why, mapped_task.task_id, index))
        else:
            chosen.append(candidate)
    position = draft.structure.position(mapped_task.task_id)
    return TaskChoice(mapped_task.task_id, mapped_task.pk, position, chosen)


def candidates(rows: QuerySet[Instance]) -> Iterator[Candidate]:
    """The mirror's rows as they may be chosen, read without making objects of 30 columns first."""
    for index, ti_id, try_number, outcome, *texts in rows.values_list(
        "map_index", "ti_id", "try_number", "outcome", "label", "error_type", "error_message", "error_group"
    ).iterator(chunk_size=2_000):
        yield Candidate(index, ti_id, try_number, OUTCOMES[outcome], *texts)


def _busy_words(busy: dict[int, RetryJob], index: int) -> str:
    return _("already in job %(job)s") % {"job": busy[index].short_id} if index in busy else ""
