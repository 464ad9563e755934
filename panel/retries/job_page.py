"""What the pages of retry jobs show of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from django.contrib.auth.models import User

from panel.retries import selectors
from panel.retries.mailing import can_mail
from panel.retries.models import RetryJob, RetryTarget
from panel.retries.outlook import outlook_of
from panel.retries.progress import SLICES, WINDOW_SECONDS, Progress
from panel.retries.report import report_of
from panel.retries.states import OPEN_ITEMS, PAUSABLE, ItemState, JobState

T = TypeVar("T")

BAR_ORDER: Final = (
    ItemState.RECOVERED, ItemState.FAILED_AGAIN, ItemState.LOST, ItemState.REFUSED, ItemState.SKIPPED,
    ItemState.CANCELLED, ItemState.SENT, ItemState.SENDING, ItemState.PENDING,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A job in the list: its tasks, at most two of them named."""

    job: RetryJob
    counts: dict[str, int]
    targets: list[RetryTarget]
    more_targets: int

    @classmethod
    def of(cls, job: RetryJob, counts: dict[str, int]) -> Row:
        targets = [target for run in job.runs.all() for target in run.targets.all() if not target.as_upstream]
        return cls(job, counts, targets[:2], max(0, len(targets) - 2))


@dataclass(frozen=True, slots=True)
class Again:
    """What failed again in a job: of each mapped task how many indices may be retried now, and how many in all belong
    to another unfinished job by now, which most often is its next round.
    """

    free: list[tuple[RetryTarget, int]]
    held: list[tuple[RetryJob, int]]

    @classmethod
    def of(cls, job: RetryJob, targets: list[RetryTarget]) -> Again:
        counts = selectors.failed_again_of_targets(job)
        free = [(target, counts[target.pk][None]) for target in targets if counts.get(target.pk, {}).get(None)]
        held: Counter[UUID] = Counter()
        for by_holder in counts.values():
            held.update({holder: count for holder, count in by_holder.items() if holder is not None})
        holders = selectors.jobs().filter(pk__in=list(held))
        return cls(free, [(holder, held[holder.pk]) for holder in holders])


def context_of(job: RetryJob, user: User) -> dict[str, Any]:
    """Everything about one job but its items."""
    counts = selectors.counts(job)
    by_target = selectors.targets_with_counts(job)
    targets = [target for target, _counts in by_target]
    run_notes = selectors.what_happened(job)
    downstream = {task_id for target in targets for task_id in _below(target)}
    following = selectors.next_round(job)
    return {
        "job": job,
        "server": job.server,
        "counts": counts,
        "tiles": [(state.value, counts[state]) for state in BAR_ORDER],
        "bar": _in_order(counts, job),
        "progress": _progress(job, counts, hindered=any(run.hindrance for run in run_notes)),
        "outlook": outlook_of(job, counts),
        "run_notes": run_notes,
        "about": [target for target in targets if not target.as_upstream],
        "targets": targets,
        "by_run": [(target, sum(of.values()), _in_order(of, job)) for target, of in by_target],
        "downstream": sorted(downstream),
        "downstream_at": selectors.restarted_downstream(job),
        "left_out": with_jobs(job.left_out, [group["why"] for group in job.left_out]),
        "failures": selectors.failures_again(job),
        "reasons": selectors.reasons(job),
        "report": report_of(job) if job.finished_at is not None else None,
        "again": Again.of(job, targets) if job.finished_at is not None else None,
        "live": job.finished_at is None,
        "can_mail": can_mail(user),
        "mail": selectors.report_mail(job, user),
        "can_pause": job.state in PAUSABLE,
        "can_resume": job.state == JobState.PAUSED,
        "next_round": following,
        "can_end_series": following is not None and following.state in selectors.cancellable_states(following),
        "can_start": job.state == JobState.SCHEDULED,
        "can_cancel": job.state in selectors.cancellable_states(job),
    }


def with_jobs(groups: Sequence[T], whys: Sequence[str]) -> list[tuple[T, RetryJob | None]]:
    """Each group of what was left out, with the job that its reason names."""
    named = selectors.jobs_named(whys)
    return [(group, named.get(why)) for group, why in zip(groups, whys, strict=True)]


def _progress(job: RetryJob, counts: dict[str, int], *, hindered: bool) -> Progress:
    slices, seconds = selectors.results_lately(job, seconds=WINDOW_SECONDS, slices=SLICES)
    pending = counts[ItemState.PENDING]
    chunks = -(-pending // max(1, job.chunk_size))
    waits_for_canary = job.is_careful and not job.canary_passed
    return Progress.of(
        total=job.total,
        open_items=sum(counts[state] for state in OPEN_ITEMS),
        slices=slices,
        seconds=seconds,
        moving=not (waits_for_canary or hindered or job.failures_in_a_row or job.state == JobState.PAUSED),
        soonest=chunks / job.chunks_per_minute * 60 if job.chunks_per_minute else 0.0,
    )


def _below(target: RetryTarget) -> list[str]:
    return [*target.run.downstream, *target.run.followers.get(target.task_id, [])]


def _in_order(counts: dict[str, int], job: RetryJob) -> dict[str, int]:
    """As a progress bar reads: what is over first, what is to come last."""
    shown = {ItemState.RECOVERED: "marked"} if job.marks_as else {}
    return {shown.get(state, state.value): counts[state] for state in BAR_ORDER}
