"""REST: stopping the run of a launch."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from panel.access.actions import Action
from panel.launches.found import found_launch
from panel.launches.serializers import LaunchSerializer, StopRequestSerializer
from panel.launches.stopping import request_stop
from panel.strict import StrictQuery


class LaunchStopRequest(StrictQuery):
    """Ending the run of a launch, one's own or another's."""

    actions = {"POST": Action.LAUNCH}

    @extend_schema(request=StopRequestSerializer, responses={202: LaunchSerializer, 200: LaunchSerializer})
    def post(self, request: Request, launch_id: UUID) -> Response:
        """Store the wish; the worker has Airflow mark the run failed, and ``stop`` says what became of it.

        200 when somebody has asked for it already. 409 ``use_cancel`` while nothing was sent, ``not_running`` when the
        run is over.
        """
        body = StopRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        launch = found_launch(launch_id)
        asked = request_stop(user=cast(User, request.user), launch=launch, **body.validated_data)
        answer = LaunchSerializer(found_launch(launch_id), context={"request": request})
        return Response(answer.data, status=status.HTTP_202_ACCEPTED if asked.created else status.HTTP_200_OK)
