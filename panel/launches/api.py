"""REST: the launch form of a Dag, launching, and launches."""

from __future__ import annotations

from typing import Final, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from panel.access.actions import Action
from panel.launches import exports
from panel.launches.approvals import approve_launch, reject_launch
from panel.launches.dag_forms import read_form
from panel.launches.filters import NAMES, filters_from
from panel.launches.form_rights import only_forms
from panel.launches.found import found_launch, found_server, usable_form
from panel.launches.guard_rails import freeze_words
from panel.launches.models import Launch
from panel.launches.presets import preset_params
from panel.launches.serializers import (
    ApprovalSerializer,
    FormSerializer,
    LaunchDetailSerializer,
    LaunchRequestSerializer,
    LaunchSerializer,
    RejectionSerializer,
)
from panel.launches.services import cancel_launch, request_launch
from panel.launches.shaped_fields import shaped
from panel.launches.states import State
from panel.problems import BadRequest
from panel.strict import StrictQuery


class LaunchForm(StrictQuery):
    """The fields to fill in to launch a Dag, as Airflow has them now (or had them, when it cannot be reached); with
    ``form`` as that launch form shows them."""

    actions = {"GET": Action.VIEW}
    filters = frozenset({"form"})

    @extend_schema(
        parameters=[OpenApiParameter("form", str, description="Short name of a launch form")], responses=FormSerializer
    )
    def get(self, request: Request, slug: str, dag_id: str) -> Response:
        server = found_server(slug)
        wanted = request.query_params.get("form", "")
        definition = usable_form(request.user, server, dag_id, wanted) if wanted else None
        reading = read_form(server=server, dag_id=dag_id)
        form, shape = reading.form, shaped(reading.fields, definition)
        obstacle = " ".join([reading.obstacle, *shape.obstacles]).strip()
        answer = {
            "server": slug,
            "dag_id": dag_id,
            "title": definition.title if definition else form.display_name or dag_id,
            "description": form.description,
            "is_paused": form.is_paused,
            "can_launch": not obstacle,
            "obstacle": obstacle,
            "warnings": reading.warnings,
            "frozen": freeze_words(server, dag_id),
            "read_at": form.read_at,
            "form": shape.slug,
            "text": definition.text if definition else "",
            "button": definition.button if definition else "",
            "fixed": shape.fixed,
            "only_forms": only_forms(server, dag_id),
            "fields": shape.shown,
        }
        return Response(FormSerializer(answer).data)


class DagLaunches(StrictQuery):
    """Launching a Dag."""

    actions = {"POST": Action.LAUNCH}

    @extend_schema(
        request=LaunchRequestSerializer,
        responses={201: LaunchSerializer, 202: LaunchSerializer, 200: LaunchSerializer},
    )
    def post(self, request: Request, slug: str, dag_id: str) -> Response:
        """Store a launch; the worker submits it. Bad params answer 422 with messages by param, and nothing starts.

        A protected one that needs approval answers 202 and waits for somebody else; one that only has to be confirmed
        answers 422 until ``confirm`` holds the word that the message names.
        """
        server = found_server(slug)
        body = LaunchRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given, user = dict(body.validated_data), cast(User, request.user)
        preset_id = given.pop("preset")
        if preset_id is not None:
            place = {"server": server, "dag_id": dag_id, "form": given["form"]}
            given["params"] = preset_params(user=user, preset_id=preset_id, params=given["params"], **place)
        launch, created = request_launch(user=user, server=server, dag_id=dag_id, **given)
        answer = LaunchSerializer(launch, context={"request": request})
        if not created:
            return Response(answer.data)
        waits = launch.state == State.AWAITING_APPROVAL
        return Response(answer.data, status=status.HTTP_202_ACCEPTED if waits else status.HTTP_201_CREATED)


FILTERS: Final = [
    OpenApiParameter("server", str, description="Slug of a server"),
    OpenApiParameter("dag_id", str),
    OpenApiParameter("state", str, many=True, enum=State.values),
    OpenApiParameter("requested_by", str, description="Name of the user"),
    OpenApiParameter("from", str, description="Asked for on this day (2026-11-22) or at this moment, or later."),
    OpenApiParameter("to", str, description="Asked for on this day or earlier, or before this moment."),
    OpenApiParameter("q", str, description="Anywhere in note or values (also as name=value), in any case; no secrets."),
    OpenApiParameter("protected", bool),
]


@extend_schema(parameters=FILTERS)
class LaunchList(StrictQuery, ListAPIView[Launch]):
    """Launches, newest first."""

    actions = {"GET": Action.VIEW}
    serializer_class = LaunchSerializer
    filters = frozenset(NAMES)
    orderings = {"created_at": "created_at"}
    default_ordering = "-created_at"

    def get_queryset(self) -> QuerySet[Launch]:
        return filters_from(self.request.query_params).chosen


class LaunchExport(StrictQuery):
    """The filtered history as a stream, newest first: ``format=csv`` (formulas made plain) or ``jsonl``."""

    actions = {"GET": Action.VIEW}
    filters = frozenset({*NAMES, "format"})

    @extend_schema(
        parameters=[OpenApiParameter("format", str, enum=sorted(exports.CONTENT_TYPES)), *FILTERS],
        responses={(200, "text/csv"): str, (200, "application/jsonl"): str},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        wanted = request.query_params.get("format") or "csv"
        if wanted not in exports.CONTENT_TYPES:
            raise BadRequest(_("There is no such format."), {"format": [_("csv or jsonl.")]})
        lines = exports.lines(filters_from(request.query_params).chosen, wanted)
        answer = StreamingHttpResponse(lines, content_type=exports.CONTENT_TYPES[wanted])
        answer["Content-Disposition"] = f'attachment; filename="launches.{wanted}"'
        return answer


class LaunchDetail(StrictQuery):
    """One launch."""

    actions = {"GET": Action.VIEW}

    @extend_schema(responses=LaunchDetailSerializer)
    def get(self, request: Request, launch_id: UUID) -> Response:
        return Response(LaunchDetailSerializer(found_launch(launch_id), context={"request": request}).data)


class LaunchApprove(StrictQuery):
    """Saying yes to a protected launch of somebody else; it is sent then."""

    actions = {"POST": Action.LAUNCH}

    @extend_schema(request=ApprovalSerializer, responses=LaunchSerializer)
    def post(self, request: Request, launch_id: UUID) -> Response:
        body = ApprovalSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        user = cast(User, request.user)
        launch = approve_launch(user=user, launch=found_launch(launch_id), **body.validated_data)
        return Response(LaunchSerializer(launch, context={"request": request}).data)


class LaunchReject(StrictQuery):
    """Saying no to a protected launch of somebody else, with the reason."""

    actions = {"POST": Action.LAUNCH}

    @extend_schema(request=RejectionSerializer, responses=LaunchSerializer)
    def post(self, request: Request, launch_id: UUID) -> Response:
        body = RejectionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        user = cast(User, request.user)
        launch = reject_launch(user=user, launch=found_launch(launch_id), **body.validated_data)
        return Response(LaunchSerializer(launch, context={"request": request}).data)


class LaunchCancel(StrictQuery):
    """Taking a launch back as long as nothing was sent to Airflow; 409 after that."""

    actions = {"POST": Action.LAUNCH}

    @extend_schema(request=None, responses=LaunchSerializer)
    def post(self, request: Request, launch_id: UUID) -> Response:
        launch = cancel_launch(user=cast(User, request.user), launch=found_launch(launch_id))
        return Response(LaunchSerializer(launch, context={"request": request}).data)
