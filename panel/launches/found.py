"""What an address names, or a 404 that says what is missing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404
from django.utils.translation import gettext as _

from panel.launches import backfill_selectors, selectors
from panel.launches.form_rights import definition, visible_form
from panel.launches.models import Backfill, FormDefinition, Launch, Preset
from panel.launches.presets import visible_presets
from panel.servers.models import Server
from panel.servers.selectors import server as server_by_slug


def found_server(slug: str) -> Server:
    try:
        return server_by_slug(slug)
    except Server.DoesNotExist as error:
        raise Http404(_("There is no server with this short name.")) from error


def found_launch(launch_id: UUID) -> Launch:
    try:
        return selectors.launch(launch_id)
    except Launch.DoesNotExist as error:
        raise Http404(_("There is no launch with this id.")) from error


def launch_id_of(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def found_form(server: Server, dag_id: str, slug: str) -> FormDefinition:
    found = definition(server, dag_id, slug)
    if found is None:
        raise Http404(_("This Dag has no such launch form."))
    return found


def found_preset(user: User, preset_id: int) -> Preset:
    """One that this person may see."""
    preset = visible_presets(user).filter(pk=preset_id).first()
    if preset is None:
        raise Http404(_("There is no such preset, or none that you may see."))
    return preset


def usable_form(user: Any, server: Server, dag_id: str, slug: str) -> FormDefinition:
    """One that this person may see; the others are not there for them."""
    found = visible_form(user, server, dag_id, slug)
    if found is None:
        raise Http404(_("This Dag has no such launch form, or none that you may use."))
    return found


def found_backfill(backfill_id: UUID) -> Backfill:
    try:
        return backfill_selectors.backfill(backfill_id)
    except Backfill.DoesNotExist as error:
        raise Http404(_("There is no backfill with this id.")) from error
