"""Pages: the launch form of a Dag, one launch with its targets."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from panel.access.actions import Action
from panel.access.authorization import allowed_actions
from panel.access.decorators import requires
from panel.airflow import AirflowError, NotFound, TimedOut, Unreachable
from panel.domain.outcomes import FAILURES
from panel.launches import selectors
from panel.launches.approval_page import approval_page
from panel.launches.board import Board, board_of
from panel.launches.comparison import compared
from panel.launches.dag_forms import FormReading, read_form
from panel.launches.final_check import final_check
from panel.launches.forms import BACK, LaunchForm
from panel.launches.found import found_launch, found_server
from panel.launches.guard_rails import freeze_words, guard_rails_of, protection_of
from panel.launches.models import Launch
from panel.launches.rollback import Rollback, rollback_asked_for, rollback_of
from panel.launches.services import cancel_launch, request_board, request_launch
from panel.launches.timeline import timeline_of
from panel.problems import Conflicting, Problem
from panel.servers.models import Server


@requires(Action.LAUNCH)
@require_http_methods(["GET", "POST"])
def launch_form(request: HttpRequest, slug: str, dag_id: str) -> HttpResponseBase:
    server = found_server(slug)
    try:
        reading = read_form(server=server, dag_id=dag_id)
    except NotFound as error:
        raise Http404(_("Airflow knows no such Dag.")) from error
    except AirflowError as error:
        return _form_unavailable(request, server, dag_id, error)
    if request.method == "POST":
        return _submitted(request, server, reading)
    earlier = _earlier(request, server, dag_id)
    form = LaunchForm(reading, timezone.get_current_timezone(), earlier=earlier)
    return _form_page(request, server, form, rollback=rollback_asked_for(request.GET.get("rollback", ""), earlier))


def _submitted(request: HttpRequest, server: Server, reading: FormReading) -> HttpResponseBase:
    form = LaunchForm(reading, timezone.get_current_timezone(), posted=dict(request.POST.lists()))
    if BACK in request.POST:
        return _form_page(request, server, form)
    if not form.is_good:
        return _form_page(request, server, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        requested = request_launch(
            user=cast(User, request.user),
            server=server,
            dag_id=reading.form.dag_id,
            params=form.values,
            note=form.note,
            idempotency_key=form.key,
            confirm=form.confirm,
            reading=reading,
        )
    except Problem as problem:
        if problem.code == "confirmation_needed":
            return _confirm_page(request, server, form)
        form.add(problem.message, problem.fields)
        if isinstance(problem, Conflicting) or "idempotency_key" in problem.fields:
            form.renew_key()
        return _form_page(request, server, form, status=problem.http_status)
    return redirect("launches:launch_detail", launch_id=requested.launch.pk)


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


def _form_page(
    request: HttpRequest,
    server: Server,
    form: LaunchForm,
    status: int = HTTPStatus.OK,
    rollback: Rollback | None = None,
) -> HttpResponse:
    template = "launches/launch_form.html"
    if request.method == "POST" and _wants_part(request):
        template += "#launch-form"
    dag = form.reading.form
    context = {
        "server": server,
        "dag": dag,
        "reading": form.reading,
        "form": form,
        "freeze": freeze_words(server, dag.dag_id),
        "rails": guard_rails_of(server, dag.dag_id),
        "rollback": rollback,
    }
    return render(request, template, context, status=status)


def _confirm_page(request: HttpRequest, server: Server, form: LaunchForm) -> HttpResponse:
    dag_id = form.reading.form.dag_id
    context = {
        "server": server,
        "dag": form.reading.form,
        "reading": form.reading,
        "form": form,
        "protection": protection_of(server, dag_id, form.fields, form.values),
        "comparison": compared(form.fields, form.values, selectors.last_launch(server, dag_id)),
    }
    template = "launches/launch_form.html"
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.confirm else HTTPStatus.OK
    return render(request, f"{template}#launch-form" if _wants_part(request) else template, context, status=status)


def _form_unavailable(request: HttpRequest, server: Server, dag_id: str, error: AirflowError) -> HttpResponse:
    status = HTTPStatus.BAD_GATEWAY
    if isinstance(error, Unreachable):
        status = HTTPStatus.GATEWAY_TIMEOUT if isinstance(error, TimedOut) else HTTPStatus.SERVICE_UNAVAILABLE
    context = {"server": server, "dag_id": dag_id, "error": error}
    return render(request, "launches/form_unavailable.html", context, status=status)


def _board_context(request: HttpRequest, board: Board) -> dict[str, object]:
    launch, user = board.launch, cast(User, request.user)
    approval = approval_page(launch, user)
    page = reverse("launches:launch_detail", args=[launch.pk])
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
        "again_url": f"{again}?{urlencode({'from': launch.pk})}" if launch.server else "",
    }


def _earlier(request: HttpRequest, server: Server, dag_id: str) -> Launch | None:
    """The launch whose values the form begins with."""
    try:
        launch = selectors.launch(UUID(request.GET.get("from", "")))
    except (ValueError, Launch.DoesNotExist):
        return None
    return launch if (launch.server_slug, launch.dag_id) == (server.slug, dag_id) else None


def _wants_part(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))
