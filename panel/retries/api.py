"""REST: previews of retries, retry jobs and their items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import QuerySet
from django.http import Http404, StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from panel.access.actions import Action
from panel.problems import BadRequest
from panel.retries import exports, mailing, selectors, services
from panel.retries.models import RetryItem, RetryJob
from panel.retries.report import report_of
from panel.retries.serializers import (
    AskSerializer,
    ItemSerializer,
    JobSerializer,
    OneJobSerializer,
    PreviewSerializer,
    ReportSerializer,
    RetrySerializer,
)
from panel.retries.states import ItemState, JobState
from panel.strict import StrictQuery


@contextmanager
def found() -> Iterator[None]:
    try:
        yield
    except ObjectDoesNotExist as error:
        raise Http404(_("Not found. Mapboard does not know it, or Airflow no longer has it.")) from error


class RetryPreview(StrictQuery):
    """What a retry would do."""

    actions = {"POST": Action.RETRY}

    @extend_schema(request=AskSerializer, responses=PreviewSerializer)
    def post(self, request: Request) -> Response:
        """Compare the selection with what Airflow says now. Nothing changes."""
        body = AskSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with found():
            preview = services.preview_retry(user=cast(User, request.user), ask=body.ask())
        return Response(PreviewSerializer(preview).data)


@extend_schema(
    methods=["GET"],
    parameters=[
        OpenApiParameter("server", str, description="Slug of a server"),
        OpenApiParameter("state", str, many=True, enum=JobState.values),
        OpenApiParameter("mapped_task", UUID, description="Jobs that took on indices of this mapped task"),
    ],
)
class JobList(StrictQuery, ListAPIView[RetryJob]):
    """Retry jobs, newest first."""

    actions = {"GET": Action.VIEW, "POST": Action.RETRY}
    serializer_class = JobSerializer
    queryset = RetryJob.objects.none()
    filters = frozenset({"server", "state", "mapped_task"})
    orderings = {"created_at": "created_at"}
    default_ordering = "-created_at"

    def get_queryset(self) -> QuerySet[RetryJob]:
        given = self.request.query_params
        jobs = selectors.jobs()
        if text := given.get("mapped_task"):
            jobs = selectors.jobs_of_mapped_task(_uuid(text, "mapped_task"))
        if states := _choices(given.getlist("state"), JobState.values, "state"):
            jobs = jobs.filter(state__in=states)
        return jobs.filter(server__slug=given["server"]) if given.get("server") else jobs

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        context = {**self.get_serializer_context(), "counts": selectors.counts_of(page)}
        return self.get_paginated_response(JobSerializer(page, many=True, context=context).data)

    @extend_schema(request=RetrySerializer, responses={201: JobSerializer, 200: JobSerializer})
    def post(self, request: Request) -> Response:
        """Retry. The same ``idempotency_key`` and body again answer 200 with the same job."""
        body = RetrySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        user, mails = cast(User, request.user), body.validated_data.get("mail_report", False)
        if mails:
            mailing.check_mail(user)
        with found():
            job, created = services.request_retry(
                user=user,
                ask=body.ask(),
                reason=body.validated_data["reason"],
                policy=body.policy(),
                idempotency_key=body.validated_data.get("idempotency_key") or "",
                plan_token=body.validated_data.get("plan_token") or "",
            )
        if mails:
            mailing.order_report(user=user, job=job)
        answer = JobSerializer(job, context={"request": request}).data
        return Response(answer, status=status.HTTP_201_CREATED if created else status.HTTP_200_OK)


class JobDetail(StrictQuery):
    """One retry job."""

    actions = {"GET": Action.VIEW}

    @extend_schema(responses=OneJobSerializer)
    def get(self, request: Request, job_id: UUID) -> Response:
        return Response(OneJobSerializer(_job(job_id), context={"request": request}).data)


@extend_schema(parameters=[OpenApiParameter("state", str, many=True, enum=ItemState.values)])
class JobItems(StrictQuery, ListAPIView[RetryItem]):
    """The items of a retry job, in the order in which they are sent."""

    actions = {"GET": Action.VIEW}
    serializer_class = ItemSerializer
    queryset = RetryItem.objects.none()
    filters = frozenset({"state"})
    orderings = {"position": "pk"}
    default_ordering = "position"

    def get_queryset(self) -> QuerySet[RetryItem]:
        items = selectors.items(_job(self.kwargs["job_id"]))
        states = _choices(self.request.query_params.getlist("state"), ItemState.values, "state")
        return items.filter(state__in=states) if states else items


class JobReport(StrictQuery):
    """What a job did, in numbers: final once it is over."""

    actions = {"GET": Action.VIEW}

    @extend_schema(responses=ReportSerializer)
    def get(self, request: Request, job_id: UUID) -> Response:
        return Response(ReportSerializer(report_of(_job(job_id))).data)


class JobExport(StrictQuery):
    """All items as a stream, in the order in which they are sent: ``format=csv`` (formulas made plain) or ``jsonl``."""

    actions = {"GET": Action.VIEW}
    filters = frozenset({"format"})

    @extend_schema(
        parameters=[OpenApiParameter("format", str, enum=sorted(exports.CONTENT_TYPES))],
        responses={(200, "text/csv"): str, (200, "application/jsonl"): str},
    )
    def get(self, request: Request, job_id: UUID) -> StreamingHttpResponse:
        wanted = request.query_params.get("format") or "csv"
        if wanted not in exports.CONTENT_TYPES:
            raise BadRequest(_("There is no such format."), {"format": [_("csv or jsonl.")]})
        job = _job(job_id)
        answer = StreamingHttpResponse(exports.lines(job, wanted), content_type=exports.CONTENT_TYPES[wanted])
        answer["Content-Disposition"] = f'attachment; filename="retry-{job.short_id}.{wanted}"'
        return answer


class JobChange(StrictQuery):
    """Takes effect between chunks; 409 when the job's state does not allow it."""

    actions = {"POST": Action.RETRY}
    change: ClassVar[Callable[..., RetryJob]]

    @extend_schema(request=None, responses=JobSerializer)
    def post(self, request: Request, job_id: UUID) -> Response:
        job = type(self).change(user=cast(User, request.user), job=_job(job_id))
        return Response(JobSerializer(job, context={"request": request}).data)


class JobPause(JobChange):
    """Send nothing more until somebody resumes it."""

    change = staticmethod(services.pause_job)


class JobResume(JobChange):
    """Go on with a paused job."""

    change = staticmethod(services.resume_job)


class JobStart(JobChange):
    """Start a scheduled job now."""

    change = staticmethod(services.start_job)


class JobCancel(JobChange):
    """Send nothing more, for good."""

    change = staticmethod(services.cancel_job)


def _job(job_id: UUID) -> RetryJob:
    with found():
        return selectors.job(job_id)


def _uuid(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise BadRequest(_("This filter takes an id."), {name: [_("Not an id.")]}) from error


def _choices(given: list[str], known: list[str], name: str) -> list[str]:
    if unknown := sorted(set(given) - set(known)):
        raise BadRequest(
            _("There is no such value for this filter."),
            {name: [_("“%(value)s” is none of %(known)s.") % {"value": unknown[0][:50], "known": ", ".join(known)}]},
        )
    return given
