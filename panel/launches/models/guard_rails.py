"""What stands before a launch: guard rails and freezes."""

from __future__ import annotations

import json
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from panel.servers.models import Server


class GuardRails(models.Model):
    """What stands between the form of one Dag and a run of it; admins set it. Without a row nothing does.

    A launch is protected when ``protects`` says so: it is confirmed by typing a word and, with ``needs_approval``,
    needs the yes of somebody else within ``approval_hours``. ``values`` are those that protect: ``[[param, value]]``.
    ``launches_an_hour`` and ``active_runs`` are bounds; null is none. ``unknown_params``: launches may give params that
    the Dag does not name, which would otherwise be refused as misspelt.
    """

    class Protects(models.TextChoices):
        NOTHING = "nothing", _("nothing")
        VALUES = "values", _("launches with certain values")
        EVERYTHING = "everything", _("every launch")

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="+")
    dag_id = models.CharField(max_length=250)
    protects = models.CharField(max_length=10, choices=Protects, default=Protects.NOTHING)
    values_json = models.TextField(default="[]")
    needs_approval = models.BooleanField(default=True)
    approval_hours = models.PositiveIntegerField(default=24)
    launches_an_hour = models.PositiveIntegerField(null=True)
    active_runs = models.PositiveIntegerField(null=True)
    unknown_params = models.BooleanField(default=False)
    updated_at = models.DateTimeField()
    username = models.CharField(max_length=150)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["server", "dag_id"], name="guard_rails_once_a_dag")]

    def __str__(self) -> str:
        return self.dag_id

    @property
    def values(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in json.loads(self.values_json)]


class FreezeWindow(models.Model):
    """A time in which nothing of a Dag (``dag_id`` empty: of the whole server) is launched, approved or sent."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="+")
    dag_id = models.CharField(max_length=250, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)
    reason = models.CharField(max_length=300)
    username = models.CharField(max_length=150)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["starts_at", "pk"]

    def __str__(self) -> str:
        return self.reason
