"""Pages: one preset, renaming and deleting it. Presets are made on the form they are for."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from panel.access.actions import Action
from panel.access.decorators import requires
from panel.launches.dag_forms import known_fields
from panel.launches.found import found_preset
from panel.launches.models import Preset
from panel.launches.prefills import misfits
from panel.launches.presets import change_preset, delete_preset, may_change, shown_params
from panel.launches.shaped_fields import shaped
from panel.problems import Problem


@requires(Action.LAUNCH)
@require_GET
def preset_detail(request: HttpRequest, preset_id: int) -> HttpResponse:
    return _page(request, found_preset(cast(User, request.user), preset_id))


@requires(Action.LAUNCH)
@require_POST
def preset_rename(request: HttpRequest, preset_id: int) -> HttpResponseBase:
    user = cast(User, request.user)
    preset = found_preset(user, preset_id)
    version = request.POST.get("version", "")
    try:
        change_preset(
            user=user,
            preset=preset,
            name=request.POST.get("name", ""),
            version=int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0,
        )
    except Problem as problem:
        return _page(request, preset, problem=problem, typed=request.POST.get("name", ""))
    messages.success(request, _("The preset has its new name."))
    return redirect("launches:preset_detail", preset_id=preset_id)


@requires(Action.LAUNCH)
@require_POST
def preset_delete(request: HttpRequest, preset_id: int) -> HttpResponseBase:
    user = cast(User, request.user)
    preset = found_preset(user, preset_id)
    delete_preset(user=user, preset=preset)
    messages.success(request, _("The preset “%(name)s” is deleted.") % {"name": preset.name})
    return redirect(_form_url(preset))


def _page(request: HttpRequest, preset: Preset, *, problem: Problem | None = None, typed: str = "") -> HttpResponse:
    fields = known_fields(preset.server, preset.dag_id)
    context = {
        "preset": preset,
        "server": preset.server,
        "values": shown_params(preset, fields),
        "misfits": misfits(shaped(fields, preset.form), preset.params) if fields else [],
        "may_change": may_change(cast(User, request.user), preset),
        "apply_url": _form_url(preset, {"preset": str(preset.pk)}),
        "problem": problem,
        "name": typed if problem else preset.name,
    }
    status = problem.http_status if problem else HTTPStatus.OK
    return render(request, "launches/preset_detail.html", context, status=status)


def _form_url(preset: Preset, more: dict[str, str] | None = None) -> str:
    url = reverse("launches:launch_form", kwargs={"slug": preset.server.slug, "dag_id": preset.dag_id})
    query = ({"form": preset.form.slug} if preset.form else {}) | (more or {})
    return f"{url}?{urlencode(query)}" if query else url
