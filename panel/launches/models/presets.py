"""Values to launch with, kept under a name."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models

from panel.launches.models.launch_forms import FormDefinition
from panel.servers.models import Server


class Preset(models.Model):
    """Of a launch form, or without ``form`` of the bare form of a Dag; never with a secret in it.

    Personal (``user``), or of a team (``group``): exactly one of the two. ``place`` and ``holder`` say both in one word
    each, for the name to be unique in.
    """

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="+")
    dag_id = models.CharField(max_length=250)
    form = models.ForeignKey(FormDefinition, null=True, on_delete=models.CASCADE, related_name="presets")
    place = models.CharField(max_length=30)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey(Group, null=True, on_delete=models.CASCADE, related_name="+")
    holder = models.CharField(max_length=30)
    name = models.CharField(max_length=80)
    params_json = models.TextField(default="{}")
    version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField()
    username = models.CharField(max_length=150)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["server", "dag_id", "place", "holder", "name"], name="preset_name_once"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=True) ^ models.Q(group__isnull=True), name="preset_of_one_or_a_team"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def params(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.params_json)
        return loaded
