"""The shapes of the mirror in the REST API. Everything is read-only; texts from Airflow come as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from django.urls import reverse
from rest_framework import serializers

from panel.domain.metrics import Metrics
from panel.domain.outcomes import Outcome
from panel.mirror.airflow_links import dag_url, mapped_task_url, run_url
from panel.mirror.instance_lists import ListedInstance
from panel.mirror.models import Dag, DagRun, Instance, MappedTask
from panel.mirror.result_fields import columns_of
from panel.mirror.selectors import outcomes_of_run
from panel.strict import StrictSerializer


class CountsSerializer(serializers.Serializer[dict[str, int]]):
    """How many instances have each outcome; every outcome is there."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {outcome.value: serializers.IntegerField() for outcome in Outcome}

    def to_representation(self, instance: dict[str, int]) -> dict[str, int]:
        return {outcome.value: instance.get(outcome.value, 0) for outcome in Outcome}


class MetricsSerializer(serializers.Serializer[dict[str, float | None]]):
    """Durations in seconds, rates from 0 to 1; null where there is nothing to say it from."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {field.name: serializers.FloatField(allow_null=True) for field in fields(Metrics)}

    def to_representation(self, instance: dict[str, float | None]) -> dict[str, float | None]:
        return Metrics().as_dict() | instance


class ResultFieldSerializer(serializers.Serializer[Any]):
    """A number that results have, by name, over all instances; null where none has it now."""

    name = serializers.CharField()
    slot = serializers.IntegerField(help_text="Lists order by it as number_<slot>.")
    count = serializers.IntegerField()
    sum = serializers.FloatField(allow_null=True)
    avg = serializers.FloatField(allow_null=True)
    min = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)


class DagSerializer(serializers.ModelSerializer[Dag]):
    airflow_url = serializers.SerializerMethodField()
    tags = serializers.ListField(child=serializers.CharField())
    mapped_task_ids = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Dag
        fields = [
            "dag_id", "display_name", "description", "tags", "is_paused", "is_stale", "has_import_errors",
            "mapped_task_ids", "synced_at", "last_error", "airflow_url",
        ]  # fmt: skip

    def get_airflow_url(self, dag: Dag) -> str:
        return dag_url(dag)


class RunSerializer(serializers.ModelSerializer[DagRun]):
    server = serializers.CharField(source="dag.server.slug")
    dag_id = serializers.CharField(source="dag.dag_id")
    conf = serializers.DictField(source="shown_conf", help_text="Values that the Dag's params call secret are masked.")
    counts = serializers.SerializerMethodField()
    mapped_tasks = serializers.SerializerMethodField()
    airflow_url = serializers.SerializerMethodField()

    class Meta:
        model = DagRun
        fields = [
            "server", "dag_id", "run_id", "state", "run_type", "conf", "note", "triggering_user", "logical_date",
            "run_after", "queued_at", "start_date", "end_date", "counts", "mapped_tasks", "synced_at", "reconciled_at",
            "deleted_at", "airflow_url",
        ]  # fmt: skip

    def get_counts(self, run: DagRun) -> dict[str, int]:
        return CountsSerializer().to_representation(outcomes_of_run(run))

    def get_mapped_tasks(self, run: DagRun) -> list[dict[str, str]]:
        return [{"id": str(task.pk), "task_id": task.task_id} for task in run.mapped_tasks.all()]

    def get_airflow_url(self, run: DagRun) -> str:
        return run_url(run)


class MappedTaskSerializer(serializers.ModelSerializer[MappedTask]):
    server = serializers.CharField(source="run.dag.server.slug")
    dag_id = serializers.CharField(source="run.dag.dag_id")
    run_id = serializers.CharField(source="run.run_id")
    run_state = serializers.CharField(source="run.state")
    counts = CountsSerializer()
    metrics = MetricsSerializer()
    result_fields = ResultFieldSerializer(many=True)
    url = serializers.SerializerMethodField()
    airflow_url = serializers.SerializerMethodField()

    class Meta:
        model = MappedTask
        fields = [
            "id", "server", "dag_id", "run_id", "task_id", "run_state", "total", "counts", "metrics", "result_fields",
            "unread_results",
            "unexpanded_state", "version", "changed_at", "synced_at", "complete", "last_error", "url", "airflow_url",
        ]  # fmt: skip

    def get_url(self, task: MappedTask) -> str:
        names = [task.run.dag.server.slug, task.run.dag.dag_id, task.run.run_id, task.task_id]
        path = reverse("mirror:mapped_task_detail", args=names)
        request = self.context.get("request")
        return request.build_absolute_uri(path) if request else path

    def get_airflow_url(self, task: MappedTask) -> str:
        return mapped_task_url(task)


class InstanceSerializer(serializers.ModelSerializer[Instance]):
    """``result`` is the value; when ``result_shortened``, a preview in which what is left out bears the mark "…".

    It only describes: rows are put together by ``instance_rows``, for lists and exports have many, and a field object
    each for every value takes ten times as long.
    """

    state = serializers.CharField(allow_null=True)
    error_group = serializers.CharField(allow_null=True)
    result = serializers.JSONField()
    numbers = serializers.DictField(
        child=serializers.FloatField(allow_null=True), help_text="The numeric fields of the result, by name."
    )
    airflow_url = serializers.CharField()

    class Meta:
        model = Instance
        fields = [
            "map_index", "label", "state", "outcome", "try_number", "max_tries", "queued_at", "start_date", "end_date",
            "duration", "error_type", "error_message", "error_group", "error_frame", "result", "numbers",
            "result_state", "result_reason", "result_shortened", "note", "airflow_url",
        ]  # fmt: skip


def instance_rows(
    mapped_task: MappedTask, instances: Iterable[Instance] | Iterable[ListedInstance]
) -> Iterator[dict[str, Any]]:
    """What InstanceSerializer describes, for these instances of the mapped task; moments as they are."""
    url, columns = mapped_task_url(mapped_task), columns_of(mapped_task)
    for instance in instances:
        yield {
            "map_index": instance.map_index,
            "label": instance.label,
            "state": instance.state or None,
            "outcome": instance.outcome,
            "try_number": instance.try_number,
            "max_tries": instance.max_tries,
            "queued_at": instance.queued_at,
            "start_date": instance.start_date,
            "end_date": instance.end_date,
            "duration": instance.duration,
            "error_type": instance.error_type,
            "error_message": instance.error_message,
            "error_group": instance.error_group or None,
            "error_frame": instance.error_frame,
            "result": instance.result,
            "numbers": {name: getattr(instance, column) for name, column in columns.items()},
            "result_state": instance.result_state,
            "result_reason": instance.result_reason,
            "result_shortened": bool(instance.result_shortened),
            "note": instance.note,
            "airflow_url": f"{url}/{instance.map_index}",
        }


class TrySerializer(serializers.Serializer[Any]):
    try_number = serializers.IntegerField()
    state = serializers.CharField(allow_null=True)
    start_date = serializers.DateTimeField(allow_null=True)
    end_date = serializers.DateTimeField(allow_null=True)
    duration = serializers.FloatField(allow_null=True)
    hostname = serializers.CharField(allow_null=True)


class LiveResultSerializer(serializers.Serializer[Any]):
    """``text`` is the whole result as JSON text, up to a megabyte."""

    state = serializers.CharField()
    text = serializers.CharField()
    cut = serializers.BooleanField()
    reason = serializers.CharField()


class InstanceDetailSerializer(InstanceSerializer):
    """``tries``, ``rendered_fields`` and ``whole_result`` are asked of Airflow now; null, with ``live_error``, when it
    does not answer as it should."""

    tries = TrySerializer(many=True, allow_null=True)
    rendered_fields = serializers.DictField(allow_null=True)
    whole_result = LiveResultSerializer(allow_null=True)
    live_error = serializers.CharField()

    class Meta(InstanceSerializer.Meta):
        fields = [*InstanceSerializer.Meta.fields, "tries", "rendered_fields", "whole_result", "live_error"]


class ErrorGroupSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="The same in every run.")
    outcome = serializers.CharField()
    error_type = serializers.CharField()
    message = serializers.CharField(help_text="With numbers, ids, paths, addresses and dates masked.")
    count = serializers.IntegerField()
    share = serializers.FloatField(help_text="Of all failures of the mapped task, 0 to 1.")
    indices = serializers.CharField(help_text="An index expression: 3,17-40")
    example_index = serializers.IntegerField(help_text="The lowest index of the group.")
    example_message = serializers.CharField(help_text="Its message as it stands.")
    frame = serializers.CharField(help_text="Where the example was raised: file:line in function.")
    first_seen = serializers.DateTimeField(allow_null=True)
    last_seen = serializers.DateTimeField(allow_null=True)
    new = serializers.BooleanField(help_text="The run before, if one is known, did not have it.")
    runs_seen = serializers.IntegerField(help_text="How many of the earlier runs had it.")
    runs_known = serializers.IntegerField(help_text="How many earlier runs that is of, 20 at most.")


class ErrorGroupListSerializer(serializers.Serializer[Any]):
    results = ErrorGroupSerializer(many=True)
    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class LogFrameSerializer(serializers.Serializer[Any]):
    filename = serializers.CharField()
    lineno = serializers.IntegerField(allow_null=True)
    name = serializers.CharField()


class ErrorDetailSerializer(serializers.Serializer[Any]):
    exc_type = serializers.CharField()
    exc_value = serializers.CharField()
    is_cause = serializers.BooleanField()
    frames = LogFrameSerializer(many=True)


class LogEntrySerializer(serializers.Serializer[Any]):
    timestamp = serializers.DateTimeField(allow_null=True)
    level = serializers.CharField(allow_null=True)
    logger = serializers.CharField(allow_null=True)
    event = serializers.CharField()
    error_detail = ErrorDetailSerializer(many=True, allow_null=True)


class LogSerializer(serializers.Serializer[Any]):
    content = LogEntrySerializer(many=True)
    continuation_token = serializers.CharField(allow_null=True)


class SyncSerializer(StrictSerializer):
    """Which mapped task is to be brought up to date, and whether to wait for it (up to a minute)."""

    server = serializers.CharField(max_length=50)
    dag_id = serializers.CharField(max_length=250)
    run_id = serializers.CharField(max_length=250)
    task_id = serializers.CharField(max_length=250)
    wait = serializers.BooleanField(default=True)


class SyncPendingSerializer(serializers.Serializer[Any]):
    """Not up to date yet: ask again, or read what is known under ``id``."""

    id = serializers.UUIDField()
    server = serializers.CharField()
    dag_id = serializers.CharField()
    run_id = serializers.CharField()
    task_id = serializers.CharField()
    complete = serializers.BooleanField()
