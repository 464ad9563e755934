"""REST: the guard rails of a Dag's launches, and freezes."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from panel.access.actions import Action
from panel.launches.found import found_server
from panel.launches.guard_rails import guard_rails_of
from panel.launches.guard_rails_changing import REASON_LENGTH, add_freeze, end_freeze, set_guard_rails
from panel.launches.models import FreezeWindow, GuardRails
from panel.strict import StrictQuery, StrictSerializer


class ProtectingValueSerializer(StrictSerializer):
    """A param and a value of it that protects a launch."""

    param = serializers.CharField(max_length=250)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {**super().get_fields(), "value": serializers.JSONField()}


class GuardRailsSerializer(StrictSerializer):
    """``launches_an_hour`` and ``active_runs``: null is no bound."""

    protects = serializers.ChoiceField(choices=GuardRails.Protects.choices)
    needs_approval = serializers.BooleanField(default=True)
    approval_hours = serializers.IntegerField(default=24)
    launches_an_hour = serializers.IntegerField(default=None, allow_null=True)
    active_runs = serializers.IntegerField(default=None, allow_null=True)
    unknown_params = serializers.BooleanField(
        default=False, help_text="Launches may give params that the Dag does not name."
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # As an attribute it would hide one of every serializer.
        return {**super().get_fields(), "values": ProtectingValueSerializer(many=True, default=list)}


class FreezeSerializer(StrictSerializer):
    """A time in which nothing of the Dag (of the whole server without one) is launched."""

    id = serializers.IntegerField(read_only=True)
    dag_id = serializers.CharField(default="", allow_blank=True, max_length=250)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=REASON_LENGTH)
    username = serializers.CharField(read_only=True)


class DagGuardRails(StrictQuery):
    """The guard rails of a Dag; ``PUT`` by admins sets all of them."""

    actions = {"GET": Action.VIEW, "PUT": Action.SET_GUARD_RAILS}

    @extend_schema(responses=GuardRailsSerializer)
    def get(self, request: Request, slug: str, dag_id: str) -> Response:
        rails = guard_rails_of(found_server(slug), dag_id)
        return Response(_told(rails or GuardRails()))

    @extend_schema(request=GuardRailsSerializer, responses=GuardRailsSerializer)
    def put(self, request: Request, slug: str, dag_id: str) -> Response:
        body = GuardRailsSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        columns = dict(body.validated_data)
        values = [(one["param"], one["value"]) for one in columns.pop("values")]
        user = cast(User, request.user)
        rails = set_guard_rails(user=user, server=found_server(slug), dag_id=dag_id, values=values, **columns)
        return Response(_told(rails))


class FreezeList(StrictQuery, ListAPIView[FreezeWindow]):
    """The freezes of a server and its Dags that have not ended."""

    actions = {"GET": Action.VIEW, "POST": Action.SET_GUARD_RAILS}
    serializer_class = FreezeSerializer
    queryset = FreezeWindow.objects.none()
    orderings = {"starts_at": "starts_at"}
    default_ordering = "starts_at"

    def get_queryset(self) -> QuerySet[FreezeWindow]:
        server = found_server(self.kwargs["slug"])
        return FreezeWindow.objects.filter(server=server, ends_at__gt=timezone.now())

    @extend_schema(request=FreezeSerializer, responses={201: FreezeSerializer})
    def post(self, request: Request, slug: str) -> Response:
        body = FreezeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        freeze = add_freeze(user=cast(User, request.user), server=found_server(slug), **body.validated_data)
        return Response(FreezeSerializer(freeze).data, status=status.HTTP_201_CREATED)


class FreezeDetail(StrictQuery):
    """Ending a freeze now; one that has not begun is taken away."""

    actions = {"DELETE": Action.SET_GUARD_RAILS}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, freeze_id: int) -> Response:
        found = FreezeWindow.objects.select_related("server").filter(pk=freeze_id, server=found_server(slug)).first()
        if found is None:
            raise Http404(_("There is no such freeze."))
        end_freeze(user=cast(User, request.user), freeze=found)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _told(rails: GuardRails) -> dict[str, Any]:
    return {
        "protects": rails.protects,
        "values": [{"param": name, "value": value} for name, value in rails.values],
        "needs_approval": rails.needs_approval,
        "approval_hours": rails.approval_hours,
        "launches_an_hour": rails.launches_an_hour,
        "active_runs": rails.active_runs,
        "unknown_params": rails.unknown_params,
    }
