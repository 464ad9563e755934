"""Writing a plan down as a job with its runs, targets and items."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth.models import User

from panel.clock import database_now
from panel.retries.asks import Ask
from panel.retries.bulk_insert import insert_items
from panel.retries.choice import Candidate, Plan, RunChoice, TaskChoice
from panel.retries.models import RetryItem, RetryJob, RetryRun, RetryTarget
from panel.retries.policies import Policy
from panel.retries.states import JobState
from panel.retries.turns import Turns
from panel.servers.models import Server


def store_job(
    *,
    user: User,
    server: Server,
    ask: Ask,
    plan: Plan,
    policy: Policy,
    reason: str,
    idempotency_key: str,
    body_hash: str,
) -> RetryJob:
    """The stored job, due now or at the time it was put off to. Call it inside a transaction.

    Raises IntegrityError when the key is taken, or when an index belongs to another unfinished job by now.
    """
    now = database_now()
    is_later = policy.not_before is not None and policy.not_before > now
    job = RetryJob.objects.create(
        server=server,
        user=user,
        username=user.get_username(),
        action=ask.action,
        reason=reason,
        include_downstream=ask.include_downstream,
        include_settled=ask.include_settled,
        run_on_latest_version=ask.run_on_latest_version,
        selection=ask.as_json(),
        left_out=[group.as_json() for group in plan.left_out],
        idempotency_key=idempotency_key,
        body_hash=body_hash,
        total=plan.count,
        state=JobState.SCHEDULED if is_later else JobState.PLANNED,
        next_at=policy.not_before if is_later else now,
        **policy.as_fields(),
    )
    turns = Turns(policy)
    for position, choice in enumerate(plan.runs):
        run = RetryRun.objects.create(
            job=job,
            position=position,
            dag_id=choice.dag_id,
            run_id=choice.run_id,
            downstream=choice.downstream,
            followers=choice.followers,
        )
        blanks = {task.task_id: _blank(job, _target(run, task)) for task in choice.tasks}
        ordered = list(_in_order(choice, ask))
        items = [_item(blanks[task.task_id], candidate) for task, candidate in ordered]
        turns.give(items, [candidate.error_group for _task, candidate in ordered])
        insert_items(items)
    return job


def _target(run: RetryRun, task: TaskChoice) -> RetryTarget:
    return RetryTarget.objects.create(
        run=run,
        position=task.position,
        task_id=task.task_id,
        mapped_task_id=task.mapped_task_id,
        as_upstream=task.as_upstream,
    )


def _in_order(choice: RunChoice, ask: Ask) -> Iterator[tuple[TaskChoice, Candidate]]:
    """The order of sending: by index, and an upstream task before what is below it.

    Marks go task by task, from below upwards: marking a task makes Airflow clear what failed below it.
    """
    pairs = [(task, candidate) for task in choice.tasks for candidate in task.chosen]
    if ask.action.marks_as:
        yield from sorted(pairs, key=lambda pair: (-pair[0].position, pair[0].task_id, pair[1].map_index))
        return
    yield from sorted(pairs, key=lambda pair: (pair[1].map_index, pair[0].position, pair[0].task_id))


def _blank(job: RetryJob, target: RetryTarget) -> RetryItem:
    return RetryItem(job_id=job.pk, target_id=target.pk, mapped_task_id=target.mapped_task_id)


def _item(blank: RetryItem, candidate: Candidate) -> RetryItem:
    """A row beside ``blank``, without what a model does for each that is made: of 10,000 that is most of the time."""
    item = RetryItem.__new__(RetryItem)
    item.__dict__.update(
        blank.__dict__,
        map_index=candidate.map_index,
        label=candidate.label[:250],
        ti_id=candidate.ti_id,
        try_number=candidate.try_number,
        outcome_before=candidate.outcome.value,
        error_type_before=candidate.error_type[:200],
        error_message_before=candidate.error_message,
    )
    return item
