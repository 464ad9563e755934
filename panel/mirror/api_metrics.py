"""REST: metrics of a mapped task with what its plots show, and what earlier runs say."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from panel.mirror import histories, metrics_page, selectors
from panel.mirror.api import OneMappedTask, found
from panel.mirror.serializers_metrics import HistorySerializer, PatternsSerializer, TaskMetricsSerializer


class TaskMetrics(OneMappedTask):
    """The metrics of a mapped task: numbers, histogram of durations, concurrency and finishes over time, trend."""

    serializer_class = TaskMetricsSerializer

    def get(self, request: Request, mapped_task_id: UUID) -> Response:
        task = self.mapped_task
        timeline = metrics_page.timeline_of(task)
        start = datetime.fromtimestamp(timeline["start"], tz=UTC) if timeline["running"] else None
        body = {
            "metrics": task.metrics,
            "durations": metrics_page.durations_of(task),
            "timeline": timeline | {"start": start},
            "trend": metrics_page.last_runs(task),
        }
        return Response(self.get_serializer(body).data)


class TaskPatterns(OneMappedTask):
    """The failures of a mapped task by how they fit in with the ten runs before: new, flaky, still, always, first."""

    serializer_class = PatternsSerializer

    def get(self, request: Request, mapped_task_id: UUID) -> Response:
        return Response(self.get_serializer(histories.patterns(self.mapped_task)).data)


class InstanceHistory(OneMappedTask):
    """The same item (by label, else by index) in the last twenty runs."""

    serializer_class = HistorySerializer

    def get(self, request: Request, mapped_task_id: UUID, map_index: int) -> Response:
        with found():
            instance = selectors.instance(self.mapped_task, map_index)
        past = histories.history_of(instance)
        body = {"results": past, "count": len(past), "next": None, "previous": None}
        return Response(self.get_serializer(body).data)
