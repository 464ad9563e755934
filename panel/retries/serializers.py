"""The shapes of retries in the REST API."""

from __future__ import annotations

from dataclasses import fields
from math import isfinite
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from panel.domain.index_expression import IndexExpression, MalformedIndexExpression
from panel.domain.outcomes import Outcome
from panel.domain.selection import LONGEST_DURATION, TEXT_LENGTH, Selection
from panel.retries import selectors
from panel.retries.asks import LONGEST_KEY, MOST_MAPPED_TASKS, Ask
from panel.retries.choice import by_error_group, by_outcome
from panel.retries.estimates import Load
from panel.retries.models import RetryItem, RetryJob
from panel.retries.outlook import Outlook, outlook_of
from panel.retries.policies import Policy
from panel.retries.report import Report, closing_sentence
from panel.retries.services import Preview
from panel.retries.states import Action, ItemState, WaitsFor
from panel.retries.tokens import LONGEST_TOKEN
from panel.strict import StrictSerializer


class _Seconds(serializers.FloatField):
    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=LONGEST_DURATION, help_text="Seconds.", **options)

    def to_internal_value(self, data: Any) -> float:
        seconds = super().to_internal_value(data)
        if not isfinite(seconds):  # neither bound holds back "nan"
            self.fail("invalid")
        return seconds


class SelectionSerializer(StrictSerializer):
    """Kinds combine by AND, values in one kind by OR; at least one kind must be given."""

    outcomes = serializers.ListField(
        child=serializers.ChoiceField(choices=[outcome.value for outcome in Outcome]), required=False, max_length=20
    )
    indices = serializers.CharField(required=False, allow_blank=True, help_text="An index expression: 3,17-40,55-")
    error_groups = serializers.ListField(
        child=serializers.RegexField(r"^[0-9a-f]{16}$"), required=False, max_length=1_000
    )
    label = serializers.CharField(  # type: ignore[assignment]  # the metaclass moves it out of Field.label's way
        required=False, allow_blank=True, max_length=TEXT_LENGTH
    )
    try_number = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=1_000_000)
    try_number_gte = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=1_000_000, help_text="This try or a later one."
    )
    duration_gte = _Seconds(required=False, allow_null=True)
    duration_lte = _Seconds(required=False, allow_null=True)
    q = serializers.CharField(required=False, allow_blank=True, max_length=TEXT_LENGTH)

    def validate_indices(self, text: str) -> IndexExpression:
        try:
            return IndexExpression.parse(text)
        except MalformedIndexExpression as error:
            raise serializers.ValidationError(str(error)) from error

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        selection = selection_of(attrs)
        if not selection:
            raise serializers.ValidationError(_("Choose something: an empty selection would mean every index."))
        if selection.is_contradictory:
            raise serializers.ValidationError({"duration_lte": [_("The longest duration is below the shortest one.")]})
        return attrs


def selection_of(values: dict[str, Any]) -> Selection:
    return Selection(
        outcomes=frozenset(Outcome(value) for value in values.get("outcomes", ())),
        indices=values.get("indices", IndexExpression()),
        error_groups=frozenset(values.get("error_groups", ())),
        label=values.get("label", "").strip(),
        try_number=values.get("try_number"),
        try_number_gte=values.get("try_number_gte"),
        duration_gte=values.get("duration_gte"),
        duration_lte=values.get("duration_lte"),
        q=values.get("q", "").strip(),
    )


class AskSerializer(StrictSerializer):
    """Which instances, and what to do with them: ``mapped_task`` or ``mapped_tasks``, of one server."""

    mapped_task = serializers.UUIDField(required=False)
    mapped_tasks = serializers.ListField(
        child=serializers.UUIDField(), required=False, allow_empty=False, max_length=MOST_MAPPED_TASKS
    )
    selection = SelectionSerializer()
    action = serializers.ChoiceField(choices=Action.choices, required=False)
    include_downstream = serializers.BooleanField(required=False)
    include_settled = serializers.BooleanField(
        required=False,
        help_text="Run succeeded and skipped indices again as well. Without it only failures are retried: hard and "
        "soft ones, and upstream_failed ones together with the failed instances above them.",
    )
    run_on_latest_version = serializers.BooleanField(
        required=False, help_text="Move instances and run to the Dag's latest version (Airflow 3.1 or newer)."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("mapped_task" in attrs) == ("mapped_tasks" in attrs):
            raise serializers.ValidationError({"mapped_task": _("Give either mapped_task or mapped_tasks.")})
        return attrs

    def ask(self) -> Ask:
        values = self.validated_data
        return Ask(
            mapped_task_ids=tuple(values.get("mapped_tasks") or [values["mapped_task"]]),
            selection=selection_of(values["selection"]),
            action=Action(values.get("action", Action.RETRY)),
            include_downstream=values.get("include_downstream", True),
            include_settled=values.get("include_settled", False),
            run_on_latest_version=values.get("run_on_latest_version", False),
        )


class RetrySerializer(AskSerializer):
    """What is asked for, why, and how carefully."""

    reason = serializers.CharField(max_length=500)
    chunk_size = serializers.IntegerField(required=False, allow_null=True)
    chunks_per_minute = serializers.FloatField(required=False, allow_null=True)
    canary = serializers.IntegerField(required=False, allow_null=True)
    canary_by_group = serializers.BooleanField(required=False, help_text="One of each error group goes first.")
    canary_max_failure_rate = serializers.FloatField(required=False, allow_null=True)
    wave_size = serializers.IntegerField(required=False, allow_null=True)
    wave_pause_seconds = serializers.IntegerField(required=False, allow_null=True)
    stop_failure_rate = serializers.FloatField(required=False, allow_null=True)
    not_before = serializers.DateTimeField(required=False, allow_null=True)
    window_start = serializers.CharField(required=False, allow_null=True, help_text="A time of day: 22:00")
    window_end = serializers.CharField(required=False, allow_null=True)
    time_zone = serializers.CharField(required=False, max_length=64, help_text="Of the window: Europe/Berlin")
    rounds = serializers.IntegerField(required=False, help_text="At most so many jobs in all, this one included.")
    round_pause_seconds = serializers.IntegerField(required=False, allow_null=True)
    idempotency_key = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=LONGEST_KEY, trim_whitespace=False
    )
    plan_token = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=LONGEST_TOKEN)
    mail_report = serializers.BooleanField(required=False, help_text="Mail the report to you when the job is over.")

    def policy(self) -> Policy:
        names = {field.name for field in fields(Policy)}
        given = {name: value for name, value in self.validated_data.items() if name in names and value is not None}
        return Policy(**given)


class LeftOutSerializer(serializers.Serializer[Any]):
    why = serializers.CharField()
    task_id = serializers.CharField()
    count = serializers.IntegerField()
    indices = serializers.CharField(help_text="An index expression.")


class ReasonSerializer(serializers.Serializer[Any]):
    state = serializers.CharField()
    why = serializers.CharField()
    count = serializers.IntegerField()


class PlannedTaskSerializer(serializers.Serializer[Any]):
    dag_id = serializers.CharField()
    run_id = serializers.CharField()
    task_id = serializers.CharField()
    count = serializers.IntegerField()
    indices = serializers.CharField(help_text="An index expression; empty for a task that is not mapped.")
    as_upstream = serializers.BooleanField(help_text="Not chosen: retried because chosen indices failed because of it.")


class LoadSerializer(serializers.Serializer[Load]):
    at_once = serializers.IntegerField(
        allow_null=True, help_text="The most instances that may run together, by what did so far; null: not known."
    )
    pools = serializers.DictField(
        child=serializers.IntegerField(), help_text="Slots that so many take, by the name of the pool."
    )
    requests = serializers.IntegerField(help_text="To Airflow's REST API, for sending; watching comes on top.")


class PreviewSerializer(serializers.Serializer[Preview]):
    """What a retry would do; ``count`` is the total of the job it would make."""

    count = serializers.IntegerField(source="plan.count")
    indices = serializers.SerializerMethodField()
    by_outcome = serializers.SerializerMethodField()
    by_error_group = serializers.SerializerMethodField()
    tasks = serializers.SerializerMethodField()
    downstream = serializers.ListField(child=serializers.CharField(), source="plan.downstream")
    skipped = LeftOutSerializer(many=True, source="plan.left_out")
    warnings = serializers.ListField(child=serializers.CharField(), source="plan.warnings")
    unread = serializers.IntegerField(source="plan.unread")
    notes_replaced = serializers.IntegerField(
        source="plan.notes", help_text="Instances whose note in Airflow is replaced by the reason."
    )
    estimate_seconds = serializers.FloatField(
        allow_null=True, help_text="Until every index has a result, at most, by what the tasks did so far."
    )
    estimate_low_seconds = serializers.FloatField(allow_null=True, help_text="The same, at least.")
    load = LoadSerializer()
    plan_token = serializers.CharField()

    def get_indices(self, preview: Preview) -> str:
        chosen = (task for task in preview.plan.tasks if not task.as_upstream)
        return str(IndexExpression.of(index for task in chosen for index in task.indices))

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
    def get_by_outcome(self, preview: Preview) -> dict[str, int]:
        return by_outcome(preview.plan)

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
    def get_by_error_group(self, preview: Preview) -> dict[str, int]:
        return by_error_group(preview.plan)

    @extend_schema_field(PlannedTaskSerializer(many=True))
    def get_tasks(self, preview: Preview) -> list[dict[str, Any]]:
        return [
            {
                "dag_id": run.dag_id,
                "run_id": run.run_id,
                "task_id": task.task_id,
                "count": len(task.chosen),
                "indices": str(task.indices),
                "as_upstream": task.as_upstream,
            }
            for run in preview.plan.runs
            for task in run.tasks
        ]


class ItemCountsSerializer(serializers.Serializer[dict[str, int]]):
    """Items by their current state; every state is there, and they sum to ``total``."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {state.value: serializers.IntegerField() for state in ItemState}


class FailureAgainSerializer(serializers.Serializer[Any]):
    error_type = serializers.CharField()
    message = serializers.CharField(help_text="Numbers, ids, paths … are masked.")
    count = serializers.IntegerField()
    indices = serializers.CharField(help_text="An index expression.")
    same = serializers.BooleanField(allow_null=True, help_text="All of them fail as before; null where they differ.")


class ReportSerializer(serializers.Serializer[Report]):
    """``retried`` were sent; ``failed_again`` is ``same_error`` + ``new_error`` + ``error_unknown``."""

    sentence = serializers.CharField()
    retried = serializers.IntegerField()
    recovered = serializers.IntegerField()
    failed_again = serializers.IntegerField()
    same_error = serializers.IntegerField()
    new_error = serializers.IntegerField()
    error_unknown = serializers.IntegerField()
    skipped = serializers.IntegerField()
    refused = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    lost = serializers.IntegerField()
    unfinished = serializers.IntegerField()
    failures = FailureAgainSerializer(many=True)
    reasons = serializers.SerializerMethodField()
    left_out = LeftOutSerializer(many=True, help_text="What was asked for but not taken on.")
    happened = serializers.ListField(child=serializers.CharField(), help_text="What people did in Airflow meanwhile.")

    @extend_schema_field(ReasonSerializer(many=True))
    def get_reasons(self, report: Report) -> list[dict[str, Any]]:
        return [{"state": state, "why": why, "count": count} for state, why, count in report.reasons]


class OutlookSerializer(serializers.Serializer[Outlook]):
    """What the job waits for now, and until when, where that is known."""

    text = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True)
    needs_person = serializers.BooleanField(help_text="Nothing goes on by itself.")


class JobTaskSerializer(serializers.Serializer[Any]):
    """One task of one run of a job; ``counts`` sum to ``total``."""

    dag_id = serializers.CharField()
    run_id = serializers.CharField()
    task_id = serializers.CharField()
    as_upstream = serializers.BooleanField(help_text="Not chosen, but retried for the chosen indices below it.")
    total = serializers.IntegerField()
    counts = ItemCountsSerializer()


class JobSerializer(serializers.ModelSerializer[RetryJob]):
    """A retry job. Give ``counts`` (by job id) in the context for lists, so that one query serves them all."""

    server = serializers.CharField(source="server.slug")
    user = serializers.CharField(source="username")
    counts = serializers.SerializerMethodField()
    skipped = LeftOutSerializer(many=True, source="left_out", help_text="What was asked for but not taken on.")
    url = serializers.SerializerMethodField()
    outlook = serializers.SerializerMethodField(help_text="What happens next; null once it is finished.")
    summary = serializers.SerializerMethodField(help_text="One sentence, once it is finished.")
    previous_round = serializers.UUIDField(source="parent_id", allow_null=True)
    next_round = serializers.SerializerMethodField(help_text="The job over what failed again in this one.")
    waits_for = serializers.ChoiceField(source="waiting_for", choices=WaitsFor.choices, allow_blank=True)
    waits_until = serializers.DateTimeField(source="waiting_until", allow_null=True)

    class Meta:
        model = RetryJob
        fields = [
            "id", "server", "user", "action", "reason", "state", "state_reason", "total", "counts", "selection",
            "skipped", "include_downstream", "include_settled", "run_on_latest_version", "chunk_size",
            "chunks_per_minute", "canary", "canary_by_group", "canary_max_failure_rate", "wave_size",
            "wave_pause_seconds", "stop_failure_rate", "not_before", "window_start", "window_end", "time_zone",
            "rounds", "round_pause_seconds", "round", "previous_round", "next_round", "waits_for", "waits_until",
            "created_at", "started_at", "finished_at", "outlook", "summary", "url",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(ItemCountsSerializer)
    def get_counts(self, job: RetryJob) -> dict[str, int]:
        known: dict[Any, dict[str, int]] = self.context.get("counts", {})
        return known.get(job.pk) or selectors.counts(job)

    @extend_schema_field(OutlookSerializer(allow_null=True))
    def get_outlook(self, job: RetryJob) -> dict[str, Any] | None:
        outlook = outlook_of(job, self.get_counts(job))
        return None if outlook is None else dict(OutlookSerializer(outlook).data)

    def get_next_round(self, job: RetryJob) -> UUID | None:
        following = selectors.next_round(job) if job.has_more_rounds and job.finished_at is not None else None
        return following.pk if following else None

    def get_url(self, job: RetryJob) -> str:
        path = reverse("retries:job_detail", args=[job.pk])
        request = self.context.get("request")
        return request.build_absolute_uri(path) if request is not None else path

    def get_summary(self, job: RetryJob) -> str:
        return closing_sentence(job) if job.finished_at is not None else ""


class OneJobSerializer(JobSerializer):
    """A retry job with each task of each run of it."""

    tasks = serializers.SerializerMethodField()

    class Meta(JobSerializer.Meta):
        fields = [*JobSerializer.Meta.fields, "tasks"]
        read_only_fields = fields

    @extend_schema_field(JobTaskSerializer(many=True))
    def get_tasks(self, job: RetryJob) -> list[dict[str, Any]]:
        return [
            {
                "dag_id": target.run.dag_id,
                "run_id": target.run.run_id,
                "task_id": target.task_id,
                "as_upstream": target.as_upstream,
                "total": sum(counts.values()),
                "counts": counts,
            }
            for target, counts in selectors.targets_with_counts(job)
        ]


class ItemSerializer(serializers.ModelSerializer[RetryItem]):
    """One index of a job; ``try_number`` and ``error_message`` of its new try once there is one."""

    dag_id = serializers.CharField(source="target.run.dag_id")
    run_id = serializers.CharField(source="target.run.run_id")
    task_id = serializers.CharField(source="target.task_id")
    try_number = serializers.SerializerMethodField()
    error_type = serializers.SerializerMethodField()
    error_message = serializers.SerializerMethodField()

    class Meta:
        model = RetryItem
        fields = [
            "dag_id", "run_id", "task_id", "map_index", "label", "state", "why", "try_number",
            "outcome_before", "outcome", "error_type", "error_message", "same_error", "sent_at", "settled_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_try_number(self, item: RetryItem) -> int:
        return item.try_number if item.new_try_number is None else item.new_try_number

    def get_error_type(self, item: RetryItem) -> str:
        return item.error_type if item.outcome else item.error_type_before

    def get_error_message(self, item: RetryItem) -> str:
        return item.error_message if item.outcome else item.error_message_before
