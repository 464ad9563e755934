"""REST: the launch form of a Dag, launching, and launches."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from panel.access.actions import Action
from panel.launches import selectors
from panel.launches.dag_forms import read_form
from panel.launches.models import Launch
from panel.launches.serializers import FormSerializer, LaunchRequestSerializer, LaunchSerializer
from panel.launches.services import cancel_launch, request_launch
from panel.launches.states import State
from panel.problems import BadRequest
from panel.servers.models import Server
from panel.servers.selectors import server as server_by_slug
from panel.strict import StrictQuery


class LaunchForm(StrictQuery):
    """The fields to fill in to launch a Dag, as Airflow has them now (or had them, when it cannot be reached)."""

    actions = {"GET": Action.VIEW}

    @extend_schema(responses=FormSerializer)
    def get(self, request: Request, slug: str, dag_id: str) -> Response:
        reading = read_form(server=_server(slug), dag_id=dag_id)
        form = reading.form
        answer = {
            "server": slug,
            "dag_id": dag_id,
            "title": form.display_name or dag_id,
            "description": form.description,
            "is_paused": form.is_paused,
            "can_launch": not reading.obstacle,
            "obstacle": reading.obstacle,
            "warnings": reading.warnings,
            "read_at": form.read_at,
            "fields": reading.fields,
        }
        return Response(FormSerializer(answer).data)


class DagLaunches(StrictQuery):
    """Launching a Dag."""

    actions = {"POST": Action.LAUNCH}

    @extend_schema(request=LaunchRequestSerializer, responses={201: LaunchSerializer, 200: LaunchSerializer})
    def post(self, request: Request, slug: str, dag_id: str) -> Response:
        """Store a launch; the worker submits it. Bad params answer 422 with messages by param, and nothing starts."""
        server = _server(slug)
        body = LaunchRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        launch, created = request_launch(
            user=cast(User, request.user), server=server, dag_id=dag_id, **body.validated_data
        )
        answer = LaunchSerializer(launch, context={"request": request})
        return Response(answer.data, status=status.HTTP_201_CREATED if created else status.HTTP_200_OK)


@extend_schema(
    parameters=[
        OpenApiParameter("server", str, description="Slug of a server"),
        OpenApiParameter("dag_id", str),
        OpenApiParameter("state", str, many=True, enum=State.values),
    ]
)
class LaunchList(StrictQuery, ListAPIView[Launch]):
    """Launches, newest first."""

    actions = {"GET": Action.VIEW}
    serializer_class = LaunchSerializer
    filters = frozenset({"server", "dag_id", "state"})
    orderings = {"created_at": "created_at"}
    default_ordering = "-created_at"

    def get_queryset(self) -> QuerySet[Launch]:
        query = self.request.query_params
        states = [state for state in query.getlist("state") if state]
        if unknown := set(states) - set(State.values):
            known = ", ".join(State.values)
            raise BadRequest(
                _("There is no such state: %(names)s.") % {"names": ", ".join(sorted(unknown))[:200]},
                {"state": [_("One of %(known)s.") % {"known": known}]},
            )
        return selectors.launches(server=query.get("server", ""), dag_id=query.get("dag_id", ""), states=states)


class LaunchDetail(StrictQuery):
    """One launch."""

    actions = {"GET": Action.VIEW}

    @extend_schema(responses=LaunchSerializer)
    def get(self, request: Request, launch_id: UUID) -> Response:
        return Response(LaunchSerializer(_launch(launch_id), context={"request": request}).data)


class LaunchCancel(StrictQuery):
    """Taking a launch back as long as nothing was sent to Airflow; 409 after that."""

    actions = {"POST": Action.LAUNCH}

    @extend_schema(request=None, responses=LaunchSerializer)
    def post(self, request: Request, launch_id: UUID) -> Response:
        launch = cancel_launch(user=cast(User, request.user), launch=_launch(launch_id))
        return Response(LaunchSerializer(launch, context={"request": request}).data)


def _server(slug: str) -> Server:
    try:
        return server_by_slug(slug)
    except Server.DoesNotExist as error:
        raise Http404(_("There is no server with this short name.")) from error


def _launch(launch_id: UUID) -> Launch:
    try:
        return selectors.launch(launch_id)
    except Launch.DoesNotExist as error:
        raise Http404(_("There is no launch with this id.")) from error
