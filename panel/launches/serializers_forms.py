"""What the REST API takes and says about launch forms and presets."""

from __future__ import annotations

from typing import Any, cast

from django.urls import reverse
from django.utils.http import urlencode
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from panel.launches.dag_forms import known_fields
from panel.launches.fields import Field
from panel.launches.launch_forms_changing import FormContent
from panel.launches.models import FormDefinition, Preset
from panel.launches.prefills import misfits
from panel.launches.presets import NAME_LENGTH, shown_params
from panel.launches.serializers import SerializerFields
from panel.launches.shaped_fields import shaped
from panel.launches.shapes import Mode, shapes_of
from panel.strict import StrictSerializer


class OptionsSerializer(StrictSerializer):
    """Either ``table``, options by the value of the param ``on``, or ``url``, which answers a JSON list."""

    on = serializers.CharField(required=False, default="", allow_blank=True, max_length=250)
    table = serializers.DictField(
        required=False, default=dict, child=serializers.ListField(child=serializers.JSONField())
    )
    url = serializers.CharField(required=False, default="", allow_blank=True, max_length=1_000)


class ShapeSerializer(StrictSerializer):
    """One param in a form. ``value`` is what it is fixed to, or its default here; left out where there is none."""

    name = serializers.CharField(max_length=250)
    mode = serializers.ChoiceField(choices=[mode.value for mode in Mode], default=Mode.SHOWN.value)
    value = serializers.JSONField(required=False, allow_null=True)
    title = serializers.CharField(required=False, default="", allow_blank=True, max_length=120)

    def get_fields(self) -> SerializerFields:
        # As attributes they would hide those of every serializer.
        return {
            **super().get_fields(),
            "help": serializers.CharField(required=False, default="", allow_blank=True, max_length=2_000),
            "options": OptionsSerializer(required=False, allow_null=True, default=None),
        }


class FormContentSerializer(StrictSerializer):
    """A launch form as its admin says it. ``params`` in the order of the form; those that it does not name are shown
    last. ``groups`` and ``users`` are names; neither: every deployer."""

    slug = serializers.CharField(max_length=50)
    title = serializers.CharField(max_length=120)
    text = serializers.CharField(required=False, default="", allow_blank=True, max_length=5_000)
    button = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    is_enabled = serializers.BooleanField(required=False, default=True)
    is_protected = serializers.BooleanField(required=False, default=False)
    groups = serializers.ListField(child=serializers.CharField(max_length=150), required=False, default=list)
    users = serializers.ListField(child=serializers.CharField(max_length=150), required=False, default=list)
    params = ShapeSerializer(many=True, required=False, default=list)

    def content(self) -> FormContent:
        given = dict(self.validated_data)
        return FormContent(shapes=shapes_of(given.pop("params")), **given)


class FormChangeSerializer(FormContentSerializer):
    """``version`` is the one that was changed from: 409 when somebody was faster."""

    version = serializers.IntegerField(min_value=1)


class FormDefinitionSerializer(serializers.Serializer[FormDefinition]):
    """A launch form; ``url`` is its page."""

    server = serializers.CharField(source="server.slug")
    dag_id = serializers.CharField()
    slug = serializers.CharField()
    title = serializers.CharField()
    text = serializers.CharField()
    button = serializers.CharField()
    is_enabled = serializers.BooleanField()
    is_protected = serializers.BooleanField()
    groups = serializers.SerializerMethodField()
    users = serializers.SerializerMethodField()
    params = serializers.SerializerMethodField()
    version = serializers.IntegerField()
    username = serializers.CharField()
    updated_at = serializers.DateTimeField()
    url = serializers.SerializerMethodField()

    def get_groups(self, form: FormDefinition) -> list[str]:
        return sorted(group.name for group in form.groups.all())

    def get_users(self, form: FormDefinition) -> list[str]:
        return sorted(user.get_username() for user in form.users.all())

    @extend_schema_field(ShapeSerializer(many=True))
    def get_params(self, form: FormDefinition) -> list[dict[str, Any]]:
        """As they can be sent back: a value that is not there is not null."""
        return form.shapes

    def get_url(self, form: FormDefinition) -> str:
        path = reverse("launches:launch_form", kwargs={"slug": form.server.slug, "dag_id": form.dag_id})
        request = self.context.get("request")
        url = f"{path}?{urlencode({'form': form.slug})}"
        return request.build_absolute_uri(url) if request else url


class OnlyFormsSerializer(StrictSerializer):
    """Whether people who are no admins launch the Dag through its forms only."""

    only_forms = serializers.BooleanField()


class OfferSerializer(serializers.Serializer[Any]):
    """The options of a param now. ``said``: why there are none, or what to know; ``read_at`` of last known ones."""

    said = serializers.CharField()
    read_at = serializers.DateTimeField(allow_null=True)

    def get_fields(self) -> SerializerFields:
        from_choice = serializers.ListField(child=serializers.DictField())
        return {**super().get_fields(), "options": from_choice}


class PresetContentSerializer(StrictSerializer):
    """``team``: the group whose members share it; empty: one's own. ``form``: empty for the bare form of the Dag."""

    name = serializers.CharField(max_length=NAME_LENGTH)
    params = serializers.DictField(help_text="Values by param; no secrets.")
    form = serializers.CharField(required=False, default="", allow_blank=True, max_length=50)
    team = serializers.CharField(required=False, default="", allow_blank=True, max_length=150)


class PresetChangeSerializer(StrictSerializer):
    """What is left out stays. ``version`` is the one that was changed from."""

    version = serializers.IntegerField(min_value=1)
    name = serializers.CharField(required=False, max_length=NAME_LENGTH)
    params = serializers.DictField(required=False)


class PresetSerializer(serializers.Serializer[Preset]):
    """``team`` or ``owner`` says whose it is. ``misfits`` are sentences about values that no longer fit."""

    id = serializers.IntegerField()
    server = serializers.CharField(source="server.slug")
    dag_id = serializers.CharField()
    form = serializers.SerializerMethodField()
    name = serializers.CharField()
    team = serializers.SerializerMethodField()
    owner = serializers.SerializerMethodField()
    params = serializers.SerializerMethodField()
    misfits = serializers.SerializerMethodField()
    version = serializers.IntegerField()
    username = serializers.CharField()
    updated_at = serializers.DateTimeField()

    def get_form(self, preset: Preset) -> str:
        return preset.form.slug if preset.form else ""

    def get_team(self, preset: Preset) -> str:
        return preset.group.name if preset.group else ""

    def get_owner(self, preset: Preset) -> str:
        return preset.user.get_username() if preset.user else ""

    def get_params(self, preset: Preset) -> dict[str, Any]:
        return shown_params(preset, self._fields(preset))

    def get_misfits(self, preset: Preset) -> list[str]:
        fields = self._fields(preset)
        return misfits(shaped(fields, preset.form), preset.params) if fields else []

    def _fields(self, preset: Preset) -> list[Field]:
        """Read once for all presets of a list, which are of one Dag."""
        context = cast("dict[str, Any]", self.context)
        read: dict[tuple[int, str], list[Field]] = context.setdefault("fields_of_dags", {})
        key = (preset.server_id, preset.dag_id)
        if key not in read:
            read[key] = known_fields(preset.server, preset.dag_id)
        return read[key]
