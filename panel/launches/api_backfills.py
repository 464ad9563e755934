"""REST: looking at what a backfill would be, asking for one, following and steering it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from panel.access.actions import Action
from panel.launches import backfill_selectors
from panel.launches.backfill_looks import look_at_backfill
from panel.launches.backfill_serializers import (
    BackfillLookRequestSerializer,
    BackfillLookSerializer,
    BackfillRequestSerializer,
    BackfillRunSerializer,
    BackfillSerializer,
    asked_of,
)
from panel.launches.backfill_states import RUN_STATES, BackfillState
from panel.launches.backfills import cancel_backfill, pause_backfill, request_backfill, resume_backfill
from panel.launches.found import found_backfill, found_server
from panel.launches.models import Backfill, BackfillRun
from panel.problems import BadRequest
from panel.strict import StrictQuery


class BackfillDryRun(StrictQuery):
    """What a backfill would be: its dates by Airflow's own dry run, and a forecast. Nothing is started."""

    actions = {"POST": Action.LAUNCH}

    @extend_schema(request=BackfillLookRequestSerializer, responses=BackfillLookSerializer)
    def post(self, request: Request, slug: str, dag_id: str) -> Response:
        server = found_server(slug)
        body = BackfillLookRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        look = look_at_backfill(
            user=cast(User, request.user), server=server, dag_id=dag_id, asked=asked_of(body.validated_data)
        )
        answer = {
            "dates": look.dates,
            "forecast": look.forecast,
            "obstacles": look.obstacles,
            "confirm": look.protection.word if look.protection else "",
        }
        return Response(BackfillLookSerializer(answer).data)


class DagBackfills(StrictQuery):
    """Asking for a backfill of a Dag."""

    actions = {"POST": Action.LAUNCH}

    @extend_schema(request=BackfillRequestSerializer, responses={200: BackfillSerializer, 201: BackfillSerializer})
    def post(self, request: Request, slug: str, dag_id: str) -> Response:
        """Store a backfill; the worker submits it. 409 while another one of the Dag is not over, in a freeze, and where
        launches need approval (unless an admin asks); a protected one answers 422 until ``confirm`` holds the word that
        the message names.
        """
        server = found_server(slug)
        body = BackfillRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        backfill, created = request_backfill(
            user=cast(User, request.user),
            server=server,
            dag_id=dag_id,
            asked=asked_of(given),
            idempotency_key=given["idempotency_key"],
            confirm=given["confirm"],
        )
        answer = BackfillSerializer(backfill, context={"request": request})
        return Response(answer.data, status=status.HTTP_201_CREATED if created else status.HTTP_200_OK)


@extend_schema(
    parameters=[
        OpenApiParameter("server", str, description="Slug of a server"),
        OpenApiParameter("dag_id", str),
        OpenApiParameter("state", str, many=True, enum=BackfillState.values),
    ]
)
class BackfillList(StrictQuery, ListAPIView[Backfill]):
    """Backfills asked for here, newest first."""

    actions = {"GET": Action.VIEW}
    serializer_class = BackfillSerializer
    filters = frozenset({"server", "dag_id", "state"})
    orderings = {"created_at": "created_at"}
    default_ordering = "-created_at"

    def get_queryset(self) -> QuerySet[Backfill]:
        query = self.request.query_params
        states = _states(query.getlist("state"), BackfillState.values)
        server, dag_id = query.get("server", ""), query.get("dag_id", "")
        return backfill_selectors.backfills(server=server, dag_id=dag_id, states=states)


class BackfillDetail(StrictQuery):
    """One backfill."""

    actions = {"GET": Action.VIEW}

    @extend_schema(responses=BackfillSerializer)
    def get(self, request: Request, backfill_id: UUID) -> Response:
        return Response(BackfillSerializer(found_backfill(backfill_id), context={"request": request}).data)


@extend_schema(parameters=[OpenApiParameter("state", str, many=True, enum=RUN_STATES)])
class BackfillRuns(StrictQuery, ListAPIView[BackfillRun]):
    """The runs of a backfill, in the order in which they start."""

    actions = {"GET": Action.VIEW}
    serializer_class = BackfillRunSerializer
    queryset = BackfillRun.objects.none()
    filters = frozenset({"state"})
    orderings = {"position": "position"}
    default_ordering = "position"

    def get_queryset(self) -> QuerySet[BackfillRun]:
        states = _states(self.request.query_params.getlist("state"), RUN_STATES)
        runs = backfill_selectors.runs_of(found_backfill(self.kwargs["backfill_id"]))
        return runs.filter(state__in=states) if states else runs


class _Steering(StrictQuery):
    actions = {"POST": Action.LAUNCH}
    verb: Callable[..., Backfill]

    def _steered(self, request: Request, backfill_id: UUID) -> Response:
        backfill = type(self).verb(user=cast(User, request.user), backfill=found_backfill(backfill_id))
        return Response(BackfillSerializer(backfill, context={"request": request}).data)


class BackfillPause(_Steering):
    """Have Airflow start no further runs of it; those that run go on."""

    verb = staticmethod(pause_backfill)

    @extend_schema(request=None, responses=BackfillSerializer)
    def post(self, request: Request, backfill_id: UUID) -> Response:
        return self._steered(request, backfill_id)


class BackfillResume(_Steering):
    """Have Airflow start runs of a paused one again; 409 in a freeze."""

    verb = staticmethod(resume_backfill)

    @extend_schema(request=None, responses=BackfillSerializer)
    def post(self, request: Request, backfill_id: UUID) -> Response:
        return self._steered(request, backfill_id)


class BackfillCancel(_Steering):
    """Take it back while nothing was sent; else Airflow marks its queued runs failed, and those that run go on."""

    verb = staticmethod(cancel_backfill)

    @extend_schema(request=None, responses=BackfillSerializer)
    def post(self, request: Request, backfill_id: UUID) -> Response:
        return self._steered(request, backfill_id)


def _states(given: list[str], known: Any) -> list[str]:
    """Raises BadRequest for a state that there is not."""
    states = [state for state in given if state]
    if unknown := set(states) - set(known):
        raise BadRequest(
            _("There is no such state: %(names)s.") % {"names": ", ".join(sorted(unknown))[:200]},
            {"state": [_("One of %(known)s.") % {"known": ", ".join(known)}]},
        )
    return states
