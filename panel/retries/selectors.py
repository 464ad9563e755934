"""Reading retry jobs. Lookups raise the model's ``DoesNotExist``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count, Max, Min, OuterRef, Q, QuerySet, Subquery, UUIDField, prefetch_related_objects

from panel.clock import database_now
from panel.domain.error_groups import masked
from panel.domain.index_expression import IndexExpression
from panel.retries.models import ReportMail, RetryChunk, RetryItem, RetryJob, RetryRun, RetryTarget
from panel.retries.states import CANCELLABLE, OPEN_ITEMS, ChunkKind, ChunkState, ItemState, JobState

_SHORT_ID: Final = re.compile(r"\b[0-9a-f]{8}\b")


@dataclass(frozen=True, slots=True)
class FailureAgain:
    """What the indices that failed again say; ``same``: all of them, as before the retry."""

    error_type: str
    message: str
    count: int
    indices: IndexExpression
    same: bool | None


def jobs() -> QuerySet[RetryJob]:
    """Newest first."""
    return RetryJob.objects.select_related("server")


def job(job_id: UUID | str) -> RetryJob:
    return jobs().get(pk=job_id)


def job_of_key(user_id: int, idempotency_key: str) -> RetryJob | None:
    return jobs().filter(user_id=user_id, idempotency_key=idempotency_key).first()


def jobs_of_mapped_task(mapped_task_id: UUID) -> QuerySet[RetryJob]:
    """The jobs that took on indices of this mapped task, newest first."""
    targets = RetryTarget.objects.filter(mapped_task_id=mapped_task_id)
    return jobs().filter(pk__in=targets.values("run__job_id"))


def jobs_of_mapped_tasks(mapped_task_ids: Collection[UUID]) -> QuerySet[RetryJob]:
    """The jobs that took on anything of these tasks, newest first."""
    targets = RetryTarget.objects.filter(mapped_task_id__in=mapped_task_ids)
    return jobs().filter(pk__in=targets.values("run__job_id"))


def unfinished_jobs_of_mapped_tasks(mapped_task_ids: Collection[UUID]) -> QuerySet[RetryJob]:
    """Those of them that may still send or watch something."""
    return jobs_of_mapped_tasks(mapped_task_ids).filter(finished_at=None)


def jobs_of_dag_since(server_id: int, dag_id: str, since: datetime) -> QuerySet[RetryJob]:
    """The jobs that were asked for since then and have a run of this Dag, oldest first."""
    runs = RetryRun.objects.filter(dag_id=dag_id, job__server_id=server_id, job__created_at__gte=since)
    return RetryJob.objects.filter(pk__in=runs.values("job_id")).order_by("created_at")


def due_jobs(now: datetime | None = None) -> QuerySet[RetryJob]:
    """Jobs that want to be looked at and that no living worker holds, the longest due first."""
    now = now or database_now()
    return RetryJob.objects.filter(unclaimed(now), next_at__lte=now).order_by("next_at")


def unclaimed(now: datetime) -> Q:
    """Jobs that no living worker holds. A claim of longer than any lasts is from before the clock was put back."""
    longest = now + 2 * timedelta(seconds=settings.RETRY_LEASE_SECONDS)
    return Q(claimed_until=None) | Q(claimed_until__lte=now) | Q(claimed_until__gt=longest)


def next_round(of: RetryJob) -> RetryJob | None:
    """The job over what failed again in this one."""
    return RetryJob.objects.filter(parent=of).first()


def cancellable_states(of: RetryJob) -> frozenset[JobState]:
    """A job of which everything was sent can still be cancelled when that spares its further rounds."""
    return CANCELLABLE | {JobState.WATCHING} if of.has_more_rounds else CANCELLABLE


def counts(of: RetryJob) -> dict[str, int]:
    """Items by their current state, every state named; the numbers sum to ``total``."""
    return counts_of([of])[of.pk]


def counts_of(several: Collection[RetryJob]) -> dict[UUID, dict[str, int]]:
    """The counts of several jobs, in one query."""
    found: dict[UUID, dict[str, int]] = {one.pk: {state.value: 0 for state in ItemState} for one in several}
    rows = RetryItem.objects.filter(job__in=list(found)).values("job_id", "state")
    for row in rows.annotate(count=Count("pk")).order_by():
        found[row["job_id"]][row["state"]] = row["count"]
    return found


def targets_with_counts(of: RetryJob) -> list[tuple[RetryTarget, dict[str, int]]]:
    """Each task of each run with its items by their current state, every state named."""
    found: dict[int, dict[str, int]] = {}
    rows = RetryItem.objects.filter(job=of).values("target_id", "state").annotate(count=Count("pk")).order_by()
    for row in rows:
        found.setdefault(row["target_id"], {})[row["state"]] = row["count"]
    return [
        (target, {state.value: found.get(target.pk, {}).get(state.value, 0) for state in ItemState})
        for target in targets(of)
    ]


def first_and_rest(of: RetryJob) -> tuple[int, int]:
    """How many indices go first, and how many are still to be sent."""
    rows = RetryItem.objects.filter(job=of)
    return rows.filter(canary=True).count(), rows.filter(state=ItemState.PENDING).count()


def wave_under_way(of: RetryJob) -> tuple[int, int]:
    """The number of the last wave of which anything was sent, and how many there are."""
    rows = RetryItem.objects.filter(job=of)
    last = rows.exclude(sent_at=None).aggregate(wave=Max("wave"))["wave"]
    return last or 0, rows.aggregate(wave=Max("wave"))["wave"] or 0


def items(of: RetryJob) -> QuerySet[RetryItem]:
    """In the order in which they are sent."""
    return RetryItem.objects.filter(job=of).select_related("target__run").order_by("pk")


def targets(of: RetryJob) -> QuerySet[RetryTarget]:
    return RetryTarget.objects.filter(run__job=of).select_related("run").order_by("run__position", "position")


def open_elsewhere(mapped_task_id: UUID, indices: Iterable[int] | None = None) -> dict[int, RetryJob]:
    """The unfinished job that an index of this task belongs to, by index; of these indices, or of all."""
    rows = RetryItem.objects.filter(mapped_task_id=mapped_task_id, state__in=OPEN_ITEMS).select_related("job")
    wanted = None if indices is None else frozenset(indices)
    return {row.map_index: row.job for row in rows if wanted is None or row.map_index in wanted}


def reasons(of: RetryJob) -> list[tuple[str, str, int]]:
    """``(state, why, count)`` of the items that have a reason, the most frequent first."""
    rows = RetryItem.objects.filter(job=of).exclude(why="").values("state", "why").annotate(count=Count("pk"))
    return [(row["state"], row["why"], row["count"]) for row in rows.order_by("-count", "why")]


def failures_again(of: RetryJob) -> list[FailureAgain]:
    """What failed again, grouped by masked error, the largest group first."""
    rows = RetryItem.objects.filter(job=of, state=ItemState.FAILED_AGAIN)
    groups: dict[tuple[str, str], list[tuple[int, bool | None]]] = {}
    values = rows.values_list("error_type", "error_message", "outcome", "map_index", "same_error")
    for error_type, message, outcome, index, same in values:
        shown = error_type or ("" if message else _words(outcome))
        groups.setdefault((shown, masked(message)), []).append((index, same))
    found = [
        FailureAgain(
            error_type,
            message,
            len(members),
            IndexExpression.of(index for index, _ in members if index >= 0),
            _agreed(same for _, same in members),
        )
        for (error_type, message), members in groups.items()
    ]
    return sorted(found, key=lambda group: -group.count)


def same_error_counts(of: RetryJob) -> dict[bool | None, int]:
    """The indices that failed again: with the error from before, with another, and those that cannot be compared."""
    again = RetryItem.objects.filter(job=of, state=ItemState.FAILED_AGAIN).values_list("same_error")
    found = dict(again.annotate(count=Count("pk")).order_by())
    return {same: found.get(same, 0) for same in (True, False, None)}


def failed_again_of_targets(of: RetryJob) -> dict[int, dict[UUID | None, int]]:
    """How many mapped indices failed again, by the key of their target and by the unfinished job that has them by now;
    ``None``: free.
    """
    same = RetryItem.objects.filter(mapped_task_id=OuterRef("mapped_task_id"), map_index=OuterRef("map_index"))
    holder = Subquery(same.filter(state__in=OPEN_ITEMS).values("job_id")[:1], output_field=UUIDField())
    again = RetryItem.objects.filter(job=of, state=ItemState.FAILED_AGAIN, map_index__gte=0).annotate(holder=holder)
    found: dict[int, dict[UUID | None, int]] = {}
    for target, held_by, count in again.values_list("target", "holder").annotate(count=Count("pk")).order_by():
        found.setdefault(target, {})[held_by] = count
    return found


def indices_failed_again(job_id: UUID, mapped_task_id: UUID) -> IndexExpression:
    again = RetryItem.objects.filter(job_id=job_id, mapped_task_id=mapped_task_id, state=ItemState.FAILED_AGAIN)
    return IndexExpression.of(again.filter(map_index__gte=0).values_list("map_index", flat=True))


def with_targets(several: Collection[RetryJob]) -> None:
    """Load runs and targets of these jobs at once; ``job.runs.all()`` and ``run.targets.all()`` then cost nothing."""
    prefetch_related_objects(list(several), "runs__targets")


def results_lately(of: RetryJob, *, seconds: float, slices: int) -> tuple[list[int], float]:
    """How many sent items got their result in each of so many equal parts of the last ``seconds``, or of the time since
    the job first sent something where that is shorter; and how long that is in all.
    """
    now = database_now()
    items = RetryItem.objects.filter(job=of).exclude(sent_at=None)
    first = items.aggregate(first=Min("sent_at"))["first"]
    if first is None or first >= now:
        return [0] * slices, 0.0
    begin = max(first, now - timedelta(seconds=seconds))
    width = (now - begin) / slices
    parts = {
        str(n): Count("pk", filter=Q(settled_at__gt=begin + n * width, settled_at__lte=begin + (n + 1) * width))
        for n in range(slices)
    }
    found = items.filter(settled_at__gt=begin).aggregate(**{f"part_{n}": part for n, part in parts.items()})
    return [found[f"part_{n}"] for n in range(slices)], (now - begin).total_seconds()


def unsure_until(of: RetryJob) -> datetime | None:
    """When it is known at the latest what became of requests whose answer was lost; ``None`` where there is none."""
    lost = RetryChunk.objects.filter(run__job=of, state=ChunkState.SENDING).exclude(message="")
    latest: datetime | None = lost.aggregate(latest=Max("unsure_until"))["latest"]
    return latest


def what_happened(of: RetryJob) -> list[RetryRun]:
    """The runs of which there is something to say: what stands in the way, or what somebody did to them."""
    return [run for run in RetryRun.objects.filter(job=of).order_by("position") if run.hindrance or run.happened]


def jobs_named(whys: Iterable[str]) -> dict[str, RetryJob]:
    """The job that each of these reasons names by its short id ("already in job 1f2e3d4c"), to be linked."""
    ids = {why: found[0] for why in whys if (found := _SHORT_ID.findall(why))}
    named = Q(pk=None)
    for short_id in set(ids.values()):
        named |= Q(pk__startswith=short_id)
    by_id = {job.short_id: job for job in jobs().filter(named)} if ids else {}
    return {why: by_id[short_id] for why, short_id in ids.items() if short_id in by_id}


def report_mail(of: RetryJob, user: User) -> ReportMail | None:
    """The report that this person has ordered by mail."""
    return ReportMail.objects.filter(job=of, user=user).first()


def _by_state(rows: QuerySet[RetryItem]) -> Iterable[tuple[str, int]]:
    return rows.values_list("state").annotate(count=Count("pk")).order_by()


def restarted_downstream(of: RetryJob) -> datetime | None:
    """When the tasks downstream were last started again."""
    chunks = RetryChunk.objects.filter(run__job=of, kind=ChunkKind.DOWNSTREAM, state=ChunkState.SENT)
    last = chunks.order_by("-sent_at").first()
    return last.sent_at if last else None


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")


def _agreed(answers: Iterable[bool | None]) -> bool | None:
    found = set(answers)
    return found.pop() if len(found) == 1 else None
