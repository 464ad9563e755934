"""Stopping the run of a launch: what it will do, why it is done, and asking for it."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.launches.board import board_of
from panel.launches.found import found_launch
from panel.launches.models import Launch
from panel.launches.selectors import open_stop
from panel.launches.stop_page import stop_page
from panel.launches.stopping import REASON_LENGTH, request_stop, why_not_stop
from panel.problems import Conflicting, Unprocessable


@requires(Action.LAUNCH)
@require_http_methods(["GET", "POST"])
def launch_stop(request: HttpRequest, launch_id: UUID) -> HttpResponseBase:
    launch = found_launch(launch_id)
    if request.method == "GET":
        return _confirmation(request, launch)
    reason = request.POST.get("reason", "").replace("\r\n", "\n").strip()
    try:
        stop, created = request_stop(user=cast(User, request.user), launch=launch, reason=reason)
    except Unprocessable as problem:
        return _confirmation(request, launch, reason=reason, errors=problem.fields["reason"])
    except Conflicting as problem:
        messages.error(request, problem.message)
    else:
        if created:
            messages.success(request, _("The run is being stopped; this page says when Airflow has done it."))
        else:
            messages.info(request, _("%(name)s has asked for it already.") % {"name": stop.username})
    return redirect("launches:launch_detail", launch_id=launch_id)


def _confirmation(
    request: HttpRequest, launch: Launch, *, reason: str = "", errors: list[str] | None = None
) -> HttpResponse:
    board = board_of(launch)
    context = {
        "launch": launch,
        "server": launch.server,
        "board": board,
        "page": stop_page(board),
        "open_stop": open_stop(launch),
        "why_not": why_not_stop(launch),
        "reason": reason,
        "errors": errors,
        "reason_length": REASON_LENGTH,
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
    return render(request, "launches/launch_stop.html", context, status=status)
