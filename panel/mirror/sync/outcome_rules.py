"""Outcomes after a change of the rule: derived anew from the results that are stored, without asking Airflow.

``MappedTask.rule_revision`` names the rule by which all stored outcomes of a mapped task were derived; it is empty
while they are being derived, so that whoever takes over after a crash starts again. It is written under the claim
only, and every pass starts here and keeps the rule it got: so a rule that changes while a pass goes on leaves a
revision that differs from the rule's, which the sweep finds.
"""

from __future__ import annotations

from typing import Final

from panel.domain import states
from panel.domain.outcome_rules import Rule, derive
from panel.domain.outcomes import ResultState
from panel.mirror.claims import Claim
from panel.mirror.models import Instance, MappedTask
from panel.mirror.outcome_rules import rule_for
from panel.mirror.selectors import with_results
from panel.mirror.sync.rows import put_unread, put_verdict
from panel.mirror.sync.store import store

BATCH: Final = 2_000
"""Results in memory at a time."""


def keep_rule(claim: Claim[MappedTask]) -> None:
    """Have stored outcomes agree with the rule that holds now; ``rule_for`` gives this one while the claim lasts.

    Raises ClaimLost.
    """
    claim.row.rule = None
    rule = rule_for(claim.row)
    if claim.row.rule_revision != rule.revision:
        _note_revision(claim, "")
        _derive_again(claim, rule)
        _note_revision(claim, rule.revision)


def _derive_again(claim: Claim[MappedTask], rule: Rule) -> None:
    read = Instance.objects.filter(mapped_task=claim.row, result_state=ResultState.READ.value).order_by("map_index")
    last, changed = -1, list[Instance]()
    while rows := list(read.filter(map_index__gt=last)[:BATCH]):
        claim.renew()
        last = rows[-1].map_index
        changed += [row for row in with_results(rows) if _judge(row, rule)]
        if len(changed) >= BATCH:  # each write counts all rows anew
            store(claim, changed)
            changed = []
    if changed:
        store(claim, changed)


def _judge(row: Instance, rule: Rule) -> bool:
    """Whether the verdict is another one. What the rule asks for may have been cut away: then it is read again."""
    before = row.outcome, row.error_message
    if row.held is None or (row.held.shortened and not rule.is_sure_of(row.held.value)):
        put_unread(row)
        return True
    put_verdict(row, derive(states.SUCCESS, ResultState.READ, row.held.value, rule))
    return before != (row.outcome, row.error_message)


def _note_revision(claim: Claim[MappedTask], revision: str) -> None:
    claim.renew()
    claim.row.rule_revision = revision
    claim.row.save(update_fields=["rule_revision"])
