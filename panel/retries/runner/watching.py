"""What became of the sent indices: each waits for a settled outcome of a new try, with its result read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.airflow import Airflow, TaskInstance
from panel.clock import database_now
from panel.domain import states
from panel.domain.error_groups import masked
from panel.domain.outcomes import FAILURES
from panel.mirror import selectors as mirror
from panel.mirror.models import DagRun, MappedTask
from panel.mirror.services import find_or_fetch_run, sync_mapped_task
from panel.retries.models import LONGEST_WHY, RetryItem, RetryJob, RetryRun, RetryTarget
from panel.retries.runner.claims import Claim
from panel.retries.runner.clears_by_others import OthersClears
from panel.retries.runner.endings import Ending, Seen, ending_of, is_cleared_again
from panel.retries.runner.hands import Hand, Hands, hands_on, run_deleted_words, run_marked_words
from panel.retries.states import ItemState, JobState

SYNC_AFTER: Final = timedelta(seconds=2)
NOTHING_WITHIN: Final = timedelta(hours=24)
"""An index of a job in which nothing moved for so long, while Airflow could be asked, is lost."""
STUCK_AFTER: Final = timedelta(seconds=30)
"""A cleared instance gets a state within seconds, unless its run ended at the very moment."""
SOONEST, LATEST = timedelta(seconds=2), timedelta(seconds=30)
_REFUSED: Final = frozenset({"airflow_refused", "airflow_unsupported"})


def watch(job: RetryJob, airflow: Airflow, claim: Claim) -> datetime | None:
    """Settle the sent items that have ended; when to look again, ``None`` when no item is under way."""
    hindrances: dict[int, str] = {}
    unread = 0
    for target in _watched(job):
        claim.keep()
        look = _Look(job, target, airflow, claim)
        _settle(job, look.sent, look.endings(), claim)
        hindrances[target.run_id] = hindrances.get(target.run_id) or look.hindrance
        _note(target.run, look, claim)
        unread = max(unread, look.unread)
    _say(job, hindrances, claim)
    if not RetryItem.objects.filter(job=job, state=ItemState.SENT).exists():
        return None
    return _after_outage(job, unread, claim) if unread else _next_look(job)


def _watched(job: RetryJob) -> list[RetryTarget]:
    sent = RetryItem.objects.filter(job=job, state=ItemState.SENT)
    targets = RetryTarget.objects.filter(pk__in=sent.values("target_id"))
    return list(targets.select_related("run").order_by("run__position", "position"))


class _Look:
    """One look at one target. ``hindrance``: why nothing ends, where there is a reason one can name. ``unread``: how
    often in a row Airflow could not be asked."""

    def __init__(self, job: RetryJob, target: RetryTarget, airflow: Airflow, claim: Claim) -> None:
        self.job, self.target, self.airflow = job, target, airflow
        items = RetryItem.objects.filter(target=target, state=ItemState.SENT)
        self.sent = list(items.select_related("target").order_by("pk"))
        self.now = database_now()
        self.hindrance = ""
        self.asked: Hands | None = None
        self.run_gone = False
        self.unread = 0
        self._others = OthersClears(target, airflow, claim)

    @cached_property
    def _hands(self) -> Hands:
        first = min((item.sent_at for item in self.sent if item.sent_at is not None), default=self.now)
        ahead = self.airflow.now() - database_now()
        self.asked = hands_on(self.target.run, self.airflow, since=first, ahead=ahead)
        return self.asked

    def endings(self) -> dict[int, Ending]:
        """By item key."""
        if all(item.map_index < 0 for item in self.sent):
            return self._of_unmapped()
        mapped_task = self._synced()
        if mapped_task is not None:
            return self._of_mapped(mapped_task)
        if not self.run_gone and self._rows_now():
            return {}  # the mirror is being rebuilt
        why = _("Airflow no longer has this task in this run")
        if self.run_gone:
            why = run_deleted_words(self._hands.deleted)
        return {item.pk: Ending(ItemState.LOST, why) for item in self.sent}

    def _synced(self) -> MappedTask | None:
        """The mirror's mapped task, read now where that was a while ago; ``None`` when it is not there."""
        run = self.target.run
        try:
            known = find_or_fetch_run(server=self.job.server, dag_id=run.dag_id, run_id=run.run_id)
        except DagRun.DoesNotExist:
            self.run_gone = True
            return None
        if known.deleted_at is not None:
            self.run_gone = True
            return None
        try:
            mapped_task = mirror.mapped_task(self.job.server.slug, run.dag_id, run.run_id, self.target.task_id)
            read_at = mapped_task.synced_at  # by the clock of the worker that read it
            if read_at is None or abs(timezone.now() - read_at) > SYNC_AFTER:
                sync_mapped_task(mapped_task_id=mapped_task.pk)
                mapped_task = mirror.mapped_task_by_id(mapped_task.pk)
        except MappedTask.DoesNotExist:
            self.run_gone = DagRun.objects.filter(pk=known.pk).exclude(deleted_at=None).exists()
            return None
        self.run_gone = mapped_task.run.deleted_at is not None
        return None if self.run_gone else mapped_task

    def _of_mapped(self, mapped_task: MappedTask) -> dict[int, Ending]:
        self.hindrance = _hindrance(mapped_task)
        self.unread = mapped_task.failed_reads
        if mapped_task.run.state in states.FINISHED_RUN:
            _note_stuck(self.target, mapped_task, self.sent)
        rows = mirror.instances(mapped_task).defer("error_folded", "label_folded")
        seen = {row.map_index: Seen.of_row(row) for row in rows.iterator(chunk_size=2_000)}
        if {item.map_index for item in self.sent} <= seen.keys():
            return dict(self._found(seen))
        there = {row.map_index for row in self._rows_now()}  # the mirror may be behind
        return dict(self._found(seen, there))

    def _of_unmapped(self) -> dict[int, Ending]:
        return dict(self._found({row.map_index: Seen.of_instance(row) for row in self._rows_now()}))

    def _rows_now(self) -> list[TaskInstance]:
        run = self.target.run
        return self.airflow.instances.bulk(run.dag_id, run.run_id, [self.target.task_id])

    def _found(self, seen: dict[int, Seen], there: Collection[int] = ()) -> Iterator[tuple[int, Ending]]:
        """``there`` are indices that Airflow has, seen or not."""
        self._others.take_notice([(item, seen[item.map_index]) for item in self.sent if item.map_index in seen])
        for item in self.sent:
            row = seen.get(item.map_index)
            ending: Ending | None
            if row is None:
                ending = None if item.map_index in there else Ending(ItemState.LOST, _("Airflow no longer has it"))
            elif is_cleared_again(item, row):
                ending = self._others.ending_of(item, row)
            else:
                ending = ending_of(item, row, lambda: self._hands, self.airflow.now)
            if ending is None and not self.unread:
                ending = self._too_late(row.state if row is not None else "")
            if ending is not None:
                yield item.pk, ending

    def _too_late(self, state: str) -> Ending | None:
        if self.now - self.job.progress_at < NOTHING_WITHIN:
            return None
        why = _("no result within 24 hours (Airflow's state: %(state)s)") % {"state": state or _("none")}
        return Ending(ItemState.LOST, f"{why}. {self.hindrance}" if self.hindrance else why)


def _note_stuck(target: RetryTarget, mapped_task: MappedTask, sent: Sequence[RetryItem]) -> None:
    """A run that ended while its instances were being cleared has to be restarted once more."""
    long_sent = {item.map_index for item in sent if item.sent_at and item.sent_at < database_now() - STUCK_AFTER}
    stateless = mirror.instances(mapped_task).filter(state="").values_list("map_index", flat=True)
    if not long_sent.isdisjoint(stateless):
        RetryRun.objects.filter(pk=target.run_id, hanging=False).update(hanging=True)


def _hindrance(mapped_task: MappedTask) -> str:
    if mapped_task.failed_reads and mapped_task.last_error_code in _REFUSED:
        words = _(
            "Airflow refuses Mapboard's questions, so no result can be read until a person puts the server's login "
            "right. What was sent runs on in Airflow. %(error)s"
        )
        return words % {"error": mapped_task.last_error}
    if mapped_task.failed_reads:
        words = _("Airflow cannot be asked at present; what was sent runs on, and this goes on by itself. %(error)s")
        return words % {"error": mapped_task.last_error}
    if mapped_task.run.dag.is_paused:
        return _("The Dag is paused in Airflow: nothing runs until somebody unpauses it.")
    return ""


def _note(run: RetryRun, look: _Look, claim: Claim) -> None:
    """Keep what people did to the run, for the job's page and its report."""
    happened = ""
    if look.run_gone:
        happened = run_deleted_words(look.asked.deleted if look.asked else None)
    elif look.asked is not None and (mark := look.asked.run) is not None and _since_sent(look, mark, look.asked.ahead):
        happened = run_marked_words(mark)
    values = {"hindrance": look.hindrance} | ({"happened": happened} if happened else {})
    changed = {name: value for name, value in values.items() if getattr(run, name) != value}
    if changed:
        with claim.fenced():
            RetryJob.objects.filter(pk=run.job_id).update(version=F("version") + 1)
            RetryRun.objects.filter(pk=run.pk).update(**changed)
        for name, value in changed.items():
            setattr(run, name, value)


def _since_sent(look: _Look, mark: Hand, ahead: timedelta) -> bool:
    return any(item.sent_at is not None and item.sent_at + ahead <= mark.when for item in look.sent)


def _settle(job: RetryJob, sent: Sequence[RetryItem], endings: dict[int, Ending], claim: Claim) -> None:
    if not endings:
        return
    now = database_now()
    ended = [item for item in sent if item.pk in endings]
    for item in ended:
        ending = endings[item.pk]
        item.state, item.why, item.settled_at = ending.state, (ending.why or item.why)[:LONGEST_WHY], now
        item.new_ti_id, item.new_try_number, item.outcome = ending.ti_id, ending.try_number, ending.outcome
        item.error_type, item.error_message = ending.error_type[:200], ending.error_message
        item.same_error = _same_error(item)
    fields = [
        "state", "why", "settled_at", "new_ti_id", "new_try_number", "outcome", "error_type", "error_message",
        "same_error",
    ]  # fmt: skip
    with claim.fenced():
        RetryItem.objects.bulk_update(ended, fields, batch_size=500)
        RetryJob.objects.filter(pk=job.pk).update(progress_at=now, version=F("version") + 1)


def _same_error(item: RetryItem) -> bool | None:
    """Whether it failed as before; ``None`` when it did not fail again, had not failed, or left no error."""
    if item.state != ItemState.FAILED_AGAIN or item.outcome_before not in FAILURES:
        return None
    if not (item.error_type or item.error_message) and (item.error_type_before or item.error_message_before):
        return None
    before = (item.outcome_before, item.error_type_before, masked(item.error_message_before))
    return before == (item.outcome, item.error_type, masked(item.error_message))


def _say(job: RetryJob, hindrances: dict[int, str], claim: Claim) -> None:
    """What stands in the way, while that is all there is to say."""
    reason = next((words for words in hindrances.values() if words), "")
    with claim.fenced():
        waiting = RetryJob.objects.filter(pk=job.pk, state=JobState.WATCHING).exclude(state_reason=reason)
        waiting.update(state_reason=reason, version=F("version") + 1)


def _after_outage(job: RetryJob, failed_reads: int, claim: Claim) -> datetime:
    """Later each time. While nobody can look, nobody can say that nothing happens: that time does not count."""
    now = database_now()
    with claim.fenced():
        RetryJob.objects.filter(pk=job.pk).update(progress_at=now)
    wait: timedelta = SOONEST * 2 ** min(failed_reads, 5)
    return now + min(LATEST, wait)


def _next_look(job: RetryJob) -> datetime:
    """Soon while something happens, later when nothing has for a while."""
    now = database_now()
    return now + min(LATEST, max(SOONEST, (now - job.progress_at) / 10))
