"""Reading servers."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, Max, Q, QuerySet

from panel.servers.models import Server


def servers() -> QuerySet[Server]:
    return Server.objects.order_by("slug")


def servers_version() -> str:
    """Changes whenever the list of servers shows something new, for the page that polls it."""
    seen = Server.objects.aggregate(
        servers=Count("pk"),
        healthy=Count("pk", filter=Q(healthy=True)),
        checked=Count("checked_at"),
        checked_at=Max("checked_at"),
        last_error_at=Max("last_error_at"),
    )
    return "-".join(
        str(int(value.timestamp() * 1_000_000)) if isinstance(value, datetime) else str(value or 0)
        for value in seen.values()
    )


def server(slug: str) -> Server:
    """Raises Server.DoesNotExist."""
    return Server.objects.get(slug=slug)


def server_by_id(server_id: int) -> Server:
    """Raises Server.DoesNotExist."""
    return Server.objects.get(pk=server_id)
