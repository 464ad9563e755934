"""Pages: the list of launches, one launch with its targets."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from panel.access.actions import Action
from panel.access.authorization import allowed_actions
from panel.access.decorators import requires
from panel.domain.outcomes import FAILURES
from panel.keyset import keyset_page
from panel.launches import selectors
from panel.launches.approval_page import approval_page
from panel.launches.board import Board, board_of
from panel.launches.found import found_launch
from panel.launches.services import cancel_launch, request_board
from panel.launches.states import State
from panel.problems import Conflicting
from panel.servers.selectors import servers

PAGE_SIZE = 50
MOST_TO_APPROVE = 20


@requires(Action.VIEW)
@require_GET
def launch_list(request: HttpRequest) -> HttpResponse:
    state = request.GET.get("state", "")
    found = selectors.launches(
        server=request.GET.get("server", ""),
        dag_id=request.GET.get("dag_id", "").strip(),
        states=[state] if state in State.values else [],
    )
    user = cast(User, request.user)
    may_launch = Action.LAUNCH in allowed_actions(user)
    page = keyset_page(found, ordering="-created_at", cursor=request.GET.get("cursor") or None, page_size=PAGE_SIZE)
    context = {
        "page": page,
        "states": State.choices,
        "to_approve": list(selectors.launches_to_approve(user)[:MOST_TO_APPROVE]) if may_launch else [],
        "servers": servers(),
        "filters": {name: request.GET.get(name, "") for name in ("server", "dag_id", "state")},
    }
    template = "launches/launch_list.html"
    return render(request, f"{template}#launch-table" if _wants_part(request) else template, context)


@requires(Action.VIEW)
@require_GET
def launch_detail(request: HttpRequest, launch_id: UUID) -> HttpResponse:
    launch = found_launch(launch_id)
    board = board_of(launch)
    request_board(board=board)
    shown = request.GET.get("v")
    if shown is None or not _wants_part(request):
        return render(request, "launches/launch_detail.html", _board_context(board, cast(User, request.user)))
    if shown == board.version:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    context = _board_context(board, cast(User, request.user)) | {"oob": True, "same_tasks": board.has_same_tasks(shown)}
    return render(request, "launches/launch_detail.html#changes", context)


@requires(Action.LAUNCH)
@require_POST
def launch_cancel(request: HttpRequest, launch_id: UUID) -> HttpResponseBase:
    launch = found_launch(launch_id)
    try:
        cancel_launch(user=cast(User, request.user), launch=launch)
    except Conflicting as problem:
        messages.error(request, problem.message)
    else:
        messages.success(request, _("The launch was cancelled; nothing was started."))
    return redirect("launches:launch_detail", launch_id=launch.pk)


def _board_context(board: Board, user: User) -> dict[str, object]:
    launch = board.launch
    approval = approval_page(launch, user)
    query = {"from": str(launch.pk)} | ({"form": launch.form_slug} if launch.form_slug else {})
    again = reverse("launches:launch_form", kwargs={"slug": launch.server_slug, "dag_id": launch.dag_id})
    return {
        "board": board,
        "launch": launch,
        "server": launch.server,
        "failures": FAILURES,
        "approval": approval,
        "offers_decision": approval is not None and approval.waits and not approval.why_not,
        "again_url": f"{again}?{urlencode(query)}" if launch.server else "",
    }


def _wants_part(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))
