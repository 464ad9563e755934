"""Outcomes: one word an instance, derived from its task-instance state and its result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from panel.domain import states


class Outcome(StrEnum):
    """What became of one mapped instance, in the order in which pages list them."""

    SUCCESS = "success"
    SOFT_FAILURE = "soft_failure"
    HARD_FAILURE = "hard_failure"
    UPSTREAM_FAILED = "upstream_failed"
    RETRYING = "retrying"
    RUNNING = "running"
    WAITING = "waiting"
    SKIPPED = "skipped"
    UNKNOWN_RESULT = "unknown_result"
    REMOVED = "removed"


FAILURES: Final = frozenset({Outcome.SOFT_FAILURE, Outcome.HARD_FAILURE, Outcome.UPSTREAM_FAILED})
"""Outcomes that call for somebody's attention."""

SETTLED: Final = frozenset(
    {
        Outcome.SUCCESS,
        Outcome.SOFT_FAILURE,
        Outcome.HARD_FAILURE,
        Outcome.UPSTREAM_FAILED,
        Outcome.SKIPPED,
        Outcome.REMOVED,
    }
)
"""Outcomes that stay as they are until somebody clears the instance."""


class ResultState(StrEnum):
    """What is known of an instance's result, the XCom ``return_value`` of its current try."""

    NONE = "none"  # not expected: the instance has not succeeded
    UNREAD = "unread"  # succeeded; the result will be read
    READ = "read"
    ABSENT = "absent"  # succeeded and returned nothing (Airflow answers 404)
    FORBIDDEN = "forbidden"  # Airflow answers 403
    EXTERNAL = "external"  # held outside Airflow's database; the value is only a reference
    UNREADABLE = "unreadable"  # too large, or Airflow answered nonsense


_BY_STATE: Final[dict[str, Outcome]] = {
    "failed": Outcome.HARD_FAILURE,
    "upstream_failed": Outcome.UPSTREAM_FAILED,
    "skipped": Outcome.SKIPPED,
    "removed": Outcome.REMOVED,
    "running": Outcome.RUNNING,
    "restarting": Outcome.RUNNING,
    "deferred": Outcome.RUNNING,
    "up_for_reschedule": Outcome.RUNNING,
    "up_for_retry": Outcome.RETRYING,
}

_FAILING_STATUSES: Final = frozenset({"failed", "failure", "error"})
_MESSAGE_KEYS: Final = ("error", "message", "reason")


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome and, for a soft failure, the message found in the result."""

    outcome: Outcome
    message: str = ""


def soft_failure_message(result: Any) -> str | None:
    """The message of a result that says its item failed, by the default rule; ``None`` for any other result.

    The rule: a mapping whose ``status`` is ``failed``, ``failure`` or ``error`` in any case; the message is the
    first non-empty one of ``error``, ``message``, ``reason``.
    """
    if not isinstance(result, dict):
        return None
    status = result.get("status")
    if not isinstance(status, str) or status.strip().casefold() not in _FAILING_STATUSES:
        return None
    for key in _MESSAGE_KEYS:
        if message := result.get(key):
            return message if isinstance(message, str) else repr(message)
    return ""


def derive(state: str | None, result_state: ResultState, result: Any = None) -> Verdict:
    """The verdict on one instance.

    ``result`` is the whole value, before any shortening, and is looked at only when ``result_state`` is ``READ``.
    States that are not known count as waiting, so that a newer Airflow does not break a page.
    """
    if state == states.SUCCESS:
        if result_state is ResultState.READ:
            message = soft_failure_message(result)
            return Verdict(Outcome.SUCCESS) if message is None else Verdict(Outcome.SOFT_FAILURE, message)
        if result_state is ResultState.ABSENT:
            return Verdict(Outcome.SUCCESS)
        return Verdict(Outcome.UNKNOWN_RESULT)
    return Verdict(_BY_STATE.get(state or "", Outcome.WAITING))
