"""The page of all launches: what waits for one's yes or no, and the history with its filters."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from panel.access.actions import Action
from panel.access.authorization import allowed_actions
from panel.access.decorators import requires
from panel.keyset import keyset_page
from panel.launches import selectors
from panel.launches.filters import NAMES, filters_from
from panel.launches.models import Launch
from panel.launches.states import State
from panel.problems import BadRequest
from panel.servers.selectors import servers

PAGE_SIZE = 50
MOST_TO_APPROVE = 20


@requires(Action.VIEW)
@require_GET
def launch_list(request: HttpRequest) -> HttpResponse:
    problem: BadRequest | None = None
    try:
        chosen = filters_from(request.GET).chosen
    except BadRequest as error:
        problem, chosen = error, Launch.objects.none()
    user, cursor = cast(User, request.user), request.GET.get("cursor") or None
    may_launch = Action.LAUNCH in allowed_actions(user)
    given = {name: request.GET.get(name, "") for name in NAMES if request.GET.get(name)}
    context = {
        "page": keyset_page(chosen, ordering="-created_at", cursor=cursor, page_size=PAGE_SIZE),
        "problem": problem,
        "states": State.choices,
        "chosen_states": request.GET.getlist("state"),
        "to_approve": list(selectors.launches_to_approve(user)[:MOST_TO_APPROVE]) if may_launch else [],
        "servers": servers(),
        "filters": given,
        "more_filters": given.keys() - {"server", "dag_id", "q"},
        "query": _without_cursor(request),
    }
    template = "launches/launch_list.html"
    status = HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK
    return render(request, f"{template}#launch-table" if _wants_part(request) else template, context, status=status)


def _without_cursor(request: HttpRequest) -> str:
    query = request.GET.copy()
    for name in set(query) - set(NAMES):
        del query[name]
    return query.urlencode()


def _wants_part(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))
