"""One more round over what failed again: a job of its own, so that no job clears an index twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.utils.translation import gettext as _

from panel.access.actions import Action
from panel.access.authorization import allowed_actions
from panel.access.services import record_event
from panel.clock import database_now
from panel.domain.error_groups import masked
from panel.domain.outcomes import Outcome
from panel.retries import selectors
from panel.retries.bulk_insert import insert_items
from panel.retries.choice import grouped
from panel.retries.models import ReportMail, RetryItem, RetryJob, RetryRun, RetryTarget
from panel.retries.policies import LONGEST_PAUSE, ROUND_PAUSE, Policy
from panel.retries.states import ItemState, JobState
from panel.retries.turns import Turns


def plan_next_round(job: RetryJob) -> str:
    """Write down the next round of a job that is over; why there is none, "" otherwise.

    Everything comes from our own rows: call it inside the transaction that ends the job, so that there is exactly one
    round after it whatever is killed. Raises IntegrityError when another job takes an index at this moment.
    """
    failed = _failed_again(job) if job.has_more_rounds and not job.marks_as else []
    if not failed:
        return ""
    if job.user is None or Action.RETRY not in allowed_actions(job.user):
        return _("No further round: %(user)s may no longer retry.") % {"user": job.username}
    reasons = {item.pk: why for item in failed if (why := _why_not(item, failed))}
    reasons |= _taken(failed)
    again = [item for item in failed if item.pk not in reasons]
    if not again:
        return _("No further round: %(why)s.") % {"why": "; ".join(sorted(set(reasons.values())))}
    left_out = grouped((reasons[item.pk], item.target.task_id, item.map_index) for item in failed if item.pk in reasons)
    _store(job, again, [group.as_json() for group in left_out])
    return ""


def _failed_again(job: RetryJob) -> list[RetryItem]:
    items = RetryItem.objects.filter(job=job, state=ItemState.FAILED_AGAIN).exclude(new_ti_id="")
    return list(items.select_related("target__run").order_by("pk"))


def _why_not(item: RetryItem, failed: Sequence[RetryItem]) -> str:
    """An index below a failed upstream instance can only run together with that one."""
    if item.outcome != Outcome.UPSTREAM_FAILED:
        return ""
    above = any(
        other.outcome != Outcome.UPSTREAM_FAILED
        and other.target.run_id == item.target.run_id
        and other.target.task_id != item.target.task_id
        and other.map_index in (-1, item.map_index)
        for other in failed
    )
    return "" if above else _("its failed upstream instance is not in this job")


def _taken(failed: Sequence[RetryItem]) -> dict[int, str]:
    found = {}
    for mapped_task_id in {item.mapped_task_id for item in failed}:
        busy = selectors.open_elsewhere(mapped_task_id)
        found.update(
            {
                item.pk: _("already in job %(job)s") % {"job": busy[item.map_index].short_id}
                for item in failed
                if item.mapped_task_id == mapped_task_id and item.map_index in busy
            }
        )
    return found


def _store(job: RetryJob, again: Sequence[RetryItem], left_out: list[dict[str, object]]) -> None:
    starts_at = database_now() + _pause_after(job)
    policy = Policy.of(job)
    child = RetryJob.objects.create(
        server=job.server,
        user=job.user,
        username=job.username,
        action=job.action,
        reason=job.reason,
        include_downstream=job.include_downstream,
        include_settled=job.include_settled,
        run_on_latest_version=job.run_on_latest_version,
        selection=job.selection,
        left_out=left_out,
        body_hash=job.body_hash,
        state=JobState.SCHEDULED,
        total=len(again),
        next_at=starts_at,
        parent=job,
        round=job.round + 1,
        **(policy.as_fields() | {"not_before": starts_at}),
    )
    turns = Turns(policy)
    for run in RetryRun.objects.filter(pk__in={item.target.run_id for item in again}).order_by("position"):
        _store_run(child, run, [item for item in again if item.target.run_id == run.pk], turns)
    for mail in job.report_mails.all():  # whoever wanted to hear how it ends wants to hear how the next round does
        ReportMail.objects.create(job=child, user_id=mail.user_id)
    record_event(
        user=job.user,
        action="retries.next_round",
        server_slug=job.server.slug,
        target_kind="retry_job",
        target_id=str(child.pk),
        detail={
            "parent": str(job.pk),
            "round": child.round,
            "rounds": child.rounds,
            "total": child.total,
            "reason": job.reason,
        },
    )


def _store_run(child: RetryJob, old: RetryRun, again: Sequence[RetryItem], turns: Turns) -> None:
    run = RetryRun.objects.create(
        job=child,
        position=old.position,
        dag_id=old.dag_id,
        run_id=old.run_id,
        downstream=old.downstream,
        followers=old.followers,
    )
    targets: dict[int, RetryTarget] = {}
    for item in again:
        if item.target_id not in targets:
            targets[item.target_id] = RetryTarget.objects.create(
                run=run,
                position=item.target.position,
                task_id=item.target.task_id,
                mapped_task_id=item.target.mapped_task_id,
                as_upstream=item.target.as_upstream,
            )
    items = [_item(child, targets[item.target_id], item) for item in again]
    turns.give(items, [_error_group(item) for item in again])
    insert_items(items)


def _item(child: RetryJob, target: RetryTarget, failed: RetryItem) -> RetryItem:
    return RetryItem(
        job=child,
        target=target,
        mapped_task_id=target.mapped_task_id,
        map_index=failed.map_index,
        label=failed.label,
        ti_id=failed.new_ti_id,
        try_number=failed.new_try_number or failed.try_number,
        outcome_before=failed.outcome,
        error_type_before=failed.error_type,
        error_message_before=failed.error_message,
    )


def _error_group(item: RetryItem) -> str:
    return f"{item.outcome} {item.error_type} {masked(item.error_message)}"


def _pause_after(job: RetryJob) -> timedelta:
    """Twice as long after each round."""
    seconds = (job.round_pause_seconds or ROUND_PAUSE) * 2 ** (job.round - 1)
    return timedelta(seconds=min(seconds, LONGEST_PAUSE))
