"""REST: the audit trail, for administrators."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from panel.access import selectors
from panel.access.actions import Action
from panel.access.models import AuditEvent
from panel.strict import StrictQuery


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    server = serializers.CharField(source="server_slug")
    user = serializers.CharField(source="username")
    detail = serializers.DictField()

    class Meta:
        model = AuditEvent
        fields = ["id", "at", "user", "action", "server", "target_kind", "target_id", "detail"]
        read_only_fields = fields


class AuditList(StrictQuery, ListAPIView[AuditEvent]):
    """Who changed what, newest first."""

    actions = {"GET": Action.SEE_AUDIT}
    serializer_class = AuditEventSerializer
    filters = frozenset({"user", "action", "target"})
    orderings = {"at": "pk"}
    default_ordering = "-at"

    def get_queryset(self) -> QuerySet[AuditEvent]:
        query = self.request.query_params
        return selectors.audit_events(
            username=query.get("user", ""), action=query.get("action", ""), target=query.get("target", "")
        )

    @extend_schema(
        parameters=[
            OpenApiParameter("user", str, description="A user name, exactly."),
            OpenApiParameter("action", str, description="Such as servers.update."),
            OpenApiParameter("target", str, description="The id of a target, a server's slug, or a kind of target."),
        ]
    )
    def get(self, request: Request) -> Response:
        return super().get(request)
