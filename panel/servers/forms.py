"""The form of a server. A stored secret is never shown; left empty, it stays."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from panel.airflow import MOST_IN_FLIGHT
from panel.problems import Problem
from panel.servers.details import ServerDetails
from panel.servers.models import Server


class ServerForm(forms.Form):
    slug = forms.CharField(
        label=_("Short name"),
        max_length=50,
        help_text=_("In every address of Mapboard, such as /servers/prod/. It cannot be changed later."),
    )
    name = forms.CharField(label=_("Name"), max_length=100)
    base_url = forms.CharField(
        label=_("Base URL"),
        max_length=500,
        help_text=_(
            "Where Airflow's own pages are, with the path prefix if there is one: https://airflow.example.com/team-a"
        ),
    )
    authentication = forms.ChoiceField(label=_("How Mapboard logs in"), choices=Server.Authentication.choices)
    username = forms.CharField(
        label=_("User name"),
        max_length=200,
        required=False,
        help_text=_("A user of Airflow that may read everything shown here, clear task instances and trigger runs."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    secret = forms.CharField(
        label=_("Password or token"),
        required=False,
        strip=False,
        max_length=20_000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=False),
    )
    ca_pem = forms.CharField(
        label=_("Own certificate authority"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text=_("PEM, trusted for this server besides the system's. Only the certificate, never a private key."),
    )
    max_in_flight = forms.IntegerField(
        label=_("Requests at once"),
        min_value=1,
        max_value=MOST_IN_FLIGHT,
        initial=4,
        help_text=_("Over all of Mapboard. More than four buy nothing from one Airflow api-server worker."),
    )

    def __init__(self, *args: Any, server: Server | None = None, **kwargs: Any) -> None:
        if server is not None:
            kept = ("name", "base_url", "authentication", "username", "ca_pem", "max_in_flight")
            kwargs.setdefault("initial", {name: getattr(server, name) for name in kept})
        super().__init__(*args, **kwargs)
        if server is not None:
            del self.fields["slug"]
            self.fields["secret"].help_text = _("Stored, and never shown. Leave it empty to keep it.")
        else:
            self.fields["secret"].help_text = _("Stored encrypted, and never shown again.")

    def details(self) -> ServerDetails:
        entered = self.cleaned_data
        return ServerDetails(
            name=entered["name"],
            base_url=entered["base_url"],
            authentication=cast(Server.Authentication, entered["authentication"]),
            username=entered["username"],
            secret=entered["secret"],
            ca_pem=entered["ca_pem"],
            max_in_flight=entered["max_in_flight"],
        )

    def add_problem(self, problem: Problem) -> None:
        """Put what the service said beside the fields it is about."""
        for name, messages in problem.fields.items():
            for message in messages:
                self.add_error(name if name in self.fields else None, message)
        if not problem.fields:
            self.add_error(None, problem.message)


class RemoveForm(forms.Form):
    confirmation = forms.CharField(
        label=_("Short name of the server"), widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
