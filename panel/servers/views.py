"""Pages: which Airflow servers there are and how they are; adding, changing and removing them."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.problems import Problem
from panel.servers import selectors, services
from panel.servers.forms import RemoveForm, ServerForm
from panel.servers.models import Server


@requires(Action.VIEW)
@require_GET
def server_list(request: HttpRequest) -> HttpResponse:
    template = "servers/server_list.html"
    version = selectors.servers_version()
    if getattr(request, "htmx", False):
        if request.GET.get("v") == version:
            return HttpResponse(status=204)
        template += "#server-table"
    return render(request, template, {"servers": selectors.servers(), "version": version})


@requires(Action.MANAGE_SERVERS)
@require_http_methods(["GET", "POST"])
def server_add(request: HttpRequest) -> HttpResponse:
    form = ServerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            server = services.add_server(user=request.user, slug=form.cleaned_data["slug"], details=form.details())
        except Problem as problem:
            form.add_problem(problem)
        else:
            messages.success(request, _("%(name)s was added; it is being checked now.") % {"name": server.name})
            return redirect("servers:server_list")
    return _form_page(request, form, None)


@requires(Action.MANAGE_SERVERS)
@require_http_methods(["GET", "POST"])
def server_edit(request: HttpRequest, slug: str) -> HttpResponse:
    server = _server(slug)
    form = ServerForm(request.POST or None, server=server)
    if request.method == "POST" and form.is_valid():
        try:
            server = services.update_server(user=request.user, server=server, details=form.details())
        except Problem as problem:
            form.add_problem(problem)
        else:
            messages.success(request, _("%(name)s was saved; it is being checked now.") % {"name": server.name})
            return redirect("servers:server_list")
    return _form_page(request, form, server)


@requires(Action.MANAGE_SERVERS)
@require_POST
def server_check(request: HttpRequest, slug: str) -> HttpResponse:
    server = _server(slug)
    services.request_check(server=server)
    messages.info(request, _("%(name)s is being checked; the result appears here.") % {"name": server.name})
    return redirect("servers:server_list")


@requires(Action.MANAGE_SERVERS)
@require_http_methods(["GET", "POST"])
def server_remove(request: HttpRequest, slug: str) -> HttpResponse:
    server = _server(slug)
    form = RemoveForm(request.POST or None)
    problem: Problem | None = None
    if request.method == "POST" and form.is_valid():
        try:
            services.remove_server(user=request.user, server=server, confirmation=form.cleaned_data["confirmation"])
        except Problem as error:
            problem = error
        else:
            messages.success(request, _("%(name)s was removed.") % {"name": server.name})
            return redirect("servers:server_list")
    status = 422 if request.method == "POST" else 200
    if problem is not None:
        status = problem.http_status
    context = {"form": form, "server": server, "problem": problem}
    return render(request, "servers/server_remove.html", context, status=status)


def _form_page(request: HttpRequest, form: ServerForm, server: Server | None) -> HttpResponse:
    status = 422 if form.is_bound else 200
    return render(request, "servers/server_form.html", {"form": form, "server": server}, status=status)


def _server(slug: str) -> Server:
    try:
        return selectors.server(slug)
    except Server.DoesNotExist as error:
        raise Http404(_("There is no server with this short name.")) from error
