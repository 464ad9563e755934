"""Pages: the guard rails of a Dag and the freezes that concern it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from panel.access.actions import Action
from panel.access.authorization import allowed_actions
from panel.access.decorators import requires
from panel.launches.dag_forms import known_fields
from panel.launches.found import found_server
from panel.launches.guard_rails import freeze_windows, guard_rails_of
from panel.launches.guard_rails_changing import add_freeze, end_freeze, set_guard_rails
from panel.launches.guard_rails_form import FreezeForm, GuardRailsForm, add_problem, entered_of
from panel.launches.models import FreezeWindow
from panel.launches.selectors import dag_is_known
from panel.problems import Problem
from panel.servers.models import Server


@requires(Action.VIEW)
@require_GET
def guard_rails(request: HttpRequest, slug: str, dag_id: str) -> HttpResponse:
    """Everybody may read what holds; admins set it."""
    return _page(request, _server(slug, dag_id), dag_id)


@requires(Action.SET_GUARD_RAILS)
@require_POST
def guard_rails_set(request: HttpRequest, slug: str, dag_id: str) -> HttpResponseBase:
    server = _server(slug, dag_id)
    form = GuardRailsForm(request.POST)
    if form.is_valid():
        try:
            columns = form.columns(known_fields(server, dag_id))
            set_guard_rails(user=cast(User, request.user), server=server, dag_id=dag_id, **columns)
        except Problem as problem:
            add_problem(form, problem)
        else:
            messages.success(request, _("The guard rails hold from now on."))
            return _back(server, dag_id)
    return _page(request, server, dag_id, form=form)


@requires(Action.SET_GUARD_RAILS)
@require_POST
def freeze_add(request: HttpRequest, slug: str, dag_id: str) -> HttpResponseBase:
    server = _server(slug, dag_id)
    form = FreezeForm(request.POST)
    if form.is_valid():
        try:
            add_freeze(user=cast(User, request.user), server=server, **form.columns(dag_id))
        except Problem as problem:
            add_problem(form, problem)
        else:
            messages.success(request, _("The freeze is set."))
            return _back(server, dag_id)
    return _page(request, server, dag_id, freeze_form=form)


@requires(Action.SET_GUARD_RAILS)
@require_POST
def freeze_end(request: HttpRequest, slug: str, dag_id: str, freeze_id: int) -> HttpResponseBase:
    server = _server(slug, dag_id)
    freeze = FreezeWindow.objects.select_related("server").filter(pk=freeze_id, server=server).first()
    if freeze is None:
        messages.info(request, _("There is no such freeze any more."))
    else:
        end_freeze(user=cast(User, request.user), freeze=freeze)
        messages.success(request, _("The freeze has ended."))
    return _back(server, dag_id)


def _page(
    request: HttpRequest,
    server: Server,
    dag_id: str,
    *,
    form: GuardRailsForm | None = None,
    freeze_form: FreezeForm | None = None,
) -> HttpResponse:
    rails = guard_rails_of(server, dag_id)
    may_set = Action.SET_GUARD_RAILS in allowed_actions(request.user)
    wrong = form is not None or freeze_form is not None
    context: dict[str, Any] = {
        "server": server,
        "dag_id": dag_id,
        "rails": rails,
        "freezes": freeze_windows(server, dag_id, since=timezone.now()),
        "now": timezone.now(),
        "form": (form or GuardRailsForm(initial=entered_of(rails))) if may_set else None,
        "freeze_form": (freeze_form or FreezeForm()) if may_set else None,
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK
    return render(request, "launches/guard_rails.html", context, status=status)


def _server(slug: str, dag_id: str) -> Server:
    server = found_server(slug)
    if not dag_is_known(server, dag_id):
        raise Http404(_("Mapboard knows no such Dag."))
    return server


def _back(server: Server, dag_id: str) -> HttpResponseBase:
    return redirect("launches:guard_rails", slug=server.slug, dag_id=dag_id)
