"""The shapes of metrics, trends and histories in the REST API."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from panel.domain.histories import Pattern
from panel.mirror.histories import Past, PatternGroup
from panel.mirror.models import Instance, MappedTask
from panel.mirror.serializers import CountsSerializer, MetricsSerializer


class HistogramSerializer(serializers.Serializer[Any]):
    """``counts[n]`` durations lie from ``edges[n]`` up to, without, ``edges[n + 1]``; seconds."""

    edges = serializers.ListField(child=serializers.FloatField())
    counts = serializers.ListField(child=serializers.IntegerField())


class TimelineSerializer(serializers.Serializer[Any]):
    """Buckets of ``step`` seconds from ``start`` on: how many ran at once on average, and how many finished."""

    start = serializers.DateTimeField(allow_null=True)
    step = serializers.IntegerField()
    running = serializers.ListField(child=serializers.FloatField())
    finished = serializers.ListField(child=serializers.IntegerField())
    peak = serializers.IntegerField(help_text="The most that ran at once.")


class TrendPointSerializer(serializers.Serializer[MappedTask]):
    """The same task in one run."""

    id = serializers.UUIDField()
    run_id = serializers.CharField(source="run.run_id")
    run_state = serializers.CharField(source="run.state")
    run_after = serializers.DateTimeField(source="run.run_after", allow_null=True)
    total = serializers.IntegerField()
    counts = CountsSerializer()
    metrics = MetricsSerializer()


class TaskMetricsSerializer(serializers.Serializer[Any]):
    """``trend``: the newest runs of the Dag, oldest first, this one always among them."""

    metrics = MetricsSerializer()
    durations = HistogramSerializer()
    timeline = TimelineSerializer()
    trend = TrendPointSerializer(many=True)


class PatternGroupSerializer(serializers.Serializer[PatternGroup]):
    pattern = serializers.ChoiceField(choices=[pattern.value for pattern in Pattern])
    count = serializers.IntegerField()
    indices = serializers.CharField(help_text="An index expression: 3,17-40")


class PatternsSerializer(serializers.Serializer[Any]):
    """The failures of this run beside ``runs`` runs before it; ``left_out`` of them were too many to look up."""

    results = PatternGroupSerializer(many=True, source="groups")
    runs = serializers.IntegerField()
    left_out = serializers.IntegerField()


class PastInstanceSerializer(serializers.ModelSerializer[Instance]):
    error_group = serializers.SerializerMethodField()

    class Meta:
        model = Instance
        fields = [
            "map_index", "label", "outcome", "try_number", "start_date", "end_date", "duration", "error_type",
            "error_message", "error_group",
        ]  # fmt: skip

    def get_error_group(self, instance: Instance) -> str | None:
        return instance.error_group or None


class PastSerializer(serializers.Serializer[Any]):
    """The item in one run; ``instance`` and ``url`` are null where the run does not have it."""

    mapped_task = serializers.UUIDField(source="task.pk")
    run_id = serializers.CharField(source="task.run.run_id")
    run_after = serializers.DateTimeField(source="task.run.run_after", allow_null=True)
    this_run = serializers.BooleanField(source="is_this")
    instance = PastInstanceSerializer(allow_null=True)
    url = serializers.SerializerMethodField()

    def get_url(self, past: Past) -> str | None:
        if past.instance is None:
            return None
        run = past.task.run
        names = [run.dag.server.slug, run.dag.dag_id, run.run_id, past.task.task_id, past.instance.map_index]
        path = reverse("mirror:instance_detail", args=names)
        request = self.context.get("request")
        return request.build_absolute_uri(path) if request else path


class HistorySerializer(serializers.Serializer[Any]):
    """Newest run first; never paged."""

    results = PastSerializer(many=True)
    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
