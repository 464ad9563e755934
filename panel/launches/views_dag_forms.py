"""Pages: the launch forms that people may use, those of one Dag, and making them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.airflow import AirflowError
from panel.keyset import keyset_page
from panel.launches.dag_forms import FormReading, known_fields, read_form
from panel.launches.form_editing import FormEditing
from panel.launches.form_pages import form_unavailable
from panel.launches.form_rights import is_form_admin, may_use_bare_form, only_forms, visible_forms
from panel.launches.found import found_form, found_server
from panel.launches.launch_forms_changing import add_form, change_form, delete_form, set_only_forms
from panel.launches.models import FormDefinition
from panel.launches.selectors import dag_is_known
from panel.launches.shaped_fields import shaped
from panel.problems import Conflicting, Problem
from panel.servers.models import Server
from panel.servers.selectors import servers

PAGE_SIZE = 50


@requires(Action.LAUNCH)
@require_GET
def form_list(request: HttpRequest) -> HttpResponse:
    """What a product team has as its home for launching."""
    slug, search = request.GET.get("server", ""), request.GET.get("q", "").strip()[:200]
    server = found_server(slug) if slug else None
    found = visible_forms(request.user, server=server, search=search)
    page = keyset_page(found, ordering="title", cursor=request.GET.get("cursor") or None, page_size=PAGE_SIZE)
    context = {"page": page, "servers": servers(), "server_slug": slug, "search": search}
    asked = request.headers.get("HX-Target") == "form-cards"
    return render(request, "launches/form_list.html" + ("#form-cards" if asked else ""), context)


@requires(Action.LAUNCH)
@require_GET
def dag_forms(request: HttpRequest, slug: str, dag_id: str) -> HttpResponse:
    server = _server(slug, dag_id)
    found = list(visible_forms(request.user, server=server, dag_id=dag_id))
    fields = known_fields(server, dag_id)
    context = {
        "server": server,
        "dag_id": dag_id,
        "definitions": [(one, shaped(fields, one) if fields else None) for one in found],
        "only_forms": only_forms(server, dag_id),
        "may_use_bare": may_use_bare_form(request.user, server, dag_id),
        "is_form_admin": is_form_admin(request.user),
    }
    return render(request, "launches/dag_forms.html", context)


@requires(Action.SET_GUARD_RAILS)
@require_http_methods(["GET", "POST"])
def form_add(request: HttpRequest, slug: str, dag_id: str) -> HttpResponseBase:
    server = _server(slug, dag_id)
    try:
        editing = _editing(request, server, dag_id, None)
    except AirflowError as error:
        return form_unavailable(request, server, dag_id, error)
    content = editing.content() if request.method == "POST" else None
    if content is not None:
        try:
            made = add_form(user=cast(User, request.user), server=server, dag_id=dag_id, content=content)
        except Problem as problem:
            editing.add(problem.message, problem.fields)
        else:
            messages.success(request, _("The launch form “%(title)s” is there.") % {"title": made.title})
            return redirect("launches:form_edit", slug=slug, dag_id=dag_id, form_slug=made.slug)
    return _edit_page(request, server, dag_id, editing)


@requires(Action.SET_GUARD_RAILS)
@require_http_methods(["GET", "POST"])
def form_edit(request: HttpRequest, slug: str, dag_id: str, form_slug: str) -> HttpResponseBase:
    server = found_server(slug)
    definition = found_form(server, dag_id, form_slug)
    try:
        editing = _editing(request, server, dag_id, definition)
    except AirflowError as error:
        return form_unavailable(request, server, dag_id, error)
    content = editing.content() if request.method == "POST" else None
    overtaken = False
    if content is not None:
        try:
            user = cast(User, request.user)
            changed = change_form(user=user, form=definition, content=content, version=editing.version)
        except Conflicting as problem:
            overtaken = True
            editing.add(problem.message, problem.fields)
        except Problem as problem:
            editing.add(problem.message, problem.fields)
        else:
            messages.success(request, _("The launch form is changed; it holds from now on."))
            return redirect("launches:form_edit", slug=slug, dag_id=dag_id, form_slug=changed.slug)
    return _edit_page(request, server, dag_id, editing, overtaken=overtaken)


@requires(Action.SET_GUARD_RAILS)
@require_http_methods(["GET", "POST"])
def form_delete(request: HttpRequest, slug: str, dag_id: str, form_slug: str) -> HttpResponseBase:
    """GET asks, POST does it."""
    server = found_server(slug)
    definition = found_form(server, dag_id, form_slug)
    if request.method == "POST":
        delete_form(user=cast(User, request.user), form=definition)
        messages.success(request, _("The launch form “%(title)s” is deleted.") % {"title": definition.title})
        return redirect("launches:dag_forms", slug=slug, dag_id=dag_id)
    context = {
        "server": server,
        "dag_id": dag_id,
        "definition": definition,
        "presets": definition.presets.count(),
        "only_forms": only_forms(server, dag_id),
    }
    return render(request, "launches/form_delete.html", context)


@requires(Action.SET_GUARD_RAILS)
@require_POST
def forms_only(request: HttpRequest, slug: str, dag_id: str) -> HttpResponseBase:
    only = request.POST.get("only") == "1"
    set_only_forms(user=cast(User, request.user), server=_server(slug, dag_id), dag_id=dag_id, only_forms=only)
    said = (
        _("From now on this Dag is launched through its forms only; administrators may still use the bare one.")
        if only
        else _("From now on every deployer may also use the bare form of this Dag.")
    )
    messages.success(request, said)
    return redirect("launches:dag_forms", slug=slug, dag_id=dag_id)


def _editing(request: HttpRequest, server: Server, dag_id: str, definition: FormDefinition | None) -> FormEditing:
    reading: FormReading = read_form(server=server, dag_id=dag_id)
    posted = dict(request.POST.lists()) if request.method == "POST" else None
    return FormEditing(reading.fields, timezone.get_current_timezone(), definition, posted)


def _edit_page(
    request: HttpRequest, server: Server, dag_id: str, editing: FormEditing, *, overtaken: bool = False
) -> HttpResponse:
    definition = editing.definition
    context: dict[str, Any] = {
        "server": server,
        "dag_id": dag_id,
        "definition": definition,
        "editing": editing,
        "shape": shaped(editing.fields, definition) if definition else None,
        "overtaken": overtaken,
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if request.method == "POST" else HTTPStatus.OK
    return render(request, "launches/form_edit.html", context, status=HTTPStatus.CONFLICT if overtaken else status)


def _server(slug: str, dag_id: str) -> Server:
    server = found_server(slug)
    if not dag_is_known(server, dag_id):
        raise Http404(_("Mapboard knows no such Dag."))
    return server
