"""Reading the audit trail."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from panel.access.models import AuditEvent


def audit_events(*, username: str = "", action: str = "", target: str = "") -> QuerySet[AuditEvent]:
    """What people did. ``target`` is the id of a target, the slug of a server or a kind of target; all exact."""
    events = AuditEvent.objects.all()
    if username:
        events = events.filter(username=username)
    if action:
        events = events.filter(action=action)
    if target:
        events = events.filter(Q(target_id=target) | Q(server_slug=target) | Q(target_kind=target))
    return events


def audit_actions() -> list[str]:
    """Every action there is a row of, for a choice."""
    return list(AuditEvent.objects.order_by("action").values_list("action", flat=True).distinct())
