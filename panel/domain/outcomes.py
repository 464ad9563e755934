"""Outcomes: one word an instance. ``outcome_rules.derive`` works it out."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


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


VALUED: Final = frozenset({ResultState.READ, ResultState.EXTERNAL})
"""Results of which there is something to keep: the value, or where it is held. Others have no row."""


OUTCOME_BY_STATE: Final[dict[str, Outcome]] = {
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
"""By Airflow's task-instance state; a success depends on its result, and every other state is waiting."""
