"""What somebody asks for: which instances, and what to do with them. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.utils.translation import gettext as _

from panel.domain.selection import Selection
from panel.problems import Unprocessable
from panel.retries.models import LONGEST_REASON
from panel.retries.policies import Policy
from panel.retries.states import Action

LONGEST_KEY: Final = 200
MOST_MAPPED_TASKS: Final = 50
BOUNDS: Final = ("try_number_gte", "duration_gte", "duration_lte")
"""Kinds that are spelled out only where they are set: what was asked before there were any keeps its hash."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The instances of these mapped tasks (of one server) that match the selection."""

    mapped_task_ids: tuple[UUID, ...]
    selection: Selection
    action: Action = Action.RETRY
    include_downstream: bool = True
    include_settled: bool = False
    run_on_latest_version: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "mapped_tasks": [str(mapped_task_id) for mapped_task_id in self.mapped_task_ids],
            "selection": {
                "outcomes": sorted(outcome.value for outcome in self.selection.outcomes),
                "indices": str(self.selection.indices),
                "error_groups": sorted(self.selection.error_groups),
                "label": self.selection.label,
                "try_number": self.selection.try_number,
                "q": self.selection.q,
                **{name: bound for name in BOUNDS if (bound := getattr(self.selection, name)) is not None},
            },
            "action": self.action.value,
            "include_downstream": self.include_downstream,
            "include_settled": self.include_settled,
            # Only where it is set: what was asked for before there was such a choice keeps its hash.
            **({"run_on_latest_version": True} if self.run_on_latest_version else {}),
        }

    def check(self) -> None:
        """Raises Unprocessable for what makes no sense before anything is read."""
        if self.action.marks_as and not self.include_downstream:
            raise _wrong(
                "include_downstream",
                _("Airflow itself clears what failed below a marked instance; that cannot be left out."),
            )
        if not self.mapped_task_ids:
            raise _wrong("mapped_task", _("Name the mapped task."))
        if len(self.mapped_task_ids) > MOST_MAPPED_TASKS:
            raise _wrong("mapped_tasks", _("At most %(most)s mapped tasks at once.") % {"most": MOST_MAPPED_TASKS})
        if not self.selection:
            raise _wrong("selection", _("Choose something: an empty selection would mean every index."))


def check_fits(ask: Ask, policy: Policy) -> None:
    """Raises Unprocessable when there is nothing to be careful about: what is marked does not run."""
    if ask.action.marks_as and policy.canary is not None:
        raise _wrong("canary", _("Marking tries nothing out: it sets the state and no more."))


def checked_reason(reason: str) -> str:
    """The reason in one line. Raises Unprocessable when it is missing or too long."""
    text = " ".join(reason.split())
    if not text:
        raise _wrong("reason", _("Say why: it is kept with the job and goes into Airflow's note."))
    if len(text) > LONGEST_REASON:
        raise _wrong("reason", _("At most %(most)s characters.") % {"most": LONGEST_REASON})
    return text


def body_hash(ask: Ask, policy: Policy, reason: str) -> str:
    """The same for the same wish. The plan token is no part of it: it says what was seen, not what is wanted."""
    body = {**ask.as_json(), **policy.as_json(), "reason": reason}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _wrong(field: str, problem: str) -> Unprocessable:
    return Unprocessable(problem, {field: [problem]})
