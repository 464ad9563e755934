"""REST: Dags, runs, mapped tasks and their instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import QuerySet
from django.http import Http404, StreamingHttpResponse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from panel.access.actions import Action
from panel.airflow import AirflowError
from panel.domain.outcomes import Outcome
from panel.mirror import (
    error_groups,
    exports,
    instance_lists,
    live_reads,
    selectors,
    serializers,
    services,
    sync_requests,
)
from panel.mirror.filters import NAMES, selection_from
from panel.mirror.models import Dag, DagRun, Instance, MappedTask, SyncRequest, mapped_task_uuid
from panel.problems import BadRequest, Problem
from panel.servers.selectors import server as find_server
from panel.strict import StrictQuery

FILTERS: Final = [
    OpenApiParameter("outcome", str, many=True, enum=[outcome.value for outcome in Outcome]),
    OpenApiParameter("indices", str, description="An index expression: 3,17-40,55-"),
    OpenApiParameter("label", str, description="Anywhere in the label, in any case."),
    OpenApiParameter("error_group", str, many=True, description="Ids of error groups."),
    OpenApiParameter("try_number", int),
    OpenApiParameter("try_number_gte", int, description="This try or a later one."),
    OpenApiParameter("duration_gte", str, description="Seconds, or 1h 30m 15s; what has no duration yet is left out."),
    OpenApiParameter("duration_lte", str, description="As duration_gte."),
    OpenApiParameter("q", str, description="Anywhere in error type or message, in any case."),
]


class SyncFailed(Problem):
    """Airflow did not answer the worker as it should."""

    statuses: ClassVar[dict[str, int]] = {"airflow_unreachable": 503, "airflow_timed_out": 504}

    def __init__(self, request: SyncRequest) -> None:
        super().__init__(request.message, code=request.error_code)
        self.http_status = self.statuses.get(request.error_code, 502)


@contextmanager
def found() -> Iterator[None]:
    """What the mirror does not have is a 404."""
    try:
        yield
    except ObjectDoesNotExist as error:
        raise Http404(_("Not found. Mapboard does not know it, or Airflow no longer has it.")) from error


class DagList(StrictQuery, ListAPIView[Dag]):
    """The Dags of a server; ``mapped=true`` leaves out those without mapped tasks."""

    actions = {"GET": Action.VIEW}
    serializer_class = serializers.DagSerializer
    queryset = Dag.objects.none()
    filters = frozenset({"mapped"})
    orderings = {"dag_id": "dag_id"}
    default_ordering = "dag_id"

    def get_queryset(self) -> QuerySet[Dag]:
        wanted = self.request.query_params.get("mapped", "")
        if wanted not in {"", "true", "false"}:
            raise BadRequest(_("This filter is either true or false."), {"mapped": [_("true or false.")]})
        with found():
            server = find_server(self.kwargs["slug"])
        dags = selectors.dags_of(server, mapped_only=wanted == "true")
        return dags.filter(mapped_task_ids=[]) if wanted == "false" else dags

    @extend_schema(parameters=[OpenApiParameter("mapped", bool)])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class RunList(StrictQuery, ListAPIView[DagRun]):
    """The mirrored runs of a Dag, newest first, with their counts by outcome."""

    actions = {"GET": Action.VIEW}
    serializer_class = serializers.RunSerializer
    queryset = DagRun.objects.none()
    orderings = {"run_after": "run_after", "start_date": "start_date", "end_date": "end_date"}
    default_ordering = "-run_after"

    def get_queryset(self) -> QuerySet[DagRun]:
        with found():
            return selectors.runs_of(selectors.dag(self.kwargs["slug"], self.kwargs["dag_id"]))


class RunDetail(StrictQuery, GenericAPIView[DagRun]):
    """One run; one that is not mirrored yet is asked of Airflow."""

    actions = {"GET": Action.VIEW}
    serializer_class = serializers.RunSerializer

    def get(self, request: Request, slug: str, dag_id: str, run_id: str) -> Response:
        with found():
            server = find_server(slug)
            services.find_or_fetch_run(server=server, dag_id=dag_id, run_id=run_id)
            run = selectors.run(slug, dag_id, run_id)
        services.request_run_refresh(dag=run.dag, run_id=run_id)
        return Response(self.get_serializer(run).data)


class MappedTaskList(StrictQuery, ListAPIView[MappedTask]):
    """Mapped tasks, the one that changed last first."""

    actions = {"GET": Action.VIEW}
    serializer_class = serializers.MappedTaskSerializer
    queryset = MappedTask.objects.none()
    filters = frozenset({"server", "dag_id", "run_id", "task_id"})
    orderings = {"changed_at": "changed_at", "synced_at": "synced_at", "task_id": "task_id", "total": "total"}
    default_ordering = "-changed_at"

    def get_queryset(self) -> QuerySet[MappedTask]:
        given = self.request.query_params
        return selectors.mapped_tasks_matching({name: given[name] for name in self.filters if given.get(name)})

    @extend_schema(parameters=[OpenApiParameter(name, str) for name in ("server", "dag_id", "run_id", "task_id")])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class OneMappedTask(StrictQuery, GenericAPIView[Any]):
    """Views about one mapped task; looking at it keeps it fresh."""

    actions = {"GET": Action.VIEW}
    read: Callable[[UUID], MappedTask] = staticmethod(selectors.mapped_task_by_id)

    @cached_property
    def mapped_task(self) -> MappedTask:
        with found():
            mapped_task = self.read(self.kwargs["mapped_task_id"])
        services.request_refresh(mapped_task=mapped_task)
        return mapped_task


class MappedTaskDetail(OneMappedTask):
    """One mapped task with its counts and metrics."""

    serializer_class = serializers.MappedTaskSerializer

    def get(self, request: Request, mapped_task_id: UUID) -> Response:
        return Response(self.get_serializer(self.mapped_task).data)


class InstanceList(OneMappedTask, ListAPIView[Instance]):
    """The instances of a mapped task. ``number_…`` orders by a numeric field of the results, as the mapped task's
    ``result_fields`` say which is which."""

    serializer_class = serializers.InstanceSerializer
    queryset = Instance.objects.none()
    filters = frozenset(NAMES)
    orderings = instance_lists.ORDERINGS
    default_ordering = instance_lists.DEFAULT_ORDERING
    tiebreak = "map_index"
    known_count: int | None = None
    read = staticmethod(selectors.mapped_task_of_list)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response([*serializers.instance_rows(self.mapped_task, page)])

    def get_queryset(self) -> Any:
        selection = selection_from(self.request.query_params)
        found = instance_lists.matching(self.mapped_task, selection)
        self.known_count = found.count
        ordering = self.request.query_params.get("ordering") or self.default_ordering
        walked_by = self.orderings.get(ordering.removeprefix("-"), "")  # the paginator refuses an unknown one
        return found.rows(self.mapped_task, selection, walked_by=walked_by)

    @extend_schema(parameters=FILTERS)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class ErrorGroupList(OneMappedTask):
    """The error groups of a mapped task, the largest first; never paged."""

    serializer_class = serializers.ErrorGroupSerializer

    @extend_schema(responses=serializers.ErrorGroupListSerializer)
    def get(self, request: Request, mapped_task_id: UUID) -> Response:
        groups = error_groups.error_groups(self.mapped_task)
        rows = serializers.ErrorGroupSerializer(groups, many=True).data
        return Response({"results": rows, "count": len(groups), "next": None, "previous": None})


class InstanceDetail(OneMappedTask):
    """One instance: what the mirror knows, and its tries, input and whole result as Airflow tells them now."""

    serializer_class = serializers.InstanceDetailSerializer

    def get(self, request: Request, mapped_task_id: UUID, map_index: int) -> Response:
        with found():
            instance = selectors.instance(self.mapped_task, map_index)
        live: dict[str, Any] = {"tries": None, "rendered_fields": None, "whole_result": None, "live_error": ""}
        try:
            details = live_reads.read_details(instance=instance)
            live["tries"] = serializers.TrySerializer(details.tries, many=True).data
            live["rendered_fields"] = details.rendered_fields
            live["whole_result"] = serializers.LiveResultSerializer(live_reads.read_result(instance=instance)).data
        except AirflowError as error:
            live["live_error"] = str(error)
        (known,) = serializers.instance_rows(self.mapped_task, [instance])
        return Response(known | live)


class InstanceLog(OneMappedTask):
    """A page of the log of one try, the latest unless ``try_number`` says; ``token`` continues."""

    serializer_class = serializers.LogSerializer
    filters = frozenset({"try_number", "token"})

    @extend_schema(parameters=[OpenApiParameter("try_number", int), OpenApiParameter("token", str)])
    def get(self, request: Request, mapped_task_id: UUID, map_index: int) -> Response:
        selection = selection_from(request.query_params)
        with found():
            instance = selectors.instance(self.mapped_task, map_index)
        token = request.query_params.get("token") or None
        log = live_reads.read_log(instance=instance, try_number=selection.try_number, token=token)
        return Response(serializers.LogSerializer(log).data)


class Export(OneMappedTask):
    """The filtered list as a stream, by map index: ``format=csv`` (formulas made plain) or ``jsonl``."""

    filters = frozenset({*NAMES, "format"})

    @extend_schema(
        parameters=[OpenApiParameter("format", str, enum=sorted(exports.CONTENT_TYPES)), *FILTERS],
        responses={(200, "text/csv"): str, (200, "application/jsonl"): str},
    )
    def get(self, request: Request, mapped_task_id: UUID) -> StreamingHttpResponse:
        wanted = request.query_params.get("format") or "csv"
        if wanted not in exports.CONTENT_TYPES:
            raise BadRequest(_("There is no such format."), {"format": [_("csv or jsonl.")]})
        lines = exports.lines(self.mapped_task, selection_from(request.query_params), wanted)
        answer = StreamingHttpResponse(lines, content_type=exports.CONTENT_TYPES[wanted])
        answer["Content-Disposition"] = f'attachment; filename="instances-{self.mapped_task.pk}.{wanted}"'
        return answer


class Sync(StrictQuery, GenericAPIView[Any]):
    """Have one mapped task brought up to date by the worker, state and results; known to the mirror or not.

    200 once it is, 202 when that takes over a minute (or too many wait, or ``wait`` is false), 404 when Airflow does
    not know the run or the task.
    """

    actions = {"POST": Action.VIEW}
    serializer_class = serializers.SyncSerializer

    @extend_schema(responses={200: serializers.MappedTaskSerializer, 202: serializers.SyncPendingSerializer})
    def post(self, request: Request) -> Response:
        body = self.get_serializer(data=request.data)
        body.is_valid(raise_exception=True)
        key = {name: body.validated_data[name] for name in ("dag_id", "run_id", "task_id")}
        with found():
            server = find_server(body.validated_data["server"])
        asked = sync_requests.request_sync(server=server, **key)
        if body.validated_data["wait"]:
            asked = sync_requests.wait_for_answer(request=asked)
        if asked.state == SyncRequest.State.NOT_FOUND:
            raise Http404(_("Airflow does not know this run, or the run has no such mapped task."))
        if asked.state == SyncRequest.State.FAILED:
            raise SyncFailed(asked)
        if asked.state == SyncRequest.State.PENDING:
            pending = {"id": mapped_task_uuid(server.slug, **key), "server": server.slug, **key, "complete": False}
            return Response(pending, status=status.HTTP_202_ACCEPTED)
        with found():
            mapped_task = selectors.mapped_task(server.slug, **key)
        return Response(serializers.MappedTaskSerializer(mapped_task, context=self.get_serializer_context()).data)
