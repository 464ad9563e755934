"""What people do with retries: preview one, ask for one, pause, resume and cancel it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.access.services import record_event
from panel.clock import database_now
from panel.domain.outcomes import Outcome
from panel.mirror import selectors as mirror
from panel.mirror.models import MappedTask
from panel.mirror.services import sync_mapped_task
from panel.problems import Conflicting, Problem, Unprocessable
from panel.retries import selectors
from panel.retries.asks import LONGEST_KEY, Ask, body_hash, check_fits, checked_reason
from panel.retries.bounds import bounds_exceeded, check_bounds, wait_for_others
from panel.retries.choice import Plan
from panel.retries.estimates import Basis, Bounds, Load, estimate_load, estimate_seconds, seconds_to_mark
from panel.retries.models import RetryItem, RetryJob
from panel.retries.planning import confirmed_plan, make_plan
from panel.retries.policies import Policy
from panel.retries.states import PAUSABLE, ItemState, JobState
from panel.retries.storing import store_job
from panel.retries.tokens import Shown, check_same_below, check_shown, plan_token, read_token
from panel.servers.models import Server
from panel.wake import wake

RACES: Final = 3
"""How often a plan is made anew when another job took some of its indices while this one was stored."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a retry would do. ``plan_token`` ties a later request to exactly this; ``basis`` is what ``bounds`` and
    ``load`` were made from.
    """

    plan: Plan
    mapped_tasks: Sequence[MappedTask]
    plan_token: str
    policy: Policy
    basis: Basis
    bounds: Bounds | None
    load: Load

    @property
    def estimate_seconds(self) -> float | None:
        """At most."""
        return self.bounds.high if self.bounds else None

    @property
    def estimate_low_seconds(self) -> float | None:
        return self.bounds.low if self.bounds else None


def preview_retry(*, user: User, ask: Ask, policy: Policy | None = None) -> Preview:
    """What this retry would do now; nothing changes.

    Raises ``MappedTask.DoesNotExist``, Unprocessable (also for a choice that leaves nothing to look at), AirflowError.
    """
    ask.check()
    mapped_tasks = _fresh_mapped_tasks(ask)
    plan = make_plan(mapped_tasks, ask)
    if not ask.action.marks_as:
        _warn(plan)
    plan.warnings[:0] = bounds_exceeded(user, plan, mapped_tasks[0].run.dag.server)
    basis, policy = Basis.of(plan, mapped_tasks), policy or Policy()
    return Preview(
        plan=plan,
        mapped_tasks=mapped_tasks,
        plan_token=plan_token(plan, about=_about(user, ask)),
        policy=policy,
        basis=basis,
        bounds=seconds_to_mark(plan) if ask.action.marks_as else estimate_seconds(basis, policy),
        load=estimate_load(basis, policy),
    )


def request_retry(
    *, user: User, ask: Ask, reason: str, policy: Policy, idempotency_key: str = "", plan_token: str = ""
) -> tuple[RetryJob, bool]:
    """The job, and whether it is new: the same key and wish of the same user give the same job again.

    With a ``plan_token`` that still holds, one count is all that Airflow is asked. Raises Conflicting when the key was
    used for another wish, or when the token's preview showed another set of indices; Unprocessable when there is
    nothing to retry, or too much; TooMany when the Dag had its jobs of this hour; AirflowError;
    ``MappedTask.DoesNotExist``.
    """
    ask.check()
    policy.check()
    check_fits(ask, policy)
    reason = checked_reason(reason)
    key = _checked_key(idempotency_key)
    digest = body_hash(ask, policy, reason)
    if known := _known_job(user, key, digest):
        return known, False
    shown = read_token(plan_token, about=_about(user, ask)) if plan_token else None
    for attempt in range(RACES):
        plan, server = _plan_now(ask, shown, again=attempt > 0)
        if not plan.count:
            raise _nothing(plan, ask)
        try:
            with transaction.atomic():
                wait_for_others(plan, server)
                if known := _known_job(user, key, digest):  # the same request, which came in at once
                    return known, False
                check_bounds(user, plan, server)
                job = store_job(
                    user=user,
                    server=server,
                    ask=ask,
                    plan=plan,
                    policy=policy,
                    reason=reason,
                    idempotency_key=key,
                    body_hash=digest,
                )
                _record(user, job, "retries.request", {"reason": reason, "total": job.total, **ask.as_json()})
                wake("retries.run_job", str(job.pk))
        except IntegrityError:
            # The same request for another plan came in at once, or another job took an index meanwhile.
            if known := _known_job(user, key, digest):
                return known, False
            continue
        return job, True
    raise Conflicting(_("Other retries keep taking the same indices. Look at the list of retry jobs and try again."))


def pause_job(*, user: User, job: RetryJob) -> RetryJob:
    """Nothing more is sent until somebody resumes it; what was sent is still watched. Raises Conflicting."""
    with transaction.atomic():
        reason = _("Paused by %(user)s.") % {"user": user.get_username()}
        if not _move(job, PAUSABLE, JobState.PAUSED, reason):
            raise _too_late(job, _("There is nothing left to pause"))
        _record(user, job, "retries.pause")
        wake("retries.run_job", str(job.pk))
    return selectors.job(job.pk)


def resume_job(*, user: User, job: RetryJob) -> RetryJob:
    """Send on, or wait again for the time it was put off to. Raises Conflicting.

    After too many failed again, this is the decision to go on: those results stop the job no more.
    """
    now = database_now()
    is_later = job.not_before is not None and job.not_before > now
    with transaction.atomic():
        if not _move(job, {JobState.PAUSED}, JobState.SCHEDULED if is_later else JobState.RUNNING, ""):
            raise _too_late(job, _("Only a paused job can be resumed"))
        _pass_canary(job)
        RetryJob.objects.filter(pk=job.pk).update(counts_from=now)
        _record(user, job, "retries.resume")
        wake("retries.run_job", str(job.pk))
    return selectors.job(job.pk)


def start_job(*, user: User, job: RetryJob) -> RetryJob:
    """Do not wait for the time the job was put off to. Raises Conflicting."""
    with transaction.atomic():
        if not _move(job, {JobState.SCHEDULED}, JobState.PLANNED, ""):
            raise _too_late(job, _("Only a scheduled job can be started before its time"))
        RetryJob.objects.filter(pk=job.pk).update(not_before=database_now())
        _record(user, job, "retries.start")
        wake("retries.run_job", str(job.pk))
    return selectors.job(job.pk)


def cancel_job(*, user: User, job: RetryJob) -> RetryJob:
    """Send nothing more, for good, and plan no further round. What was sent is watched on. Raises Conflicting."""
    with transaction.atomic():
        reason = _("Cancelled by %(user)s.") % {"user": user.get_username()}
        if not _move(job, selectors.cancellable_states(job), JobState.CANCELLED, reason):
            raise _too_late(job, _("Everything was sent already, so there is nothing left to cancel"))
        # An item that a worker is sending at this moment is no longer pending; its fate is read from Airflow.
        cancelled = RetryItem.objects.filter(job=job, state=ItemState.PENDING).update(
            state=ItemState.CANCELLED, why=reason, settled_at=database_now()
        )
        _record(user, job, "retries.cancel", {"cancelled": cancelled})
        wake("retries.run_job", str(job.pk))
    return selectors.job(job.pk)


def _plan_now(ask: Ask, shown: Shown | None, *, again: bool) -> tuple[Plan, Server]:
    """The plan and its server: what a preview showed where that still holds, else made anew and compared with it."""
    mapped_tasks = _known_mapped_tasks(ask)
    if shown is not None and not again and (plan := confirmed_plan(mapped_tasks, ask, shown)) is not None:
        return plan, mapped_tasks[0].run.dag.server
    mapped_tasks = _fresh_mapped_tasks(ask)
    plan = make_plan(mapped_tasks, ask)
    if shown is not None:
        check_shown(shown, plan)
        if ask.action.marks_as:
            check_same_below(shown, plan)
    return plan, mapped_tasks[0].run.dag.server


def _known_mapped_tasks(ask: Ask) -> list[MappedTask]:
    found = [mirror.mapped_task_by_id(mapped_task_id) for mapped_task_id in dict.fromkeys(ask.mapped_task_ids)]
    if len({mapped_task.run.dag.server_id for mapped_task in found}) > 1:
        problem = _("These mapped tasks are on different Airflow servers. Retry them one server at a time.")
        raise Unprocessable(problem, {"mapped_tasks": [problem]})
    return found


def _fresh_mapped_tasks(ask: Ask) -> list[MappedTask]:
    """The mapped tasks, synced now where the mirror is older than a page may be."""
    oldest = timezone.now() - timedelta(seconds=settings.MIRROR_FRESH_SECONDS)
    found = _known_mapped_tasks(ask)
    for place, mapped_task in enumerate(found):
        if mapped_task.synced_at is None or mapped_task.synced_at < oldest:
            sync_mapped_task(mapped_task_id=mapped_task.pk)
            found[place] = mirror.mapped_task_by_id(mapped_task.pk)
    return found


def _checked_key(text: str) -> str:
    if len(text) > LONGEST_KEY:
        problem = _("At most %(most)s characters.") % {"most": LONGEST_KEY}
        raise Unprocessable(problem, {"idempotency_key": [problem]})
    return text


def _known_job(user: User, key: str, digest: str) -> RetryJob | None:
    job = selectors.job_of_key(user.pk, key) if key else None
    if job is not None and job.body_hash != digest:
        problem = _("This idempotency key was used for another request.")
        raise Conflicting(problem, {"idempotency_key": [problem]}, code="idempotency_key_reused")
    return job


def _about(user: User, ask: Ask) -> str:
    options = (ask.include_downstream, ask.include_settled, ask.run_on_latest_version)
    return "/".join([str(user.pk), ask.action, *(str(int(option)) for option in options)])


def _nothing(plan: Plan, ask: Ask) -> Unprocessable:
    problem = _("There is nothing to mark.") if ask.action.marks_as else _("There is nothing to retry.")
    if plan.left_out:
        why = "; ".join(
            f"{group.count} {group.why}" + (f" ({group.indices})" if group.indices else "")
            for group in plan.left_out[:5]
        )
        problem = _("%(problem)s Left out: %(why)s.") % {"problem": problem, "why": why[:1_000]}
    return Unprocessable(problem, {"selection": [problem]}, code="nothing_to_retry")


def _warn(plan: Plan) -> None:
    settled = sum(
        candidate.outcome in {Outcome.SUCCESS, Outcome.SKIPPED, Outcome.UNKNOWN_RESULT}
        for task in plan.tasks
        for candidate in task.chosen
    )
    if settled:
        plan.warnings.insert(
            0,
            ngettext(
                "%(count)s index that did not fail will run again. What it did before will be done twice.",
                "%(count)s indices that did not fail will run again. What they did before will be done twice.",
                settled,
            )
            % {"count": settled},
        )
    if plan.notes:
        plan.warnings.append(
            ngettext(
                "%(count)s note in Airflow is replaced by the reason of this retry.",
                "%(count)s notes in Airflow are replaced by the reason of this retry.",
                plan.notes,
            )
            % {"count": plan.notes}
        )
    if plan.unread:
        plan.warnings.append(
            ngettext(
                "%(count)s result is not read yet. If it is a soft failure, this retry leaves it out.",
                "%(count)s results are not read yet. Soft failures among them are left out of this retry.",
                plan.unread,
            )
            % {"count": plan.unread}
        )


def _move(job: RetryJob, from_states: frozenset[JobState] | set[JobState], to: JobState, reason: str) -> bool:
    """One conditional update: of two people who press at once, one moves the job."""
    moved = RetryJob.objects.filter(pk=job.pk, state__in=[state.value for state in from_states]).update(
        state=to, state_reason=reason, next_at=database_now(), failures_in_a_row=0, version=F("version") + 1
    )
    return bool(moved)


def _pass_canary(job: RetryJob) -> None:
    waiting = RetryItem.objects.filter(job=job, canary=True)
    if (
        waiting.exists()
        and not waiting.filter(state__in=[ItemState.PENDING, ItemState.SENDING, ItemState.SENT]).exists()
    ):
        RetryJob.objects.filter(pk=job.pk).update(canary_passed=True)


def _too_late(job: RetryJob, problem: str) -> Problem:
    state = selectors.job(job.pk).get_state_display()
    return Conflicting(_("%(problem)s: the job is %(state)s.") % {"problem": problem, "state": state})


def _record(user: User, job: RetryJob, action: str, detail: dict[str, Any] | None = None) -> None:
    record_event(
        user=user,
        action=action,
        server_slug=job.server.slug,
        target_kind="retry_job",
        target_id=str(job.pk),
        detail=detail,
    )
