"""What an address names, or a 404 that says what is missing."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404
from django.utils.translation import gettext as _

from panel.launches import backfill_selectors, selectors
from panel.launches.models import Backfill, Launch
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


def found_backfill(backfill_id: UUID) -> Backfill:
    try:
        return backfill_selectors.backfill(backfill_id)
    except Backfill.DoesNotExist as error:
        raise Http404(_("There is no backfill with this id.")) from error
