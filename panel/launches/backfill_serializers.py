"""What the REST API says about backfills."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from panel.launches.backfill_orders import KEY_LENGTH, NOTE_LENGTH, Asked
from panel.launches.backfill_states import RUN_STATES, BackfillState, Reprocess
from panel.launches.forecast_words import advice_words, basis_words, unknown_words
from panel.launches.forecasting import Advice, Forecast, Sharing, TaskSize
from panel.launches.models import Backfill, BackfillRun
from panel.strict import StrictSerializer

SerializerFields = dict[str, serializers.Field[Any, Any, Any, Any]]


class BackfillLookRequestSerializer(StrictSerializer):
    """The range and how to run it; both dates are inclusive."""

    from_date = serializers.DateTimeField()
    to_date = serializers.DateTimeField()
    reprocess = serializers.ChoiceField(
        choices=Reprocess.choices,
        default=Reprocess.NONE.value,
        help_text="What becomes of a date that has a run already.",
    )
    max_active_runs = serializers.IntegerField(help_text="Runs at a time.")
    run_backwards = serializers.BooleanField(default=False, help_text="Newest date first.")
    params = serializers.DictField(required=False, default=dict, help_text="Values by param, typed as the Dag asks.")

    def validate_from_date(self, moment: datetime) -> datetime:
        return moment.replace(microsecond=0)

    def validate_to_date(self, moment: datetime) -> datetime:
        return moment.replace(microsecond=0)


class BackfillRequestSerializer(BackfillLookRequestSerializer):
    """The body of a backfill."""

    note = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=NOTE_LENGTH, trim_whitespace=False
    )
    idempotency_key = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=KEY_LENGTH,
        trim_whitespace=False,
        help_text="The same key and body again give the same backfill; a key belongs to its user.",
    )
    confirm = serializers.CharField(
        required=False,
        default=None,
        allow_null=True,
        max_length=1_000,
        help_text="The word that confirms a protected one.",
    )


def asked_of(body: dict[str, Any]) -> Asked:
    names = ("from_date", "to_date", "reprocess", "max_active_runs", "run_backwards", "params")
    return Asked(**{name: body[name] for name in names}, note=body.get("note", ""))


class TaskSizeSerializer(serializers.Serializer[TaskSize]):
    task_id = serializers.CharField()
    low = serializers.IntegerField()
    typical = serializers.IntegerField()
    high = serializers.IntegerField()


class AdviceSerializer(serializers.Serializer[Advice]):
    """``lower`` is the setting to lower (``runs``: the range), ``to`` to what."""

    code = serializers.CharField()
    found = serializers.IntegerField()
    limit = serializers.IntegerField(help_text="What is found is more than that.")
    lower = serializers.CharField()
    to = serializers.IntegerField()


class ForecastSerializer(serializers.Serializer[Forecast]):
    """Null where no run of the past is known. ``instances`` are mapped ones, ``peak_…`` the most of them at once,
    ``seconds_…`` until the last run has ended. ``sharing``: whether runs at the same time hinder each other."""

    runs = serializers.IntegerField()
    at_once = serializers.IntegerField()
    based_on = serializers.IntegerField(help_text="Runs of the past.")
    same_values = serializers.BooleanField()
    sharing = serializers.ChoiceField(choices=[sharing.value for sharing in Sharing])
    tasks = TaskSizeSerializer(many=True)
    instances = serializers.IntegerField(allow_null=True)
    instances_low = serializers.IntegerField(allow_null=True)
    instances_high = serializers.IntegerField(allow_null=True)
    peak_low = serializers.IntegerField(allow_null=True)
    peak_high = serializers.IntegerField(allow_null=True)
    pool_slots = serializers.IntegerField(allow_null=True, help_text="Of the pools of its mapped tasks.")
    seconds = serializers.FloatField(allow_null=True)
    seconds_low = serializers.FloatField(allow_null=True)
    seconds_high = serializers.FloatField(allow_null=True)
    warnings = AdviceSerializer(many=True)
    said = serializers.SerializerMethodField(help_text="The same in sentences.")

    def get_said(self, told: Forecast) -> list[str]:
        return [said for said in (*advice_words(told), basis_words(told), unknown_words(told)) if said]


class BackfillLookSerializer(serializers.Serializer[Any]):
    """``obstacles``: why it cannot start now; ``confirm``: the word that it has to be confirmed with, or empty."""

    dates = serializers.ListField(child=serializers.DateTimeField())
    forecast = ForecastSerializer()
    obstacles = serializers.ListField(child=serializers.CharField())
    confirm = serializers.CharField()


class BackfillSerializer(serializers.ModelSerializer[Backfill]):
    """A backfill; ``url`` is its page, ``counts`` its ``planned`` runs by state. ``fields`` holds the messages of a
    refusal by param. Secret params are masked. ``forecast`` is what was foreseen when it was sent."""

    server = serializers.CharField(source="server_slug")
    state = serializers.ChoiceField(choices=BackfillState.choices)
    to_date = serializers.DateTimeField(source="until")
    params = serializers.SerializerMethodField()
    requested_by = serializers.CharField(source="username")
    counts = serializers.SerializerMethodField()
    forecast = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Backfill
        fields = [
            "id",
            "server",
            "dag_id",
            "from_date",
            "to_date",
            "reprocess",
            "max_active_runs",
            "run_backwards",
            "params",
            "note",
            "requested_by",
            "protected",
            "state",
            "message",
            "airflow_id",
            "planned",
            "counts",
            "forecast",
            "created_at",
            "accepted_at",
            "finished_at",
            "synced_at",
            "attempts",
            "url",
        ]
        read_only_fields = fields

    def get_fields(self) -> SerializerFields:
        # Declared as an attribute it would hide the serializer's own ``fields``.
        messages = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
        return {**super().get_fields(), "fields": messages}

    def get_params(self, backfill: Backfill) -> dict[str, Any]:
        return backfill.shown_params

    @extend_schema_field(serializers.DictField(child=serializers.IntegerField()))
    def get_counts(self, backfill: Backfill) -> dict[str, int]:
        return {state: backfill.counts.get(state, 0) for state in RUN_STATES}

    @extend_schema_field(ForecastSerializer(allow_null=True))
    def get_forecast(self, backfill: Backfill) -> dict[str, Any] | None:
        told = Forecast.from_dict(backfill.forecast)
        return dict(ForecastSerializer(told).data) if told else None

    def get_url(self, backfill: Backfill) -> str:
        path = reverse("launches:backfill_detail", kwargs={"backfill_id": backfill.pk})
        request = self.context.get("request")
        return request.build_absolute_uri(path) if request else path


class BackfillRunSerializer(serializers.ModelSerializer[BackfillRun]):
    """One run, by its logical date; ``run_id`` is empty until it was seen in Airflow. Durations in seconds."""

    state = serializers.ChoiceField(choices=RUN_STATES)
    duration = serializers.FloatField(source="seconds", allow_null=True)

    class Meta:
        model = BackfillRun
        fields = ["logical_date", "run_id", "state", "start_date", "end_date", "duration"]
        read_only_fields = fields
