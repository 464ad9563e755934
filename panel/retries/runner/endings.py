"""How one sent index ended: what Airflow's row, and what people did by hand there, mean for the item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext as _

from panel.airflow import TaskInstance
from panel.domain import states
from panel.domain.outcome_rules import derive
from panel.domain.outcomes import FAILURES, SETTLED, Outcome, ResultState
from panel.mirror.models import Instance
from panel.retries.models import RetryItem
from panel.retries.runner.hands import CLOCKS_APART, Hand, Hands
from panel.retries.states import ItemState

ERROR_WAIT: Final = timedelta(seconds=90)
"""How long a failed index waits for the reason in its log before it counts without one."""
_UNREADABLE: Final = frozenset({ResultState.FORBIDDEN, ResultState.EXTERNAL, ResultState.UNREADABLE})


@dataclass(frozen=True, slots=True)
class Ending:
    """How one sent item ended. ``ti_id`` is known where it ended by itself: only that goes into a further round."""

    state: ItemState
    why: str = ""
    try_number: int | None = None
    outcome: str = ""
    error_type: str = ""
    error_message: str = ""
    ti_id: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one instance now. ``reason``: why its result cannot be read, where that counts as final."""

    ti_id: str
    state: str
    outcome: Outcome
    try_number: int
    max_tries: int
    end_date: datetime | None
    settled: bool
    error_known: bool
    error_type: str = ""
    error_message: str = ""
    reason: str = ""

    @classmethod
    def of_row(cls, row: Instance) -> Seen:
        outcome = Outcome(row.outcome)
        unreadable = outcome is Outcome.UNKNOWN_RESULT and ResultState(row.result_state) in _UNREADABLE
        return cls(
            ti_id=row.ti_id,
            state=row.state,
            outcome=outcome,
            try_number=row.try_number,
            max_tries=row.max_tries,
            end_date=row.end_date,
            settled=outcome in SETTLED or unreadable,
            error_known=row.error_try == row.try_number,
            error_type=row.error_type,
            error_message=row.error_message,
            reason=row.result_reason,
        )

    @classmethod
    def of_instance(cls, row: TaskInstance) -> Seen:
        """A task that is not mapped: the mirror does not keep it, and its result counts by its state alone."""
        return cls(
            ti_id=row.id,
            state=row.state or "",
            outcome=derive(row.state, ResultState.ABSENT).outcome,
            try_number=row.try_number,
            max_tries=row.max_tries,
            end_date=row.end_date,
            settled=row.state in states.FINISHED,
            error_known=True,
        )


def is_cleared_again(item: RetryItem, seen: Seen) -> bool:
    """Somebody else cleared it after us: it has more tries than our clear gave it (AIRFLOW.md §5)."""
    if item.max_tries is None or seen.ti_id == item.ti_id:
        return False
    return seen.max_tries > item.max_tries or seen.try_number > item.max_tries + 1


def ending_of(
    item: RetryItem, seen: Seen, hands: Callable[[], Hands], airflow_now: Callable[[], datetime]
) -> Ending | None:
    """``None`` while it is not known yet. ``hands`` is asked only about what may be a person's work, ``airflow_now``
    (the time by Airflow's clock, by which ``end_date`` is) only where a failure has no error yet.
    """
    if seen.ti_id == item.ti_id:
        return None  # still the old try: the mirror has not seen the clear yet
    by_hand = _marked(item, seen, hands, airflow_now)
    if by_hand is not None:
        return by_hand
    if not seen.settled or (seen.outcome is Outcome.HARD_FAILURE and _error_is_coming(seen, airflow_now)):
        return None
    state, why = meaning(seen.outcome, seen.reason)
    return Ending(state, why, seen.try_number, seen.outcome, seen.error_type, seen.error_message, seen.ti_id)


def meaning(outcome: Outcome, reason: str = "") -> tuple[ItemState, str]:
    if outcome is Outcome.REMOVED:
        return ItemState.LOST, _("the map shrank: Airflow removed it")
    if outcome is Outcome.UPSTREAM_FAILED:
        return ItemState.FAILED_AGAIN, _("an upstream task failed again")
    if outcome in FAILURES:
        return ItemState.FAILED_AGAIN, ""
    if outcome is Outcome.SKIPPED:
        return ItemState.RECOVERED, _("skipped itself this time")
    if outcome is Outcome.UNKNOWN_RESULT:
        return ItemState.RECOVERED, _("succeeded, but its result cannot be read: %(reason)s") % {"reason": reason}
    return ItemState.RECOVERED, ""


def _marked(
    item: RetryItem, seen: Seen, hands: Callable[[], Hands], airflow_now: Callable[[], datetime]
) -> Ending | None:
    """The ending of an index that a person ended; ``None`` for one that ended by itself, or has not ended."""
    began = seen.try_number > item.try_number
    failed = seen.state == states.FAILED
    logged = failed and seen.error_known and bool(seen.error_type)
    if seen.state not in {states.SUCCESS, states.FAILED, states.SKIPPED} or (began and logged):
        return None  # it has not ended, or its log tells how it failed
    found = hands()
    mark = found.mark_of(item.target.task_id, item.map_index, since=item.sent_at)
    if mark is not None and mark.state == seen.state:
        return _by_hand(seen, _("%(who)s marked it as %(state)s by hand in Airflow") % _named(mark), began=began)
    if began and failed and _error_is_coming(seen, airflow_now):
        return None  # it may have failed by itself just before
    run_mark = found.run_mark(since=item.sent_at)
    if run_mark is not None and _ended_by(run_mark, seen, began=began):
        why = _("%(who)s marked the whole run as %(state)s by hand in Airflow") % _named(run_mark)
    elif not began:
        why = _("set to %(state)s in Airflow before its new try began, by hand or because its run was ended")
        why %= {"state": seen.state}
    else:
        return None
    return _by_hand(seen, why, began=began)


def _by_hand(seen: Seen, why: str, *, began: bool) -> Ending:
    """A failure stays one, to be retried; the rest was taken out of the job's hands, and has not recovered by it."""
    failed = seen.state == states.FAILED
    state = ItemState.FAILED_AGAIN if failed else ItemState.SKIPPED
    outcome = Outcome.HARD_FAILURE if failed else Outcome.SKIPPED if seen.state == states.SKIPPED else Outcome.SUCCESS
    return Ending(state, why, seen.try_number if began else None, outcome)


def _ended_by(mark: Hand, seen: Seen, *, began: bool) -> bool:
    """Whether this came of the mark of the run. A success that ended before it is its own; a failure without an error
    in its log may have been a success until then."""
    if not began:
        return seen.state in {mark.state, states.SKIPPED}
    if seen.state == states.SKIPPED or seen.state != mark.state:
        return seen.state == states.SKIPPED and seen.end_date is not None and seen.end_date >= mark.when - CLOCKS_APART
    return seen.state == states.FAILED or seen.end_date is None or seen.end_date >= mark.when - CLOCKS_APART


def _named(hand: Hand) -> dict[str, str]:
    return {"who": hand.who or _("somebody"), "state": hand.state}


def _error_is_coming(seen: Seen, airflow_now: Callable[[], datetime]) -> bool:
    if seen.error_known:
        return False
    return seen.end_date is None or airflow_now() - seen.end_date <= ERROR_WAIT
