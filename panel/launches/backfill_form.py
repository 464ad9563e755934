"""The form of a backfill: the range and how to run it, above the fields of the Dag's params."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy

from panel.launches.backfill_orders import Asked, problems_of
from panel.launches.backfill_states import Reprocess
from panel.launches.dag_forms import FormReading
from panel.launches.entries import Posted
from panel.launches.forms import LaunchForm
from panel.launches.models import Backfill
from panel.launches.prefills import Prefill
from panel.launches.shaped_fields import shaped
from panel.problems import Problem
from panel.servers.models import Server

START: Final = "backfill-start"
"""The button that starts what was looked at."""
AT_ONCE: Final = 2


def _moment() -> forms.DateTimeInput:
    return forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class RangeForm(forms.Form):
    """What it says is checked by the services, so that page and API refuse alike."""

    prefix = "backfill"

    from_date = forms.DateTimeField(label=gettext_lazy("From (UTC)"), widget=_moment())
    to_date = forms.DateTimeField(
        label=gettext_lazy("To, inclusive (UTC)"),
        widget=_moment(),
        help_text=gettext_lazy("Dates of the schedule in between are run. What lies in the future is left out."),
    )
    reprocess = forms.ChoiceField(
        label=gettext_lazy("A date that has a run already"), choices=Reprocess.choices, widget=forms.RadioSelect
    )
    max_active_runs = forms.IntegerField(
        label=gettext_lazy("Runs at a time"),
        help_text=gettext_lazy("For this backfill alone: it stands beside the limit of the Dag."),
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    run_backwards = forms.BooleanField(label=gettext_lazy("Newest date first"), required=False)

    def moments(self) -> dict[str, datetime]:
        return {name: self.cleaned_data[name].replace(tzinfo=UTC, second=0) for name in ("from_date", "to_date")}


class BackfillForm:
    """Unbound (a week ago until yesterday, or what an ``earlier`` one was) or posted. ``most`` runs at a time are
    allowed."""

    def __init__(
        self,
        reading: FormReading,
        zone: tzinfo,
        posted: Posted | None = None,
        earlier: Backfill | None = None,
        most: int = AT_ONCE,
    ) -> None:
        start = Prefill(earlier.params, earlier.note, dict(earlier.fields)) if earlier is not None else None
        self.conf = LaunchForm(reading, shaped(reading.fields), zone, posted=posted, start=start)
        self.reading = reading
        if posted is None:
            self.range = RangeForm(initial=_begun(earlier, most))
        else:
            self.range = RangeForm({name: texts[-1] for name, texts in posted.items() if texts})

    @property
    def is_good(self) -> bool:
        return self.range.is_valid() and self.conf.is_good

    @property
    def is_wrong(self) -> bool:
        conf = self.conf
        return bool(self.range.errors or conf.problems or conf.wrong_controls or conf.note_errors)

    @property
    def carried(self) -> list[tuple[str, str]]:
        """What was posted, to be posted again with the start."""
        return [(name, text) for name, text in self.conf.carried if name != START]

    def check_range(self, server: Server) -> None:
        """What can be said about the range by itself, so that it is said together with what else is wrong."""
        if self.range.is_valid():
            found = problems_of(self.asked(), server, self.reading.form.dag_id)
            for name in self.range.fields.keys() & found.keys():
                self.range.add_error(name, found[name])

    def asked(self) -> Asked:
        entered = self.range.cleaned_data
        return Asked(
            **self.range.moments(),
            max_active_runs=entered["max_active_runs"],
            reprocess=entered["reprocess"],
            run_backwards=entered["run_backwards"],
            params=self.conf.values,
            note=self.conf.note,
        )

    def add(self, problem: Problem) -> None:
        """What the service refused, beside what it is about."""
        ours = {name: said for name, said in problem.fields.items() if name in self.range.fields}
        for name, said in ours.items():
            self.range.add_error(name, said)
        self.conf.add(problem.message, {name: said for name, said in problem.fields.items() if name not in ours})


def _begun(earlier: Backfill | None, most: int) -> dict[str, Any]:
    if earlier is not None:
        names = ("from_date", "reprocess", "max_active_runs", "run_backwards")
        return {name: getattr(earlier, name) for name in names} | {"to_date": earlier.until}
    today = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "from_date": today - timedelta(days=7),
        "to_date": today - timedelta(days=1),
        "reprocess": Reprocess.NONE,
        "max_active_runs": min(AT_ONCE, most),
    }
