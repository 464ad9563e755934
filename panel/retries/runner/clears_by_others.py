"""Indices that somebody else cleared again after the job did: did the job's own try end before, or was it cut off?

Airflow's list of tries tells, at one request an index; so few at a look, and the rest at the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.utils.translation import gettext as _

from panel.airflow import Airflow, AirflowError, Try
from panel.domain import states
from panel.domain.outcomes import Outcome
from panel.domain.texts import plain
from panel.retries.models import RetryItem, RetryTarget
from panel.retries.runner.claims import Claim
from panel.retries.runner.endings import Ending, Seen
from panel.retries.states import ItemState

MOST_LOOKED_UP: Final = 50


class OthersClears:
    """Of one target, for one look."""

    def __init__(self, target: RetryTarget, airflow: Airflow, claim: Claim) -> None:
        self._target, self._airflow, self._claim = target, airflow, claim
        self._left = MOST_LOOKED_UP

    def take_notice(self, pairs: Iterable[tuple[RetryItem, Seen]]) -> None:
        """Keep, at the first sight of the new try, how many tries our own clear gave each index."""
        by_tries: dict[int, list[int]] = {}
        for item, seen in pairs:
            if item.max_tries is None and seen.ti_id != item.ti_id:
                item.max_tries = seen.max_tries
                by_tries.setdefault(seen.max_tries, []).append(item.pk)
        for tries, pks in by_tries.items():
            for start in range(0, len(pks), 500):
                with self._claim.fenced():
                    RetryItem.objects.filter(pk__in=pks[start : start + 500]).update(max_tries=tries)

    def ending_of(self, item: RetryItem, seen: Seen) -> Ending | None:
        """The ending of our own try, where it had one; else the try that somebody else started counts from now on."""
        if not self._left:
            return None
        self._left -= 1
        try:
            own = self._own_try(item, seen)
            ending = self._ending_of_own(item, own) if own is not None else None
        except AirflowError:
            return None  # the next look asks again
        if ending is None:
            self._go_on_with(item, seen)
        return ending

    def _own_try(self, item: RetryItem, seen: Seen) -> Try | None:
        """The last of the tries that our clear gave it, unless that is the one which goes on now."""
        run = self._target.run
        tries = self._airflow.instances.tries(run.dag_id, run.run_id, self._target.task_id, item.map_index)
        most = min((item.max_tries or 0) + 1, seen.try_number if not seen.state else seen.try_number - 1)
        own = [one for one in tries if item.try_number < one.try_number <= most and one.state in states.FINISHED]
        return max(own, key=lambda one: one.try_number, default=None)

    def _ending_of_own(self, item: RetryItem, own: Try) -> Ending | None:
        after = _("somebody else cleared it again after try %(number)s had ended") % {"number": own.try_number}
        if own.state == states.SUCCESS:
            return Ending(ItemState.RECOVERED, after, own.try_number, Outcome.SUCCESS)
        if own.state != states.FAILED:
            return Ending(ItemState.SKIPPED, after, own.try_number, Outcome.SKIPPED)
        run = self._target.run
        error = self._airflow.logs.last_error(
            run.dag_id, run.run_id, self._target.task_id, own.try_number, item.map_index
        )
        if error is None:
            return None  # Airflow files a try that was cut off as failed; it leaves no error in its log
        said = (plain(error.error_type), plain(error.message))
        return Ending(ItemState.FAILED_AGAIN, after, own.try_number, Outcome.HARD_FAILURE, *said)

    def _go_on_with(self, item: RetryItem, seen: Seen) -> None:
        item.max_tries = max(seen.max_tries, seen.try_number - 1)
        item.why = _("somebody else cleared it again while it waited or ran; this is how that try ended")
        with self._claim.fenced():
            RetryItem.objects.filter(pk=item.pk).update(max_tries=item.max_tries, why=item.why)
