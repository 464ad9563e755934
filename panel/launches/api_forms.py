"""REST: launch forms, the options of their fields, and presets."""

from __future__ import annotations

import json
from typing import cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from panel.access.actions import Action
from panel.launches.dag_forms import read_form
from panel.launches.dependent_options import offer_of
from panel.launches.form_rights import only_forms, visible_forms
from panel.launches.found import found_form, found_preset, found_server, usable_form
from panel.launches.launch_forms_changing import add_form, change_form, delete_form, set_only_forms
from panel.launches.models import FormDefinition, Preset
from panel.launches.presets import add_preset, change_preset, delete_preset, visible_presets
from panel.launches.serializers_forms import (
    FormChangeSerializer,
    FormContentSerializer,
    FormDefinitionSerializer,
    OfferSerializer,
    OnlyFormsSerializer,
    PresetChangeSerializer,
    PresetContentSerializer,
    PresetSerializer,
)
from panel.launches.shaped_fields import shaped
from panel.problems import BadRequest
from panel.strict import StrictQuery


@extend_schema(
    parameters=[OpenApiParameter("server", str), OpenApiParameter("dag_id", str), OpenApiParameter("q", str)]
)
class FormList(StrictQuery, ListAPIView[FormDefinition]):
    """The launch forms that one may use, of all servers; admins see those that are switched off, too."""

    actions = {"GET": Action.LAUNCH}
    serializer_class = FormDefinitionSerializer
    queryset = FormDefinition.objects.none()
    filters = frozenset({"server", "dag_id", "q"})
    orderings = {"title": "title"}
    default_ordering = "title"

    def get_queryset(self) -> QuerySet[FormDefinition]:
        query = self.request.query_params
        server = found_server(query["server"]) if query.get("server") else None
        found = visible_forms(
            self.request.user, server=server, dag_id=query.get("dag_id", ""), search=query.get("q", "")
        )
        return found.prefetch_related("groups", "users")


class DagFormList(StrictQuery, ListAPIView[FormDefinition]):
    """The launch forms of a Dag that one may use; ``POST`` by admins makes one."""

    actions = {"GET": Action.LAUNCH, "POST": Action.SET_GUARD_RAILS}
    serializer_class = FormDefinitionSerializer
    queryset = FormDefinition.objects.none()
    orderings = {"title": "title"}
    default_ordering = "title"

    def get_queryset(self) -> QuerySet[FormDefinition]:
        server = found_server(self.kwargs["slug"])
        found = visible_forms(self.request.user, server=server, dag_id=self.kwargs["dag_id"])
        return found.prefetch_related("groups", "users")

    @extend_schema(request=FormContentSerializer, responses={201: FormDefinitionSerializer})
    def post(self, request: Request, slug: str, dag_id: str) -> Response:
        body = FormContentSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        user = cast(User, request.user)
        made = add_form(user=user, server=found_server(slug), dag_id=dag_id, content=body.content())
        return Response(FormDefinitionSerializer(made, context={"request": request}).data, status.HTTP_201_CREATED)


class DagFormDetail(StrictQuery):
    """One launch form. ``PUT`` by admins says all of it anew, from a version."""

    actions = {"GET": Action.LAUNCH, "PUT": Action.SET_GUARD_RAILS, "DELETE": Action.SET_GUARD_RAILS}

    @extend_schema(responses=FormDefinitionSerializer)
    def get(self, request: Request, slug: str, dag_id: str, form_slug: str) -> Response:
        form = usable_form(request.user, found_server(slug), dag_id, form_slug)
        return Response(FormDefinitionSerializer(form, context={"request": request}).data)

    @extend_schema(request=FormChangeSerializer, responses=FormDefinitionSerializer)
    def put(self, request: Request, slug: str, dag_id: str, form_slug: str) -> Response:
        form = found_form(found_server(slug), dag_id, form_slug)
        body = FormChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        version = body.validated_data.pop("version")
        changed = change_form(user=cast(User, request.user), form=form, content=body.content(), version=version)
        return Response(FormDefinitionSerializer(changed, context={"request": request}).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, dag_id: str, form_slug: str) -> Response:
        delete_form(user=cast(User, request.user), form=found_form(found_server(slug), dag_id, form_slug))
        return Response(status=status.HTTP_204_NO_CONTENT)


class DagOnlyForms(StrictQuery):
    """Whether people who are no admins launch the Dag through its forms only."""

    actions = {"GET": Action.VIEW, "PUT": Action.SET_GUARD_RAILS}

    @extend_schema(responses=OnlyFormsSerializer)
    def get(self, request: Request, slug: str, dag_id: str) -> Response:
        return Response({"only_forms": only_forms(found_server(slug), dag_id)})

    @extend_schema(request=OnlyFormsSerializer, responses=OnlyFormsSerializer)
    def put(self, request: Request, slug: str, dag_id: str) -> Response:
        body = OnlyFormsSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        user = cast(User, request.user)
        switch = set_only_forms(user=user, server=found_server(slug), dag_id=dag_id, **body.validated_data)
        return Response({"only_forms": switch.only_forms})


class DagFormOptions(StrictQuery):
    """The options of a param that depend on another one, for a value of that."""

    actions = {"GET": Action.LAUNCH}
    filters = frozenset({"param", "value"})

    @extend_schema(
        parameters=[
            OpenApiParameter("param", str, required=True),
            OpenApiParameter("value", str, description="As JSON: of the param that the options depend on"),
        ],
        responses=OfferSerializer,
    )
    def get(self, request: Request, slug: str, dag_id: str, form_slug: str) -> Response:
        server = found_server(slug)
        form = usable_form(request.user, server, dag_id, form_slug)
        shape = shaped(read_form(server=server, dag_id=dag_id).fields, form)
        name, given = request.query_params.get("param", ""), request.query_params.get("value")
        if name not in shape.options:
            raise Http404(_("This form has no such field with options of its own."))
        try:
            params = {} if given is None else {shape.options[name].on: json.loads(given)}
        except (ValueError, RecursionError) as error:
            said = _("The value is given as JSON: text in double quotes.")
            raise BadRequest(said, {"value": [said]}) from error
        offer = offer_of(shape, name, params)
        options = [{"value": choice.value, "label": choice.label} for choice in offer.choices]
        return Response(OfferSerializer({"options": options, "said": offer.said, "read_at": offer.read_at}).data)


class DagPresetList(StrictQuery, ListAPIView[Preset]):
    """One's own presets of a Dag and those of one's groups; ``POST`` keeps values under a name."""

    actions = {"GET": Action.LAUNCH, "POST": Action.LAUNCH}
    serializer_class = PresetSerializer
    queryset = Preset.objects.none()
    orderings = {"name": "name"}
    default_ordering = "name"

    def get_queryset(self) -> QuerySet[Preset]:
        server = found_server(self.kwargs["slug"])
        return visible_presets(cast(User, self.request.user)).filter(server=server, dag_id=self.kwargs["dag_id"])

    @extend_schema(request=PresetContentSerializer, responses={201: PresetSerializer})
    def post(self, request: Request, slug: str, dag_id: str) -> Response:
        body = PresetContentSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        user = cast(User, request.user)
        preset = add_preset(user=user, server=found_server(slug), dag_id=dag_id, **body.validated_data)
        return Response(PresetSerializer(preset).data, status=status.HTTP_201_CREATED)


class PresetDetail(StrictQuery):
    """One preset: renaming it, giving it other values, deleting it."""

    actions = {"GET": Action.LAUNCH, "PUT": Action.LAUNCH, "DELETE": Action.LAUNCH}

    @extend_schema(responses=PresetSerializer)
    def get(self, request: Request, preset_id: int) -> Response:
        return Response(PresetSerializer(found_preset(cast(User, request.user), preset_id)).data)

    @extend_schema(request=PresetChangeSerializer, responses=PresetSerializer)
    def put(self, request: Request, preset_id: int) -> Response:
        user = cast(User, request.user)
        preset = found_preset(user, preset_id)
        body = PresetChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(PresetSerializer(change_preset(user=user, preset=preset, **body.validated_data)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, preset_id: int) -> Response:
        user = cast(User, request.user)
        delete_preset(user=user, preset=found_preset(user, preset_id))
        return Response(status=status.HTTP_204_NO_CONTENT)
