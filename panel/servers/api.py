"""REST: the servers, without anything that is secret."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.generics import ListAPIView

from panel.access.actions import Action
from panel.servers import selectors
from panel.servers.models import Server
from panel.strict import StrictQuery


class ServerSerializer(serializers.ModelSerializer[Server]):
    class Meta:
        model = Server
        fields = [
            "slug",
            "name",
            "base_url",
            "version",
            "healthy",
            "last_error",
            "last_error_at",
            "unreachable_since",
            "last_success_at",
            "checked_at",
        ]
        read_only_fields = fields


class ServerList(StrictQuery, ListAPIView[Server]):
    """The Airflow servers, how they are and since when."""

    actions = {"GET": Action.VIEW}
    serializer_class = ServerSerializer
    orderings = {"slug": "slug"}
    default_ordering = "slug"

    def get_queryset(self) -> QuerySet[Server]:
        return selectors.servers()
