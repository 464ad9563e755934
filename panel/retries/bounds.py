"""The retries' own limits: indices one person may retry at once, jobs one Dag takes in an hour (docs/settings.md)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from panel.access.actions import ADMIN
from panel.domain.budgets import PERIOD, seconds_until_room
from panel.locks import hold_until_commit
from panel.problems import Problem, TooMany, Unprocessable
from panel.retries import selectors
from panel.retries.choice import Plan
from panel.retries.planning import MOST_ITEMS
from panel.servers.models import Server


def check_bounds(user: User, plan: Plan, server: Server) -> None:
    """Raises Unprocessable (422) for more indices than the user may retry at once, TooMany (429) for more jobs of a Dag
    than an hour has room for.
    """
    for problem in _exceeded(user, plan, server):
        raise problem


def wait_for_others(plan: Plan, server: Server) -> None:
    """Until no other request for these Dags is between its check of the budget and the end of its transaction."""
    if settings.RETRY_JOBS_PER_HOUR:
        hold_until_commit(f"retries.budget:{server.pk}:{run.dag_id}" for run in plan.runs)


def bounds_exceeded(user: User, plan: Plan, server: Server) -> list[str]:
    """What a request for this plan would be refused for now, as sentences."""
    return [problem.message for problem in _exceeded(user, plan, server)]


def most_indices(user: User) -> int:
    """The most indices this person may retry at once: by the group that allows the most."""
    limits: dict[str, int] = settings.RETRY_MOST_INDICES
    groups = {ADMIN} if user.is_superuser else set(user.groups.values_list("name", flat=True))
    own = [limit for group, limit in limits.items() if group in groups]
    return min(MOST_ITEMS, max(own, default=MOST_ITEMS))


def _exceeded(user: User, plan: Plan, server: Server) -> Iterator[Problem]:
    most = most_indices(user)
    if plan.count > most:
        problem = _(
            "%(count)s indices are more than the %(most)s that you may retry at once. "
            "Choose fewer (an error group, a range of indices), or ask an administrator of Mapboard."
        ) % {"count": plan.count, "most": most}
        yield Unprocessable(problem, {"selection": [problem]}, code="too_many_indices")
    for dag_id in dict.fromkeys(run.dag_id for run in plan.runs):
        if problem_of_dag := _spent(server, dag_id):
            yield problem_of_dag


def _spent(server: Server, dag_id: str) -> TooMany | None:
    now, budget = timezone.now(), settings.RETRY_JOBS_PER_HOUR
    if not budget:
        return None
    recent = selectors.jobs_of_dag_since(server.pk, dag_id, now - PERIOD)
    seconds = seconds_until_room(list(recent.values_list("created_at", flat=True)), budget, now)
    if not seconds:
        return None
    said = ngettext(
        "The Dag %(dag)s had its %(budget)s retry job of the last hour.",
        "The Dag %(dag)s had its %(budget)s retry jobs of the last hour.",
        budget,
    ) % {"dag": dag_id, "budget": budget}
    minutes = math.ceil(seconds / 60)
    todo = ngettext(
        "Try again in %(minutes)s minute, or put more indices into one job.",
        "Try again in %(minutes)s minutes, or put more indices into one job.",
        minutes,
    ) % {"minutes": minutes}
    return TooMany(f"{said} {todo}", code="budget_spent", retry_after_seconds=seconds)
