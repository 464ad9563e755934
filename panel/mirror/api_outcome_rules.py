"""REST: outcome rules of servers, Dags and tasks, and trying one out on stored results."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from panel.access.actions import Action
from panel.domain.json_pointers import POINTER_LENGTH
from panel.domain.outcome_rules import MOST_VALUES, Rule
from panel.mirror import outcome_rules, selectors
from panel.mirror.api import found
from panel.mirror.models import OutcomeRule
from panel.mirror.outcome_rules_changing import checked_rule, remove_rule, set_rule
from panel.mirror.outcome_rules_tried import Example, try_rule
from panel.servers.models import Server
from panel.servers.selectors import server as find_server
from panel.strict import StrictQuery, StrictSerializer


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]})
class FailingValue(serializers.Field[Any, Any, Any, Any]):
    """A string, number, truth value or null; kept as the text it is compared by."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class RuleSerializer(StrictSerializer):
    """Pointers are JSON pointers (RFC 6901) into the result; an empty ``status_pointer`` means the result itself."""

    status_pointer = serializers.CharField(max_length=POINTER_LENGTH, allow_blank=True, trim_whitespace=False)
    failing_values = serializers.ListField(child=FailingValue(allow_null=True), max_length=MOST_VALUES)
    message_pointer = serializers.CharField(
        max_length=POINTER_LENGTH, allow_blank=True, trim_whitespace=False, default=""
    )


class StoredRuleSerializer(serializers.ModelSerializer[OutcomeRule]):
    """``scope`` is server, dag or task; names outside the scope are empty."""

    scope = serializers.SerializerMethodField()
    server = serializers.CharField(source="server.slug")
    failing_values = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = OutcomeRule
        fields = [
            "scope", "server", "dag_id", "task_id", "status_pointer", "failing_values", "message_pointer", "changed_at",
        ]  # fmt: skip

    def get_scope(self, row: OutcomeRule) -> str:
        return outcome_rules.scope_of(row).value


class RuleInPlaceSerializer(serializers.Serializer[Any]):
    """The rule that holds for a mapped task; ``scope`` is what it was set for, or ``default``."""

    scope = serializers.CharField()
    status_pointer = serializers.CharField(source="rule.status_pointer")
    failing_values = serializers.ListField(child=serializers.CharField(), source="rule.failing_values")
    message_pointer = serializers.CharField(source="rule.message_pointer")
    revision = serializers.CharField(source="rule.revision")


class ExampleSerializer(serializers.Serializer[Any]):
    """``status`` is what the pointer finds; null, with ``has_status`` false, where there is nothing."""

    map_index = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]  # Field has a label of its own, for forms
    has_status = serializers.BooleanField()
    status = serializers.SerializerMethodField()
    message = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()

    @extend_schema_field({})
    def get_status(self, example: Example) -> Any:
        return example.status if example.has_status else None


class TryOutSerializer(serializers.Serializer[Any]):
    """``tried`` of ``total`` stored results were looked at; ``to_read`` of them would be read from Airflow again."""

    total = serializers.IntegerField()
    tried = serializers.IntegerField()
    to_read = serializers.IntegerField()
    failing = serializers.IntegerField()
    changed = serializers.IntegerField()
    to_failure = serializers.IntegerField()
    to_success = serializers.IntegerField()
    new_messages = serializers.IntegerField()
    examples = ExampleSerializer(many=True)


class OutcomeRuleList(StrictQuery, ListAPIView[OutcomeRule]):
    """The rules that are set, by server, Dag and task."""

    actions = {"GET": Action.VIEW}
    serializer_class = StoredRuleSerializer
    queryset = OutcomeRule.objects.none()
    filters = frozenset({"server", "dag_id", "task_id"})
    orderings = {"changed_at": "changed_at"}
    default_ordering = "-changed_at"

    def get_queryset(self) -> QuerySet[OutcomeRule]:
        given = self.request.query_params
        return outcome_rules.rules_matching({name: given[name] for name in self.filters if given.get(name)})

    @extend_schema(parameters=[OpenApiParameter(name, str) for name in ("server", "dag_id", "task_id")])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class OutcomeRuleDetail(StrictQuery, GenericAPIView[Any]):
    """The rule of one server, Dag or task. PUT sets it and has stored outcomes derived anew; DELETE lets the next less
    specific one hold."""

    actions = {"GET": Action.VIEW, "PUT": Action.SET_RULES, "DELETE": Action.SET_RULES}
    serializer_class = RuleSerializer

    @extend_schema(responses=StoredRuleSerializer)
    def get(self, request: Request, slug: str, dag_id: str = "", task_id: str = "") -> Response:
        return Response(StoredRuleSerializer(self._row(slug, dag_id, task_id)).data)

    @extend_schema(responses={200: StoredRuleSerializer})
    def put(self, request: Request, slug: str, dag_id: str = "", task_id: str = "") -> Response:
        server = self._server(slug)
        rule = _rule(self.get_serializer(data=request.data))
        row = set_rule(user=request.user, server=server, dag_id=dag_id, task_id=task_id, rule=rule)
        return Response(StoredRuleSerializer(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, dag_id: str = "", task_id: str = "") -> Response:
        remove_rule(user=request.user, row=self._row(slug, dag_id, task_id))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _server(self, slug: str) -> Server:
        with found():
            return find_server(slug)

    def _row(self, slug: str, dag_id: str, task_id: str) -> OutcomeRule:
        row = outcome_rules.rule_set_for(self._server(slug), dag_id, task_id)
        if row is None:
            raise Http404(_("No rule is set for this; a less specific one holds."))
        return row


class TaskOutcomeRule(StrictQuery, GenericAPIView[Any]):
    """The rule that holds for one mapped task."""

    actions = {"GET": Action.VIEW}
    serializer_class = RuleInPlaceSerializer

    def get(self, request: Request, mapped_task_id: UUID) -> Response:
        with found():
            mapped_task = selectors.mapped_task_by_id(mapped_task_id)
        return Response(RuleInPlaceSerializer(outcome_rules.rules_for(mapped_task)[0]).data)


class OutcomeRuleTryOut(StrictQuery, GenericAPIView[Any]):
    """What a rule would make of the stored results of one mapped task; nothing changes and Airflow is not asked."""

    actions = {"POST": Action.VIEW}
    serializer_class = RuleSerializer

    @extend_schema(responses={200: TryOutSerializer})
    def post(self, request: Request, mapped_task_id: UUID) -> Response:
        with found():
            mapped_task = selectors.mapped_task_by_id(mapped_task_id)
        rule = _rule(self.get_serializer(data=request.data))
        return Response(TryOutSerializer(try_rule(mapped_task, rule)).data)


def _rule(body: serializers.BaseSerializer[Any]) -> Rule:
    """Raises ValidationError, Unprocessable."""
    body.is_valid(raise_exception=True)
    return checked_rule(**body.validated_data)
