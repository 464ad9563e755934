"""The form of an outcome rule. What it says is checked by the service, so that page and API refuse alike."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from panel.domain.json_pointers import POINTER_LENGTH
from panel.domain.outcome_rules import Rule
from panel.mirror.outcome_rules import SCOPES, Scope
from panel.mirror.outcome_rules_changing import checked_rule
from panel.problems import Problem

_NAMES = {Scope.TASK: _("this task"), Scope.DAG: _("all tasks of this Dag"), Scope.SERVER: _("all Dags of this server")}


class OutcomeRuleForm(forms.Form):
    """``rule`` is there once ``is_valid()``."""

    status_pointer = forms.CharField(
        label=_("Where the status is"),
        required=False,
        max_length=POINTER_LENGTH,
        help_text=_("A JSON pointer into the result: /status, /stats/state, /0/ok. Empty: the result itself."),
        widget=forms.TextInput(attrs={"list": "status-places", "autocomplete": "off", "spellcheck": "false"}),
    )
    failing_values = forms.CharField(
        label=_("Values that mean failure"),
        required=False,
        max_length=4_000,
        help_text=_("One a line, in any case: failed, false, 0, null."),
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
    )
    message_pointer = forms.CharField(
        label=_("Where the message is"),
        required=False,
        max_length=POINTER_LENGTH,
        help_text=_("Empty, or nothing there: the first of error, message, reason."),
        widget=forms.TextInput(attrs={"list": "message-places", "autocomplete": "off", "spellcheck": "false"}),
    )
    scope = forms.ChoiceField(
        label=_("Holds for"), choices=[(scope.value, _NAMES[scope]) for scope in SCOPES], widget=forms.RadioSelect
    )

    rule: Rule

    def clean(self) -> dict[str, Any]:
        entered = super().clean() or self.cleaned_data
        try:
            self.rule = checked_rule(
                status_pointer=entered.get("status_pointer", ""),
                failing_values=[line for line in entered.get("failing_values", "").splitlines() if line.strip()],
                message_pointer=entered.get("message_pointer", ""),
            )
        except Problem as problem:
            for name, said in problem.fields.items():
                self.add_error(name, said)
        return entered


def entered_of(rule: Rule, scope: Scope) -> dict[str, str]:
    """What the form holds for this rule."""
    return {
        "status_pointer": rule.status_pointer,
        "failing_values": "\n".join(rule.failing_values),
        "message_pointer": rule.message_pointer,
        "scope": (scope if scope in SCOPES else Scope.TASK).value,
    }
