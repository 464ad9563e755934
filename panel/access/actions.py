"""What people may do, and which group may do it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Action(StrEnum):
    VIEW = "view"
    RETRY = "retry"
    LAUNCH = "launch"
    SET_RULES = "set_rules"
    SET_GUARD_RAILS = "set_guard_rails"
    MANAGE_SERVERS = "manage_servers"
    SEE_AUDIT = "see_audit"


VIEWER: Final = "viewer"
OPERATOR: Final = "operator"
DEPLOYER: Final = "deployer"
ADMIN: Final = "admin"

GRANTS: Final[dict[str, frozenset[Action]]] = {
    VIEWER: frozenset({Action.VIEW}),
    OPERATOR: frozenset({Action.VIEW, Action.RETRY, Action.SET_RULES}),
    DEPLOYER: frozenset({Action.VIEW, Action.LAUNCH}),
    ADMIN: frozenset(Action),
}
"""Actions by group; a user has what all their groups have together, and no group means nothing."""
