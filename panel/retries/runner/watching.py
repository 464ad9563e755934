"""What became of the sent indices: each waits for a settled outcome of a new try, with its result read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import Airflow, TaskInstance
from panel.domain import states
from panel.domain.error_groups import masked
from panel.domain.outcome_rules import derive
from panel.domain.outcomes import FAILURES, SETTLED, Outcome, ResultState
from panel.mirror import selectors as mirror
from panel.mirror.models import DagRun, Instance, MappedTask
from panel.mirror.services import find_or_fetch_run, sync_mapped_task
from panel.retries.clock import database_now
from panel.retries.models import LONGEST_WHY, RetryItem, RetryJob, RetryRun, RetryTarget
from panel.retries.runner.claims import Claim
from panel.retries.states import ItemState, JobState

SYNC_AFTER: Final = timedelta(seconds=2)
ERROR_WAIT: Final = timedelta(seconds=90)
"""How long a failed index waits for the reason in its log before it counts without one."""
NOTHING_WITHIN: Final = timedelta(hours=24)
"""An index of a job in which nothing moved for so long is lost."""
STUCK_AFTER: Final = timedelta(seconds=30)
"""A cleared instance gets a state within seconds, unless its run ended at the very moment."""
SOONEST, LATEST = timedelta(seconds=2), timedelta(seconds=30)
_UNREADABLE: Final = frozenset({ResultState.FORBIDDEN, ResultState.EXTERNAL, ResultState.UNREADABLE})


@dataclass(frozen=True, slots=True)
class Ending:
    """How one sent item ended."""

    state: ItemState
    why: str = ""
    try_number: int | None = None
    outcome: str = ""
    error_type: str = ""
    error_message: str = ""


def watch(job: RetryJob, airflow: Airflow, claim: Claim) -> datetime | None:
    """Settle the sent items that have ended; when to look again, ``None`` when no item is under way."""
    paused = False
    for target in _watched(job):
        claim.keep()
        sent = list(RetryItem.objects.filter(target=target, state=ItemState.SENT).order_by("pk"))
        endings, dag_paused = _endings(job, target, sent, airflow)
        paused = paused or dag_paused
        _settle(job, sent, endings, claim)
    _say_paused(job, paused)
    if not RetryItem.objects.filter(job=job, state=ItemState.SENT).exists():
        return None
    return _next_look(job)


def _watched(job: RetryJob) -> list[RetryTarget]:
    sent = RetryItem.objects.filter(job=job, state=ItemState.SENT)
    targets = RetryTarget.objects.filter(pk__in=sent.values("target_id"))
    return list(targets.select_related("run").order_by("run__position", "position"))


def _endings(
    job: RetryJob, target: RetryTarget, sent: Sequence[RetryItem], airflow: Airflow
) -> tuple[dict[int, Ending], bool]:
    """Endings by item key, and whether the Dag is paused."""
    if all(item.map_index < 0 for item in sent):
        rows = airflow.instances.bulk(target.run.dag_id, target.run.run_id, [target.task_id])
        return _unmapped(job, sent, rows), False
    mapped_task = _synced(job, target)
    if mapped_task is None:
        if airflow.instances.bulk(target.run.dag_id, target.run.run_id, [target.task_id]):
            return {}, False  # the mirror is being rebuilt
        why = _("Airflow no longer has this task in this run")
        return {item.pk: Ending(ItemState.LOST, why) for item in sent}, False
    if mapped_task.run.state in states.FINISHED_RUN:
        _note_stuck(target, mapped_task, sent)
    return _mapped(job, mapped_task, sent), mapped_task.run.dag.is_paused


def _synced(job: RetryJob, target: RetryTarget) -> MappedTask | None:
    """The mirror's mapped task, read now where that was a while ago; ``None`` when it is not there."""
    run = target.run
    try:
        known = find_or_fetch_run(server=job.server, dag_id=run.dag_id, run_id=run.run_id)
        if known.deleted_at is not None:
            return None
        mapped_task = mirror.mapped_task(job.server.slug, run.dag_id, run.run_id, target.task_id)
        if mapped_task.synced_at is None or mapped_task.synced_at < timezone.now() - SYNC_AFTER:
            sync_mapped_task(mapped_task_id=mapped_task.pk)
            mapped_task = mirror.mapped_task_by_id(mapped_task.pk)
    except (DagRun.DoesNotExist, MappedTask.DoesNotExist):
        return None
    return None if mapped_task.run.deleted_at is not None else mapped_task


def _mapped(job: RetryJob, mapped_task: MappedTask, sent: Sequence[RetryItem]) -> dict[int, Ending]:
    rows = mirror.instances(mapped_task).defer("error_folded", "label_folded")
    by_index = {row.map_index: row for row in rows.iterator(chunk_size=2_000)}
    found = {}
    for item in sent:
        row = by_index.get(item.map_index)
        ending = _ending(item, row) if row is not None else _vanished(item, mapped_task)
        ending = ending or _too_late(job, row.state if row is not None else "")
        if ending is not None:
            found[item.pk] = ending
    return found


def _note_stuck(target: RetryTarget, mapped_task: MappedTask, sent: Sequence[RetryItem]) -> None:
    """A run that ended while its instances were being cleared has to be restarted once more."""
    long_sent = {item.map_index for item in sent if item.sent_at and item.sent_at < database_now() - STUCK_AFTER}
    stateless = mirror.instances(mapped_task).filter(state="").values_list("map_index", flat=True)
    if not long_sent.isdisjoint(stateless):
        RetryRun.objects.filter(pk=target.run_id, hanging=False).update(hanging=True)


def _ending(item: RetryItem, row: Instance) -> Ending | None:
    """``None`` while it is not known yet."""
    outcome = Outcome(row.outcome)
    if row.ti_id == item.ti_id:
        return None  # still the old try: the mirror has not seen the clear yet
    unreadable = outcome is Outcome.UNKNOWN_RESULT and ResultState(row.result_state) in _UNREADABLE
    if outcome not in SETTLED and not unreadable:
        return None
    if outcome is Outcome.HARD_FAILURE and _error_is_coming(row):
        return None
    state, why = _meaning(outcome, row.result_reason)
    return Ending(state, why, row.try_number, outcome, row.error_type, row.error_message)


def _meaning(outcome: Outcome, reason: str = "") -> tuple[ItemState, str]:
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


def _error_is_coming(row: Instance) -> bool:
    waited = row.end_date is not None and timezone.now() - row.end_date > ERROR_WAIT
    return row.error_try != row.try_number and not waited


def _vanished(item: RetryItem, mapped_task: MappedTask) -> Ending | None:
    """Gone only when everything was read after it was sent."""
    read_at = mapped_task.full_synced_at
    if item.sent_at is None or read_at is None or read_at <= item.sent_at:
        return None
    return Ending(ItemState.LOST, _("Airflow no longer has it"))


def _unmapped(job: RetryJob, sent: Sequence[RetryItem], rows: Iterable[TaskInstance]) -> dict[int, Ending]:
    by_index = {row.map_index: row for row in rows}
    found: dict[int, Ending] = {}
    for item in sent:
        row = by_index.get(item.map_index)
        if row is None:
            found[item.pk] = Ending(ItemState.LOST, _("Airflow no longer has it"))
        elif row.id != item.ti_id and row.state in states.FINISHED:
            outcome = derive(row.state, ResultState.ABSENT).outcome
            state, why = _meaning(outcome)
            found[item.pk] = Ending(state, why, row.try_number, outcome)
        elif late := _too_late(job, row.state or ""):
            found[item.pk] = late
    return found


def _too_late(job: RetryJob, state: str) -> Ending | None:
    if timezone.now() - job.progress_at < NOTHING_WITHIN:
        return None
    why = _("no result within 24 hours (Airflow's state: %(state)s)") % {"state": state or _("none")}
    return Ending(ItemState.LOST, why)


def _settle(job: RetryJob, sent: Sequence[RetryItem], endings: dict[int, Ending], claim: Claim) -> None:
    if not endings:
        return
    now = timezone.now()
    ended = [item for item in sent if item.pk in endings]
    for item in ended:
        ending = endings[item.pk]
        item.state, item.why, item.settled_at = ending.state, ending.why[:LONGEST_WHY], now
        item.new_try_number, item.outcome = ending.try_number, ending.outcome
        item.error_type, item.error_message = ending.error_type[:200], ending.error_message
        item.same_error = _same_error(item)
    fields = [
        "state", "why", "settled_at", "new_try_number", "outcome", "error_type", "error_message", "same_error",
    ]  # fmt: skip
    with claim.fenced():
        RetryItem.objects.bulk_update(ended, fields, batch_size=500)
        RetryJob.objects.filter(pk=job.pk).update(progress_at=now, version=F("version") + 1)


def _same_error(item: RetryItem) -> bool | None:
    """Whether it failed as before; ``None`` when it did not fail again, or had not failed."""
    if item.state != ItemState.FAILED_AGAIN or item.outcome_before not in FAILURES:
        return None
    before = (item.outcome_before, item.error_type_before, masked(item.error_message_before))
    return before == (item.outcome, item.error_type, masked(item.error_message))


def _say_paused(job: RetryJob, paused: bool) -> None:
    reason = _("The Dag is paused in Airflow: nothing runs until somebody unpauses it.") if paused else ""
    waiting = RetryJob.objects.filter(pk=job.pk, state=JobState.WATCHING).exclude(state_reason=reason)
    waiting.update(state_reason=reason, version=F("version") + 1)


def _next_look(job: RetryJob) -> datetime:
    """Soon while something happens, later when nothing has for a while."""
    now = timezone.now()
    return now + min(LATEST, max(SOONEST, (now - job.progress_at) / 10))
