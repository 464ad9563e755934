"""The failures of a Dag's recent runs, run by run: where one retries over several of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast

from django import forms
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from panel.domain.outcomes import Outcome
from panel.mirror import selectors as mirror
from panel.mirror.models import Dag, MappedTask
from panel.retries.asks import MOST_MAPPED_TASKS

MOST_LINES: Final = 200
DEFAULT_HOURS: Final = 24
SPANS: Final = [
    (1, _("the last hour")),
    (6, _("the last 6 hours")),
    (24, _("the last 24 hours")),
    (72, _("the last 3 days")),
    (168, _("the last 7 days")),
    (720, _("the last 30 days")),
]


class RecentForm(forms.Form):
    """Which failures are looked for; wrong values fall back to the defaults, for nothing is changed by it."""

    hours = forms.TypedChoiceField(label=_("Runs that ran in"), choices=SPANS, coerce=int, required=False)
    outcome = forms.MultipleChoiceField(
        label=_("What failed"),
        choices=[
            (Outcome.HARD_FAILURE.value, _("hard failures")),
            (Outcome.SOFT_FAILURE.value, _("soft failures")),
            (Outcome.UPSTREAM_FAILED.value, _("upstream failed")),
        ],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    task = forms.ChoiceField(label=_("Task"), required=False)

    def __init__(self, given: Mapping[str, Any], dag: Dag) -> None:
        super().__init__(given)
        names = [(name, name) for name in dag.mapped_task_ids]
        cast(forms.ChoiceField, self.fields["task"]).choices = [("", _("all mapped tasks")), *names]

    @classmethod
    def of(cls, given: Any, dag: Dag) -> RecentForm:
        """Of a query string, the defaults filled in."""
        values = {"hours": given.get("hours") or str(DEFAULT_HOURS), "task": given.get("task", "")}
        form = cls(values | {"outcome": given.getlist("outcome") or [Outcome.HARD_FAILURE.value]}, dag)
        return form if form.is_valid() else cls.plain(dag)

    @classmethod
    def plain(cls, dag: Dag) -> RecentForm:
        form = cls({"hours": str(DEFAULT_HOURS), "outcome": [Outcome.HARD_FAILURE.value]}, dag)
        form.full_clean()
        return form


@dataclass(frozen=True, slots=True)
class RecentFailures:
    """One mapped task of one run. ``count`` of its instances have one of the outcomes; ``ticked``: it is of the newest
    that fit into one job.
    """

    task: MappedTask
    counts: Mapping[str, int]
    ticked: bool

    @property
    def count(self) -> int:
        return sum(self.counts.values())


def recent_failures(dag: Dag, form: RecentForm) -> tuple[list[RecentFailures], bool]:
    """Of the runs that ran within the span, the newest first; whether there are more than a page shows."""
    wanted = form.cleaned_data
    since = timezone.now() - timedelta(hours=wanted["hours"])
    tasks = mirror.mapped_tasks().filter(
        Q(run__end_date=None) | Q(run__end_date__gte=since), run__dag=dag, failing__gt=0
    )
    if wanted["task"]:
        tasks = tasks.filter(task_id=wanted["task"])
    found: list[RecentFailures] = []
    for task in tasks[: MOST_LINES + 1]:
        counts = {name: count for name in wanted["outcome"] if (count := task.counts.get(name, 0))}
        if counts:
            found.append(RecentFailures(task, counts, len(found) < MOST_MAPPED_TASKS))
    return found[:MOST_LINES], len(found) > MOST_LINES
