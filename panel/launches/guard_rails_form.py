"""The forms of guard rails and freezes. What they say is checked by the services, so that page and API refuse alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from panel.launches.entries import exists, zone_of
from panel.launches.fields import Field, Kind
from panel.launches.guard_rails import as_typed
from panel.launches.models import GuardRails
from panel.problems import Problem, Unprocessable

_TIMES: Final = ("starts_at", "ends_at")
_TYPED: Final = frozenset({Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN, Kind.JSON, Kind.NUMBERS, Kind.CONST})
"""Kinds whose values are not texts."""


class GuardRailsForm(forms.Form):
    protects = forms.ChoiceField(
        label=gettext_lazy("Protected is"), choices=GuardRails.Protects.choices, widget=forms.RadioSelect
    )
    values = forms.CharField(
        label=gettext_lazy("Values that protect a launch"),
        required=False,
        max_length=10_000,
        help_text=gettext_lazy("One a line: env = prod. A list that holds the value counts, and so does a default."),
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
    )
    needs_approval = forms.BooleanField(
        label=gettext_lazy("Somebody else has to approve a protected launch"), required=False
    )
    approval_hours = forms.IntegerField(
        label=gettext_lazy("Hours in which it can be approved"), help_text=gettext_lazy("After that it expires.")
    )
    launches_an_hour = forms.IntegerField(
        label=gettext_lazy("Most launches an hour"), required=False, help_text=gettext_lazy("Empty: no limit.")
    )
    active_runs = forms.IntegerField(
        label=gettext_lazy("Most active runs"),
        required=False,
        help_text=gettext_lazy("Empty: no limit. Whoever started them: while so many go on, no launch is taken."),
    )
    unknown_params = forms.BooleanField(
        label=gettext_lazy("Launches may give params that the Dag does not name"),
        required=False,
        help_text=gettext_lazy("As JSON or by the API. Otherwise they are refused: most are misspelt."),
    )

    def columns(self, fields: Sequence[Field]) -> dict[str, Any]:
        """What the service takes. Raises Unprocessable."""
        entered = dict(self.cleaned_data)
        return entered | {"values": values_of(entered["values"], fields)}


class FreezeForm(forms.Form):
    """Each time is on the clock that the hidden field beside it names: the viewer's by script, else UTC."""

    starts_at = forms.DateTimeField(
        label=gettext_lazy("From"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    starts_at_zone = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)
    ends_at = forms.DateTimeField(
        label=gettext_lazy("Until"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    ends_at_zone = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)
    reason = forms.CharField(
        label=gettext_lazy("Why"), max_length=300, help_text=gettext_lazy("Everybody who wants to launch reads it.")
    )
    whole_server = forms.BooleanField(label=gettext_lazy("All Dags of this server"), required=False)

    @property
    def zoned(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        """The times, each with the field that names its zone."""
        return [(self[name], self[f"{name}_zone"]) for name in _TIMES]

    def clean(self) -> dict[str, Any]:
        entered = dict(self.cleaned_data)
        for name in _TIMES:
            zone = zone_of(entered.get(f"{name}_zone", ""))
            moment = entered.get(name)
            if zone is None:
                self.add_error(name, _("This time zone is not known."))
            elif moment is not None:
                entered[name] = moment.replace(tzinfo=zone)
                if not exists(entered[name]):
                    said = _("This time does not exist in %(zone)s: the clocks jump over it.")
                    self.add_error(name, said % {"zone": zone})
        return entered

    def columns(self, dag_id: str) -> dict[str, Any]:
        entered = dict(self.cleaned_data)
        times = {name: entered[name] for name in _TIMES}
        return times | {"reason": entered["reason"], "dag_id": "" if entered["whole_server"] else dag_id}


def add_problem(form: forms.Form, problem: Problem) -> None:
    """What the service refused, beside the fields it is about."""
    if not problem.fields:
        form.add_error(None, problem.message)
    for name, said in problem.fields.items():
        form.add_error(name if name in form.fields else None, said)


def entered_of(rails: GuardRails | None) -> dict[str, Any]:
    """What the form holds for these guard rails."""
    if rails is None:
        return {"protects": GuardRails.Protects.NOTHING, "needs_approval": True, "approval_hours": 24}
    return {
        "protects": rails.protects,
        "values": "\n".join(f"{name} = {as_typed(value)}" for name, value in rails.values),
        "needs_approval": rails.needs_approval,
        "approval_hours": rails.approval_hours,
        "launches_an_hour": rails.launches_an_hour,
        "active_runs": rails.active_runs,
        "unknown_params": rails.unknown_params,
    }


def values_of(text: str, fields: Sequence[Field]) -> list[tuple[str, Any]]:
    """The values of lines such as ``env = prod``, with the types that the Dag's params have. Raises Unprocessable."""
    by_name: Mapping[str, Field] = {field.name: field for field in fields}
    found, problems = [], []
    for line in filter(str.strip, text.splitlines()):
        name, equals, typed = (part.strip() for part in line.partition("="))
        if not (name and equals and typed):
            problems.append(_("“%(line)s” is not of the form: param = value.") % {"line": line.strip()[:60]})
        elif fields and name not in by_name:
            problems.append(_("The Dag has no param “%(name)s”.") % {"name": name[:60]})
        else:
            found.append((name, _typed(by_name.get(name), typed)))
    if problems:
        raise Unprocessable(_("These guard rails cannot be set."), {"values": problems})
    return found


def _typed(field: Field | None, text: str) -> Any:
    """A text that is one of the choices means it; else JSON where the param is not a text."""
    for choice in field.choices if field else ():
        if text in (choice.plain, choice.label):
            return choice.value
    if field is not None and field.kind not in _TYPED:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
