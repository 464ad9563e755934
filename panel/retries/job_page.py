"""What the pages of retry jobs show of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from panel.retries import selectors
from panel.retries.models import RetryJob, RetryTarget
from panel.retries.progress import Progress
from panel.retries.report import closing_sentence
from panel.retries.states import CANCELLABLE, OPEN_ITEMS, PAUSABLE, ItemState, JobState


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


def context_of(job: RetryJob) -> dict[str, Any]:
    """Everything about one job but its items."""
    counts = selectors.counts(job)
    settled, _sent = selectors.settled_counts(job)
    open_items = sum(counts[state] for state in OPEN_ITEMS)
    targets = list(selectors.targets(job))
    downstream = {task_id for target in targets for task_id in _below(target)}
    return {
        "job": job,
        "server": job.server,
        "counts": counts,
        "tiles": [(state.value, counts[state]) for state in ItemState],
        "bar": _in_order(counts),
        "progress": Progress.of(
            settled=settled,
            open_items=open_items,
            total=job.total,
            started_at=job.started_at,
            now=timezone.now(),
        ),
        "targets": targets,
        "downstream": sorted(downstream),
        "downstream_at": selectors.restarted_downstream(job),
        "failures": selectors.failures_again(job),
        "reasons": selectors.reasons(job),
        "sentence": closing_sentence(job) if job.finished_at is not None else "",
        "live": job.finished_at is None,
        "can_pause": job.state in PAUSABLE,
        "can_resume": job.state == JobState.PAUSED,
        "can_cancel": job.state in CANCELLABLE,
    }


def _below(target: RetryTarget) -> list[str]:
    return [*target.run.downstream, *target.run.followers.get(target.task_id, [])]


def _in_order(counts: dict[str, int]) -> dict[str, int]:
    """As a progress bar reads: what is over first, what is to come last."""
    order = [
        ItemState.RECOVERED, ItemState.FAILED_AGAIN, ItemState.LOST, ItemState.REFUSED, ItemState.SKIPPED,
        ItemState.CANCELLED, ItemState.SENT, ItemState.SENDING, ItemState.PENDING,
    ]  # fmt: skip
    return {state.value: counts[state] for state in order}
