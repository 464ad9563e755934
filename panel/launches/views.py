"""Pages: one launch with its targets."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
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
from panel.launches.approval_page import approval_page
from panel.launches.board import Board, board_of
from panel.launches.final_check import final_check
from panel.launches.found import found_launch
from panel.launches.rollback import rollback_of
from panel.launches.services import cancel_launch, request_board
from panel.launches.timeline import timeline_of
from panel.problems import Conflicting


@requires(Action.VIEW)
@require_GET
def launch_detail(request: HttpRequest, launch_id: UUID) -> HttpResponse:
    launch = found_launch(launch_id)
    board = board_of(launch)
    request_board(board=board)
    shown = request.GET.get("v")
    if shown is None or not _wants_part(request):
        return render(request, "launches/launch_detail.html", _board_context(request, board))
    if shown == board.version:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    context = _board_context(request, board) | {"oob": True, "same_tasks": board.has_same_tasks(shown)}
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


def _board_context(request: HttpRequest, board: Board) -> dict[str, object]:
    launch, user = board.launch, cast(User, request.user)
    approval = approval_page(launch, user)
    page = reverse("launches:launch_detail", args=[launch.pk])
    query = {"from": str(launch.pk)} | ({"form": launch.form_slug} if launch.form_slug else {})
    again = reverse("launches:launch_form", kwargs={"slug": launch.server_slug, "dag_id": launch.dag_id})
    return {
        "board": board,
        "launch": launch,
        "server": launch.server,
        "failures": FAILURES,
        "approval": approval,
        "stop": launch.last_stop,
        "timeline": timeline_of(board),
        "final": final_check(board),
        "rollback": rollback_of(launch) if Action.LAUNCH in allowed_actions(user) else None,
        "offers_decision": approval is not None and approval.waits and not approval.why_not,
        "share_url": f"{settings.MAPBOARD_URL}{page}" if settings.MAPBOARD_URL else request.build_absolute_uri(page),
        "again_url": f"{again}?{urlencode(query)}" if launch.server else "",
    }


def _wants_part(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))
