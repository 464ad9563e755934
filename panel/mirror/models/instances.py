"""The instances of mapped tasks, their results, their errors."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any, Final, NamedTuple

from django.db import models
from django.db.models import Q
from django.utils.functional import cached_property

from panel.domain.outcomes import Outcome, ResultState
from panel.domain.values import Kept
from panel.mirror.models.tasks import MappedTask


class Held(NamedTuple):
    """What is stored of a result: the whole value or, when ``shortened``, a preview of it."""

    value: Any
    shortened: bool


TOLD_APART: Final = (Outcome.HARD_FAILURE, Outcome.RETRYING, Outcome.SOFT_FAILURE, Outcome.UPSTREAM_FAILED)
"""The outcomes that few instances have and everybody sorts: indexes of their own find them among many others."""
_IS_TOLD_APART: Final = reduce(or_, [Q(outcome=outcome.value) for outcome in TOLD_APART])
"""Said one by one: for an IN, SQLite makes a table each time that it judges a row, for each of the indexes."""
SORTED_APART: Final = ("label_folded", "try_number", "start_date", "end_date", "duration")


class Instance(models.Model):
    """One mapped instance as last read. Rows are narrow: values and the details of errors have tables of their own.

    While a cleared instance has not started again, times and result are empty: Airflow still shows the old try's.
    ``result_try`` and ``error_try`` are the tries whose result and error were read. ``version`` is the version of the
    mapped task in which the row changed last. ``error_frame`` is where the error was raised, ``file:line in function``.
    ``number_…`` hold the numeric fields of the result (``MappedTask.result_fields``). The folded columns serve
    searches that ignore case on both databases; an empty label is null there, so that it sorts last. The key to the
    mapped task has no index of its own: others begin with it.
    """

    mapped_task = models.ForeignKey(MappedTask, on_delete=models.CASCADE, related_name="instances", db_index=False)
    map_index = models.PositiveIntegerField()
    version = models.PositiveBigIntegerField(default=0)
    ti_id = models.CharField(max_length=40)
    label = models.CharField(max_length=250, blank=True)
    label_folded = models.CharField(max_length=250, null=True)  # noqa: DJ001 - empty labels sort last
    state = models.CharField(max_length=30, blank=True)
    outcome = models.CharField(max_length=20, choices=[(o.value, o.value) for o in Outcome])
    try_number = models.PositiveIntegerField(default=0)
    max_tries = models.PositiveIntegerField(default=0)
    scheduled_at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(null=True)
    start_date = models.DateTimeField(null=True)
    end_date = models.DateTimeField(null=True)
    duration = models.FloatField(null=True)
    error_type = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    error_folded = models.TextField(blank=True)
    error_frame = models.CharField(max_length=300, blank=True)
    error_group = models.CharField(max_length=16, blank=True)
    error_try = models.PositiveIntegerField(null=True)
    result_state = models.CharField(
        max_length=12, choices=[(s.value, s.value) for s in ResultState], default=ResultState.NONE.value
    )
    result_reason = models.CharField(max_length=300, blank=True)
    result_try = models.PositiveIntegerField(null=True)
    number_0 = models.FloatField(null=True)
    number_1 = models.FloatField(null=True)
    number_2 = models.FloatField(null=True)
    number_3 = models.FloatField(null=True)
    number_4 = models.FloatField(null=True)
    number_5 = models.FloatField(null=True)
    note = models.TextField(blank=True)

    new_result: Kept | None = None
    """The value to be stored together with this row, if one was read just now."""
    new_numbers: dict[str, float] | None = None
    """The numbers in it by name, for the ``number_…`` columns."""

    class Meta:
        ordering = ["map_index"]
        constraints = [models.UniqueConstraint(fields=["mapped_task", "map_index"], name="instance_once_a_task")]
        indexes = [
            models.Index(fields=["mapped_task", "outcome", "map_index"], name="instances_by_outcome"),
            models.Index(fields=["mapped_task", "error_group", "map_index"], name="instances_by_error_group"),
            models.Index(fields=["mapped_task", "version"], name="instances_by_version"),
            # One for each column of the list: a page is a range of it, read forwards or backwards (panel.keyset).
            models.Index(fields=["mapped_task", "try_number", "map_index"], name="instances_by_try"),
            models.Index(fields=["mapped_task", "start_date", "map_index"], name="instances_by_start"),
            models.Index(fields=["mapped_task", "end_date", "map_index"], name="instances_by_end"),
            models.Index(fields=["mapped_task", "duration", "map_index"], name="instances_by_duration"),
            # Most maps have no labels and few numbers: then these hold nothing and cost nothing.
            *(
                models.Index(
                    fields=["mapped_task", name, "map_index"],
                    name=f"instances_by_{name}",
                    condition=Q(**{f"{name}__isnull": False}),
                )
                for name in ("label_folded", *(f"number_{slot}" for slot in range(6)))
            ),
            *(
                models.Index(
                    fields=["mapped_task", "outcome", name, "map_index"],
                    name=f"failures_by_{name}",
                    condition=_IS_TOLD_APART,
                )
                for name in SORTED_APART
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mapped_task_id}[{self.map_index}]"

    @cached_property
    def held(self) -> Held | None:
        """The stored value; who needs those of many rows reads them at once (``selectors.with_results``)."""
        held = InstanceResult.objects.filter(mapped_task_id=self.mapped_task_id, map_index=self.map_index)
        row = held.values_list("value", "shortened").first()
        return Held(*row) if row else None

    @property
    def result(self) -> Any:
        """The value, its preview when ``result_shortened``, or the reference where it is held elsewhere."""
        return self.held.value if self.held else None

    @property
    def result_shortened(self) -> bool:
        return self.held is not None and self.held.shortened


class InstanceResult(models.Model):
    """The result of one instance: the whole ``value`` or, when ``shortened``, a preview of it."""

    mapped_task = models.ForeignKey(MappedTask, on_delete=models.CASCADE, related_name="results", db_index=False)
    map_index = models.PositiveIntegerField()
    value = models.JSONField(null=True)
    shortened = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mapped_task", "map_index"], name="result_once_an_instance")]

    def __str__(self) -> str:
        return f"{self.mapped_task_id}[{self.map_index}]"


class TryError(models.Model):
    """Why one try of one instance failed, from its log: exception, frame of the user's code (``file:line in
    function``), and what caused it: ``[{"type", "message", "frame"}]``, nearest cause first."""

    mapped_task = models.ForeignKey(MappedTask, on_delete=models.CASCADE, related_name="try_errors", db_index=False)
    map_index = models.PositiveIntegerField()
    try_number = models.PositiveIntegerField()
    error_type = models.CharField(max_length=200, blank=True)
    message = models.TextField(blank=True)
    frame = models.CharField(max_length=300, blank=True)
    causes = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mapped_task", "map_index", "try_number"], name="error_once_a_try")
        ]

    def __str__(self) -> str:
        return f"{self.mapped_task_id}[{self.map_index}] try {self.try_number}: {self.error_type}"


class ErrorGroup(models.Model):
    """Failures of one mapped task that agree: a rollup of its instances, kept together with them.

    ``group`` is the id of domain.error_groups, the same in every run. ``message`` is masked; ``first_seen`` and
    ``last_seen`` are end dates; ``example_index`` is its lowest index, so that it stays while others come and go.
    """

    mapped_task = models.ForeignKey(MappedTask, on_delete=models.CASCADE, related_name="error_groups", db_index=False)
    group = models.CharField(max_length=16, db_index=True)
    outcome = models.CharField(max_length=20)
    error_type = models.CharField(max_length=200, blank=True)
    message = models.TextField(blank=True)
    count = models.PositiveIntegerField()
    example_index = models.PositiveIntegerField()
    first_seen = models.DateTimeField(null=True)
    last_seen = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-count", "group"]
        constraints = [models.UniqueConstraint(fields=["mapped_task", "group"], name="error_group_once_a_task")]

    def __str__(self) -> str:
        return f"{self.error_type}: {self.message[:60]}"
