"""Outcomes after a change of the rule: derived anew from the results that are stored, without asking Airflow.

``MappedTask.rule_revision`` names the rule by which all stored outcomes of a mapped task were derived; it is empty
while they are being derived, so that whoever takes over after a crash starts again. It is written under the claim
only, and every pass starts here and keeps the rule it got: so a rule that changes while a pass goes on leaves a
revision that differs from the rule's, which the sweep finds.
"""

from __future__ import annotations

from panel.domain.outcome_rules import Rule
from panel.mirror.claims import Claim
from panel.mirror.models import MappedTask
from panel.mirror.outcome_rules import rule_for


def rule_of_pass(claim: Claim[MappedTask]) -> Rule:
    """The rule by which outcomes are to be derived while this claim lasts. Stored outcomes agree with it.

    Raises ClaimLost.
    """
    mapped_task = claim.row
    rule = rule_for(mapped_task)
    if mapped_task.rule_revision != rule.revision:
        _note_revision(claim, rule.revision)
    return rule


def _note_revision(claim: Claim[MappedTask], revision: str) -> None:
    claim.renew()
    claim.row.rule_revision = revision
    claim.row.save(update_fields=["rule_revision"])
