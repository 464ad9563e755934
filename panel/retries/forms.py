"""The retry panel's form: why, how carefully, and what the preview showed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext_lazy as _

from panel.retries.asks import LONGEST_KEY
from panel.retries.models import LONGEST_REASON
from panel.retries.policy_form import FIELD_OF_POLICY, PolicyForm
from panel.retries.states import Action
from panel.retries.tokens import LONGEST_TOKEN


class RetryForm(PolicyForm):
    """``without_downstream`` and ``include_settled`` change the preview; the rest goes with the request."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=LONGEST_REASON,
        help_text=_("Goes into Airflow's note, with your name."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    without_downstream = forms.BooleanField(label=_("Leave the tasks downstream as they are"), required=False)
    include_settled = forms.BooleanField(
        label=_("Also retry what succeeded or was skipped"),
        required=False,
        help_text=_("Without this only failures are retried. What succeeded does its work a second time."),
    )
    run_on_latest_version = forms.BooleanField(
        label=_("Run on the latest version of the Dag"),
        required=False,
        help_text=_("What one needs after a fix: otherwise each instance runs the version of its run."),
    )
    mail_report = forms.BooleanField(label=_("Mail me the report when it is over"), required=False)
    idempotency_key = forms.CharField(max_length=LONGEST_KEY, widget=forms.HiddenInput, required=False)
    plan_token = forms.CharField(max_length=LONGEST_TOKEN, widget=forms.HiddenInput, required=False)

    def renew(self, plan_token: str) -> None:
        """Show this token, and a new key: the next press is a new wish."""
        self.data = {**_plain(self.data), "plan_token": plan_token, "idempotency_key": str(uuid4())}

    def add_problems(self, fields: Mapping[str, list[str]]) -> None:
        for name, problems in fields.items():
            field = FIELD_OF_POLICY.get(name, name)
            if field in self.fields and not self.fields[field].widget.is_hidden:
                self.add_error(field, problems)


class MarkForm(RetryForm):
    """Of marking, which has nothing to be careful about but itself: ``confirm`` is ticked beside the indices."""

    confirm = forms.BooleanField(
        label=_("Yes, set the state of these indices"),
        error_messages={"required": _("Tick this to say that these are the indices you mean.")},
    )
    field_order = ("reason", "confirm")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["include_settled"].label = _("Also mark what succeeded or was skipped")
        self.fields["include_settled"].help_text = _("Without this only failures are marked.")


def form_class(action: Action) -> type[RetryForm]:
    return MarkForm if action.marks_as else RetryForm


def blank_form(given: Mapping[str, Any], plan_token: str, action: Action = Action.RETRY) -> RetryForm:
    """The form before it is sent: what was typed already stays while options change the preview."""
    names = [name for name in RetryForm.base_fields if name not in {"plan_token", "idempotency_key"}]
    initial = {name: given[name] for name in names if given.get(name)}
    return form_class(action)(initial=initial | {"plan_token": plan_token, "idempotency_key": str(uuid4())})


def _plain(data: Any) -> dict[str, Any]:
    return data.dict() if hasattr(data, "dict") else dict(data)
