"""What the page of a launch says about its approval, to one person."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User

from panel.launches.approvals import why_not_decide
from panel.launches.comparison import Comparison, compared
from panel.launches.dag_forms import known_fields
from panel.launches.models import Launch
from panel.launches.selectors import last_launch
from panel.launches.states import State


@dataclass(frozen=True, slots=True)
class ApprovalPage:
    """``why_not``: why this person cannot decide; ``comparison`` only while there is something to decide."""

    why_not: str
    comparison: Comparison | None

    @property
    def waits(self) -> bool:
        return self.comparison is not None


def approval_page(launch: Launch, user: User) -> ApprovalPage | None:
    """``None`` for a launch that needs no approval."""
    if not launch.approval_hash:
        return None
    if launch.state != State.AWAITING_APPROVAL or launch.server is None:
        return ApprovalPage("", None)
    fields = known_fields(launch.server, launch.dag_id)
    last = last_launch(launch.server, launch.dag_id, before=launch.created_at)
    return ApprovalPage(
        why_not_decide(user, launch), compared(fields, launch.params, last, secrets=launch.secret_params)
    )
