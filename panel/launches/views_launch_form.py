"""Pages: the form one launches by - the bare one of a Dag, or a launch form - and the options of its fields."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.airflow import AirflowError
from panel.launches import forms, selectors
from panel.launches.comparison import compared
from panel.launches.dag_forms import read_form
from panel.launches.form_pages import form_unavailable
from panel.launches.form_rights import form_to_use, is_form_admin, may_use_bare_form, usable_forms, visible_form
from panel.launches.forms import LaunchForm
from panel.launches.found import found_server
from panel.launches.guard_rails import freeze_words, guard_rails_of, protection_of
from panel.launches.models import FormDefinition
from panel.launches.prefills import prefill
from panel.launches.presets import add_preset, may_change, presets_of, teams_of
from panel.launches.rollback import rollback_asked_for
from panel.launches.services import request_launch
from panel.launches.shaped_fields import ShapedFields, shaped
from panel.problems import Conflicting, Problem
from panel.servers.models import Server

TEMPLATE = "launches/launch_form.html"


@requires(Action.LAUNCH)
@require_http_methods(["GET", "POST"])
def launch_form(request: HttpRequest, slug: str, dag_id: str) -> HttpResponseBase:
    """``?form=`` names a launch form; ``from``, ``run``, ``preset``, ``p.NAME`` and ``none`` fill it in."""
    server, user = found_server(slug), cast(User, request.user)
    wanted = request.GET.get("form", "")
    if not wanted and not may_use_bare_form(user, server, dag_id):
        return _choose_form(request, server, dag_id)
    try:
        reading = read_form(server=server, dag_id=dag_id)
    except AirflowError as error:
        return form_unavailable(request, server, dag_id, error)
    shape = shaped(reading.fields, _definition(user, server, dag_id, wanted))
    zone = timezone.get_current_timezone()
    if request.method == "POST":
        return _submitted(request, server, LaunchForm(reading, shape, zone, dict(request.POST.lists())))
    start = prefill(user=user, server=server, shape=shape, dag_id=dag_id, query=request.GET)
    back = rollback_asked_for(request.GET.get("rollback", ""), start.launch)
    return _form_page(request, server, LaunchForm(reading, shape, zone, start=start), rollback=back)


@requires(Action.LAUNCH)
@require_GET
def launch_options(request: HttpRequest, slug: str, dag_id: str) -> HttpResponse:
    """One field with the options that it has now: ``param``, beside what stands in it and in the one that decides."""
    server = found_server(slug)
    try:
        reading = read_form(server=server, dag_id=dag_id)
    except AirflowError as error:
        return form_unavailable(request, server, dag_id, error)
    shape = shaped(reading.fields, _definition(cast(User, request.user), server, dag_id, request.GET.get("form", "")))
    name = request.GET.get("param", "")
    if name not in shape.options:
        raise Http404(_("This form has no such field with options of its own."))
    form = LaunchForm(reading, shape, timezone.get_current_timezone(), dict(request.GET.lists()))
    control = form.control_of(name)
    control.errors = []
    return render(request, "launches/_field.html", {"control": control})


def _definition(user: User, server: Server, dag_id: str, slug: str) -> FormDefinition | None:
    """Admins also look at a form that is switched off; the service launches nothing through it."""
    if not slug:
        return None
    return visible_form(user, server, dag_id, slug) or form_to_use(user, server, dag_id, slug)


def _choose_form(request: HttpRequest, server: Server, dag_id: str) -> HttpResponseBase:
    """This Dag is launched through its forms only: the one there is, or a choice."""
    found = list(usable_forms(request.user, server=server, dag_id=dag_id))
    if len(found) == 1 and request.method == "GET":
        query = request.GET.copy()
        query["form"] = found[0].slug
        url = reverse("launches:launch_form", kwargs={"slug": server.slug, "dag_id": dag_id})
        return redirect(f"{url}?{query.urlencode()}")
    if request.method == "POST":
        form_to_use(cast(User, request.user), server, dag_id, "")
    return redirect("launches:dag_forms", slug=server.slug, dag_id=dag_id)


def _submitted(request: HttpRequest, server: Server, form: LaunchForm) -> HttpResponseBase:
    if {forms.BACK, forms.OPTIONS, forms.LINK} & set(request.POST):
        form.forget_errors()
        return _form_page(request, server, form, shows_link=forms.LINK in request.POST)
    if forms.SAVE_PRESET in request.POST:
        return _preset_saved(request, server, form)
    if form.changes_view or not form.is_good:
        status = HTTPStatus.OK if form.has_changed_view else HTTPStatus.UNPROCESSABLE_ENTITY
        return _form_page(request, server, form, status=status)
    try:
        requested = request_launch(
            user=cast(User, request.user),
            server=server,
            dag_id=form.reading.form.dag_id,
            params=form.values,
            note=form.note,
            idempotency_key=form.key,
            confirm=form.confirm,
            reading=form.reading,
            form=form.shape.slug,
        )
    except Problem as problem:
        if problem.code == "confirmation_needed":
            return _confirm_page(request, server, form)
        form.add(problem.message, problem.fields)
        if isinstance(problem, Conflicting) or "idempotency_key" in problem.fields:
            form.renew_key()
        return _form_page(request, server, form, status=problem.http_status)
    return redirect("launches:launch_detail", launch_id=requested.launch.pk)


def _preset_saved(request: HttpRequest, server: Server, form: LaunchForm) -> HttpResponseBase:
    """Keeps what is right; what is missing or wrong, and secrets, are left out and named."""
    dag_id, slug = form.reading.form.dag_id, form.shape.slug
    try:
        preset = add_preset(
            user=cast(User, request.user),
            server=server,
            dag_id=dag_id,
            form=slug,
            name=form.texts[forms.PRESET_NAME],
            team=form.texts[forms.PRESET_TEAM],
            params=form.kept_values,
        )
    except Problem as problem:
        return _form_page(request, server, form, status=problem.http_status, preset_problem=problem)
    messages.success(request, _("The preset “%(name)s” is kept.") % {"name": preset.name})
    if form.left_out:
        said = _("Not in it, to be entered each time: %(titles)s.") % {"titles": ", ".join(form.left_out)[:500]}
        messages.info(request, said)
    query = {"form": slug} if slug else {}
    url = reverse("launches:launch_form", kwargs={"slug": server.slug, "dag_id": dag_id})
    return redirect(f"{url}?{urlencode(query | {'preset': preset.pk})}")


def _form_page(
    request: HttpRequest, server: Server, form: LaunchForm, status: int = HTTPStatus.OK, **more: Any
) -> HttpResponse:
    user, dag_id = cast(User, request.user), form.reading.form.dag_id
    context = _context(server, form) | {
        "freeze": freeze_words(server, dag_id),
        "rails": guard_rails_of(server, dag_id),
        "presets": list(presets_of(user, server, dag_id, form.shape.definition)),
        "preset": form.start.preset if form.start else None,
        "teams": teams_of(user),
        "other_forms": [one for one in usable_forms(user, server=server, dag_id=dag_id) if one.slug != form.shape.slug],
        "is_form_admin": is_form_admin(user),
        **more,
    }
    if context["preset"] is not None:
        context["may_change_preset"] = may_change(user, context["preset"])
    if more.get("shows_link") and form.link:
        url = reverse("launches:launch_form", kwargs={"slug": server.slug, "dag_id": dag_id})
        context["link"] = request.build_absolute_uri(f"{url}?{form.link}")
    return render(request, _part_of(request), context, status=status)


def _confirm_page(request: HttpRequest, server: Server, form: LaunchForm) -> HttpResponse:
    dag_id = form.reading.form.dag_id
    context = _context(server, form) | {
        "protection": protection_of(server, dag_id, form.reading.fields, form.values, form.shape.definition),
        "comparison": compared(form.shape.ordered, form.values, selectors.last_launch(server, dag_id)),
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.confirm else HTTPStatus.OK
    return render(request, _part_of(request), context, status=status)


def _context(server: Server, form: LaunchForm) -> dict[str, Any]:
    shape: ShapedFields = form.shape
    return {
        "server": server,
        "dag": form.reading.form,
        "reading": form.reading,
        "form": form,
        "definition": shape.definition,
        "form_query": f"?{urlencode({'form': shape.slug})}" if shape.slug else "",
        "options_url": _options_url(server, form),
    }


def _options_url(server: Server, form: LaunchForm) -> str:
    url = reverse("launches:launch_options", kwargs={"slug": server.slug, "dag_id": form.reading.form.dag_id})
    return f"{url}?{urlencode({'form': form.shape.slug})}"


def _part_of(request: HttpRequest) -> str:
    return f"{TEMPLATE}#launch-form" if request.method == "POST" and getattr(request, "htmx", False) else TEMPLATE
