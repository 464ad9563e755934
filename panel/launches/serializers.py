"""What the REST API says about launches and forms."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from panel.launches.approvals import COMMENT_LENGTH
from panel.launches.fields import Choice, Field, Kind
from panel.launches.models import Launch, LaunchStop
from panel.launches.rollback import rollback_of
from panel.launches.services import KEY_LENGTH, NOTE_LENGTH
from panel.launches.states import State, StopState
from panel.launches.stopping import REASON_LENGTH
from panel.strict import StrictSerializer

SerializerFields = dict[str, serializers.Field[Any, Any, Any, Any]]


class LaunchRequestSerializer(StrictSerializer):
    """The body of a launch."""

    params = serializers.DictField(required=False, default=dict, help_text="Values by param, typed as the Dag asks.")
    note = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=NOTE_LENGTH, trim_whitespace=False
    )
    idempotency_key = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=KEY_LENGTH,
        trim_whitespace=False,
        help_text="The same key and body again give the same launch; a key belongs to its user.",
    )
    confirm = serializers.CharField(
        required=False,
        default=None,
        allow_null=True,
        max_length=1_000,
        help_text="The word that confirms a protected launch which nobody has to approve.",
    )
    form = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=50,
        help_text="The launch form it comes through, by its short name. What that fixes and hides holds.",
    )
    preset = serializers.IntegerField(
        required=False,
        default=None,
        allow_null=True,
        min_value=1,
        help_text="The id of a preset of this form: its values hold where params gives no other.",
    )


class ApprovalSerializer(StrictSerializer):
    """What the one who says yes has to say."""

    comment = serializers.CharField(required=False, default="", allow_blank=True, max_length=COMMENT_LENGTH)


class RejectionSerializer(StrictSerializer):
    """Why somebody says no."""

    comment = serializers.CharField(max_length=COMMENT_LENGTH)


class StopRequestSerializer(StrictSerializer):
    """Why a run is stopped."""

    reason = serializers.CharField(max_length=REASON_LENGTH)


class LaunchStopSerializer(serializers.ModelSerializer[LaunchStop]):
    """Who wants the run ended, why, and what became of it."""

    state = serializers.ChoiceField(choices=StopState.choices)

    class Meta:
        model = LaunchStop
        fields = ["state", "username", "reason", "message", "asked_at", "ended_at"]
        read_only_fields = fields


class LaunchSerializer(serializers.ModelSerializer[Launch]):
    """A launch; ``url`` is its page. ``fields`` holds the messages of a refusal by param. Secret params are masked.
    ``decided_by``, ``decided_at`` and ``decision_comment`` say who approved or rejected a protected one."""

    server = serializers.CharField(source="server_slug")
    state = serializers.ChoiceField(choices=State.choices)
    params = serializers.SerializerMethodField()
    requested_by = serializers.CharField(source="username")
    form = serializers.CharField(source="form_slug", help_text="The launch form it came through, or empty.")
    decided_by = serializers.CharField(source="decided_by_name")
    url = serializers.SerializerMethodField()
    airflow_url = serializers.CharField()
    stop = LaunchStopSerializer(source="last_stop", allow_null=True, help_text="The last stop; null without one.")

    class Meta:
        model = Launch
        fields = [
            "id",
            "server",
            "dag_id",
            "dag_run_id",
            "state",
            "message",
            "params",
            "note",
            "requested_by",
            "form",
            "protected",
            "expires_at",
            "decided_by",
            "decided_at",
            "decision_comment",
            "created_at",
            "accepted_at",
            "started_at",
            "finished_at",
            "attempts",
            "stop",
            "url",
            "airflow_url",
        ]
        read_only_fields = fields

    def get_fields(self) -> SerializerFields:
        # Declared as an attribute it would hide the serializer's own ``fields``.
        messages = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
        return {**super().get_fields(), "fields": messages}

    def get_params(self, launch: Launch) -> dict[str, Any]:
        return launch.shown_params

    def get_url(self, launch: Launch) -> str:
        path = reverse("launches:launch_detail", kwargs={"launch_id": launch.pk})
        request = self.context.get("request")
        return request.build_absolute_uri(path) if request else path


class LaunchDetailSerializer(LaunchSerializer):
    """One launch, and where one would go back to from it."""

    rollback_to = serializers.SerializerMethodField(
        help_text="The id of the last launch before that succeeded, with the same env and other values; null without."
    )

    class Meta(LaunchSerializer.Meta):
        fields = [*LaunchSerializer.Meta.fields, "rollback_to"]
        read_only_fields = fields

    def get_rollback_to(self, launch: Launch) -> UUID | None:
        rollback = rollback_of(launch)
        return rollback.to.pk if rollback else None


class ChoiceSerializer(serializers.Serializer[Choice]):
    value = serializers.JSONField()

    def get_fields(self) -> SerializerFields:
        return {**super().get_fields(), "label": serializers.CharField()}


class FieldSerializer(serializers.Serializer[Field]):
    """One field of a launch form. ``proposals`` are suggestions that do not bind."""

    name = serializers.CharField()
    type = serializers.ChoiceField(choices=[kind.value for kind in Kind], source="kind")
    title = serializers.CharField()
    section = serializers.CharField()
    nullable = serializers.BooleanField()
    choices = ChoiceSerializer(many=True)
    proposals = ChoiceSerializer(many=True)
    limits = serializers.DictField()
    secret = serializers.BooleanField(source="is_secret", help_text="Its value is shown nowhere.")
    parts = serializers.SerializerMethodField(help_text="The properties of an object, fields of their own.")
    optional = serializers.BooleanField(help_text="A part that may be left out.")
    help_is_markdown = serializers.BooleanField()

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_parts(self, field: Field) -> list[dict[str, Any]]:
        return [dict(FieldSerializer(part).data) for part in field.parts]

    def get_fields(self) -> SerializerFields:
        # These names are taken by attributes of every serializer.
        return {
            **super().get_fields(),
            "help": serializers.CharField(),
            "required": serializers.BooleanField(),
            "default": serializers.JSONField(source="shown_default"),
        }


class FormSerializer(serializers.Serializer[Any]):
    """A Dag's launch form. ``obstacle`` says why it cannot be launched now, ``frozen`` until when nothing may start,
    ``warnings`` what to know before. With ``form`` the fields are those that this launch form shows."""

    server = serializers.CharField()
    dag_id = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    is_paused = serializers.BooleanField()
    can_launch = serializers.BooleanField()
    obstacle = serializers.CharField()
    warnings = serializers.ListField(child=serializers.CharField())
    frozen = serializers.CharField()
    read_at = serializers.DateTimeField()
    form = serializers.CharField(help_text="The short name of the launch form; empty for the bare one.")
    text = serializers.CharField(help_text="What the form's admin wrote for people.")
    button = serializers.CharField()
    fixed = serializers.DictField(help_text="Values that the launch form always gives, by param.")
    only_forms = serializers.BooleanField(help_text="Only admins use the bare form of this Dag.")

    def get_fields(self) -> SerializerFields:
        return {**super().get_fields(), "fields": FieldSerializer(many=True)}
