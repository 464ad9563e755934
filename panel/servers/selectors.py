"""Reading servers."""

from __future__ import annotations

from django.db.models import QuerySet

from panel.servers.models import Server


def servers() -> QuerySet[Server]:
    return Server.objects.order_by("slug")


def server(slug: str) -> Server:
    """Raises Server.DoesNotExist."""
    return Server.objects.get(slug=slug)


def server_by_id(server_id: int) -> Server:
    """Raises Server.DoesNotExist."""
    return Server.objects.get(pk=server_id)
